"""The page of a live map in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.browser import Visit, needs_chromium, visiting

IMAGES = "document.querySelectorAll('#above img').length"
WORK = "document.querySelector('#work').textContent"


def until(page: Any, true: str, seconds: float = 30) -> Any:
    """Wait until an expression is true; the page allows no expressions of its own."""
    limit = time.monotonic() + seconds
    while not (found := page.evaluate(true)):
        assert time.monotonic() < limit, true
        time.sleep(0.03)
    return found


@contextmanager
def visit(address: str, **options: Any) -> Iterator[Visit]:
    """Open the map and wait until it is complete."""
    with visiting(address, **options) as found:
        until(found.page, f"{IMAGES} > 0 && {WORK} === ''")
        yield found


def share(page: Any) -> float:
    return float(page.locator("#divider").get_attribute("aria-valuenow"))


def colors(page: Any, x: float, y: float) -> Any:
    """Return a pixel of the page, as a share of the map's width and height."""
    import io

    from PIL import Image

    box = page.locator("#map").bounding_box()
    shot = Image.open(io.BytesIO(page.screenshot()))
    return shot.convert("RGB").getpixel(
        (int(box["x"] + x * box["width"]), int(box["y"] + y * box["height"]))
    )


@needs_chromium
def test_the_map_is_shown_and_moved(address: str) -> None:
    with visit(address) as found:
        page = found.page
        assert page.title() == "scene.tif by Pix2Pix"
        assert page.locator("#left").input_value() == "source"
        assert page.locator("#right").input_value() == "translation"
        # The divider follows the pointer and the keys.
        box = page.locator("#map").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
        page.mouse.up()
        until(page, "document.querySelector('#divider').getAttribute('aria-valuenow') === '25'")
        clip = page.evaluate("document.querySelector('#above').style.clipPath")
        assert clip == "inset(0px 0px 0px 25%)"
        page.keyboard.press("ArrowRight")
        until(page, "document.querySelector('#divider').getAttribute('aria-valuenow') === '27'")
        page.keyboard.press("End")
        until(page, "document.querySelector('#divider').getAttribute('aria-valuenow') === '100'")
        right = colors(page, 0.6, 0.62)
        page.keyboard.press("Home")
        until(page, "document.querySelector('#divider').getAttribute('aria-valuenow') === '0'")
        assert colors(page, 0.6, 0.62) != right
        # Keys and wheel zoom, the pointer moves the map.
        zoom = float(page.evaluate("map.dataset.zoom"))
        page.focus("#map")
        page.keyboard.press("-")
        until(page, f"Number(map.dataset.zoom) < {zoom - 0.9}")
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.wheel(0, -240)
        until(page, f"Number(map.dataset.zoom) > {zoom - 0.1}")
        place = page.evaluate("view.x")
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 - 50, middle, steps=3)
        page.mouse.up()
        until(page, f"view.x > {place}")
        page.keyboard.press("ArrowLeft")
        until(page, f"view.x < {place}")
        assert "°" in page.locator("#place").inner_text()
        until(page, f"{WORK} === ''")


@needs_chromium
def test_far_views_ask_to_zoom_in(address: str) -> None:
    with visit(address, width=390, height=700, dark=True) as found:
        page = found.page
        assert page.locator("#hint").is_hidden()
        page.focus("#map")
        for _ in range(8):
            page.keyboard.press("-")
        until(page, "!document.querySelector('#hint').hidden")
        page.click("#closer")
        until(page, "document.querySelector('#hint').hidden")
        page.select_option("#right", "truth")
        until(page, "[...panes[1].tiles.values()].every((tile) => !tile.wanted || tile.done)")
        page.locator("#opacity").fill("40")
        until(page, "document.querySelector('#above').style.opacity === '0.4'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("#error").is_hidden()
