"""The page in a real Chromium: the divider, zoom, values and coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from tests.browser import Visit, needs_chromium, visiting
from tests.report.conftest import Made

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def visit(made: Made) -> Iterator[Visit]:
    """Return the page in a browser; its end checks that nothing failed or was asked for."""
    with visiting(made.page.as_uri()) as visit:
        yield visit


@pytest.fixture
def viewer(visit: Visit) -> Any:
    """Return the viewer of the first scene, on the screen and in its first state."""
    found = visit.page.query_selector(".viewer")
    found.scroll_into_view_if_needed()
    wait(visit, "document.querySelector('.viewer').viewer")
    found.query_selector(".fit").click()
    found.evaluate("root => root.viewer.divide(0.5)")
    return found


def drawn(viewer: Any, share: float) -> list[int]:
    """Return the color of the canvas at a share of its width, once it is drawn."""
    viewer.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 60)))")
    return viewer.query_selector("canvas").evaluate(
        "(canvas, share) => [...canvas.getContext('2d').getImageData("
        "Math.floor(canvas.width * share), Math.floor(canvas.height / 2), 1, 1).data]",
        share,
    )


def wait(visit: Visit, condition: str) -> None:
    """Wait until a condition is true; Playwright's own waiting would evaluate text in the page."""
    for _ in range(200):
        if visit.page.evaluate(f"!!({condition})"):
            return
        visit.page.wait_for_timeout(20)
    raise AssertionError(condition)


def place_of(viewer: Any) -> tuple[int, int]:
    text = viewer.query_selector(".pixel").inner_text()
    col, row = map(int, re.findall(r"\d+", text))
    return row, col


def point(visit: Visit, viewer: Any, across: float, down: float) -> None:
    box = viewer.query_selector("canvas").bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)


def test_the_divider_moves_by_pointer_and_by_keys(visit: Visit, viewer: Any) -> None:
    divider = viewer.query_selector(".divider")
    before = drawn(viewer, 0.4)
    box, stage = divider.bounding_box(), viewer.query_selector(".stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(*middle)
    visit.page.mouse.down()
    visit.page.mouse.move(stage["x"] + stage["width"] * 0.3, middle[1], steps=3)
    visit.page.mouse.up()
    after = drawn(viewer, 0.4)
    assert before != after
    assert divider.get_attribute("aria-valuenow") == "30"
    assert divider.evaluate("each => document.activeElement === each")
    for key, expected in (("ArrowRight", "32"), ("PageUp", "42"), ("Home", "0"), ("End", "100")):
        visit.page.keyboard.press(key)
        drawn(viewer, 0.4)
        assert divider.get_attribute("aria-valuenow") == expected
    assert "Source 100 %" in divider.get_attribute("aria-valuetext")
    assert drawn(viewer, 0.4) == before


def test_sides_can_be_chosen(viewer: Any) -> None:
    before = drawn(viewer, 0.6)
    viewer.query_selector(".right").select_option("truth")
    assert drawn(viewer, 0.6) != before
    assert viewer.query_selector(".tag-right").inner_text() == "Truth"
    viewer.query_selector(".right").select_option("translation")
    assert drawn(viewer, 0.6) == before


def test_zoom_by_buttons_keys_and_wheel(visit: Visit, viewer: Any) -> None:
    def scale() -> float:
        drawn(viewer, 0.5)
        return viewer.evaluate("root => root.viewer.scale")

    fitted = scale()
    viewer.query_selector(".in").click()
    assert scale() > fitted
    viewer.query_selector("canvas").focus()
    visit.page.keyboard.press("0")
    assert scale() == fitted
    visit.page.keyboard.press("+")
    larger = scale()
    assert larger > fitted
    point(visit, viewer, 0.3, 0.4)
    drawn(viewer, 0.5)
    before = place_of(viewer)
    visit.page.mouse.wheel(0, -300)
    assert scale() > larger
    # The pixel under the pointer stays where it is.
    assert np.abs(np.subtract(place_of(viewer), before)).max() <= 2
    left = viewer.evaluate("root => root.viewer.left")
    visit.page.keyboard.press("ArrowRight")
    scale()
    assert viewer.evaluate("root => root.viewer.left") > left


def test_dragging_moves_the_picture(visit: Visit, viewer: Any) -> None:
    for _ in range(3):
        viewer.query_selector(".in").click()
    left = viewer.evaluate("root => root.viewer.left")
    point(visit, viewer, 0.2, 0.5)
    visit.page.mouse.down()
    point(visit, viewer, 0.1, 0.5)
    visit.page.mouse.up()
    assert viewer.evaluate("root => root.viewer.left") > left


def test_values_and_coordinates_are_those_of_rasterio(
    visit: Visit, viewer: Any, made: Made
) -> None:
    with rasterio.open(made.scene) as scene, rasterio.open(made.truth) as truth:
        for across, down in ((0.3, 0.35), (0.62, 0.81), (0.5, 0.6)):
            point(visit, viewer, across, down)
            wait(
                visit, r"!document.querySelector('[data-layer=truth] td').innerText.match(/\u2013/)"
            )
            drawn(viewer, 0.5)
            row, col = place_of(viewer)
            x, y = scene.xy(row, col)
            shown = viewer.query_selector(".xy").inner_text()
            assert list(map(float, shown.split(","))) == pytest.approx([x, y], abs=0.01)
            degrees = transform(scene.crs, "EPSG:4326", [x], [y])
            shown = viewer.query_selector(".lonlat").inner_text()
            assert list(map(float, shown.split(","))) == pytest.approx(
                np.ravel(degrees).tolist(), abs=2e-6
            )
            at = viewer.query_selector(".at").inner_text()
            if at:
                col, row = map(int, re.findall(r"\d+", at))
            window = rasterio.windows.Window(col, row, 1, 1)
            for key, raster in (("source", scene), ("truth", truth)):
                assert values(viewer, key) == raster.read(window=window).ravel().tolist()
            ours, theirs = values(viewer, "translation"), values(viewer, "truth")
            assert values(viewer, "error") == [a - b for a, b in zip(ours, theirs, strict=True)]


def values(viewer: Any, key: str) -> list[float]:
    cells = viewer.query_selector_all(f".values tr[data-layer={key}] td")
    return [float(text) for cell in cells if (text := cell.inner_text())]


def test_nodata_is_named_and_transparent(visit: Visit, viewer: Any) -> None:
    at = viewer.evaluate(
        "root => { const v = root.viewer; return [(90 - v.left) * v.scale, (40 - v.top) * v.scale]}"
    )
    viewer.evaluate("(root, at) => root.viewer.point(...at)", at)
    drawn(viewer, 0.5)
    row = viewer.query_selector(".values tr[data-layer=source] td")
    assert row.inner_text() == "no data"
    color = viewer.query_selector("canvas").evaluate(
        "(canvas, at) => [...canvas.getContext('2d').getImageData(at[0] * devicePixelRatio, "
        "at[1] * devicePixelRatio, 1, 1).data]",
        at,
    )
    assert color[3] == 0


def test_finer_tiles_are_decoded_when_they_are_seen(visit: Visit, viewer: Any) -> None:
    viewer.evaluate("root => root.viewer.zoom(root.viewer.least ** -1 * 2)")
    wait(
        visit,
        "[...document.querySelector('.viewer').viewer.layers.get('source').images.values()]"
        ".some(image => image)",
    )
    assert viewer.evaluate("root => root.viewer.layers.get('error').images.size") == 0


def test_a_scene_without_reference_has_two_pictures(visit: Visit) -> None:
    second = visit.page.query_selector_all(".viewer")[1]
    second.scroll_into_view_if_needed()
    wait(visit, "document.querySelectorAll('.viewer')[1].viewer")
    options = second.query_selector_all(".left option")
    assert [each.inner_text() for each in options] == ["Source", "Translation"]
    point(visit, second, 0.5, 0.3)
    wait(
        visit,
        "document.querySelectorAll('.viewer')[1].querySelectorAll('[data-layer]').length === 2",
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width


def test_printed_pages_show_still_pictures(visit: Visit) -> None:
    visit.page.emulate_media(media="print")
    shown = visit.page.query_selector(".stills img").is_visible()
    hidden = visit.page.query_selector(".viewer").is_visible()
    visit.page.emulate_media(media="screen")
    assert shown and not hidden
