"""A real Chromium for tests of pages, driven by Playwright; it reaches no other machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@dataclass
class Visit:
    """An open page, and what went wrong on it."""

    page: Any
    """Playwright's page."""
    errors: list[str] = field(default_factory=list)
    """Errors of the console and exceptions of scripts."""
    foreign: list[str] = field(default_factory=list)
    """Addresses that the page asked for and that it may not ask for; none were answered."""

    def check(self) -> None:
        """Fail if a script failed or the page asked for anything that is not its own."""
        assert self.errors == []
        assert self.foreign == []


@contextmanager
def visiting(
    address: str, *, width: int = 1440, height: int = 900, dark: bool = False
) -> Iterator[Visit]:
    """Open a `file://` or `http://127.0.0.1:port/` address; the visit is checked at its end."""
    from playwright.sync_api import sync_playwright

    own = own_addresses(address)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            visit = Visit(page)
            page.on("pageerror", lambda error: visit.errors.append(str(error)))
            page.on("console", lambda said: said.type == "error" and visit.errors.append(said.text))

            def answer(route: Any) -> None:
                asked = route.request.url
                if own(asked):
                    route.continue_()
                else:
                    visit.foreign.append(asked)
                    route.abort()

            page.route("**/*", answer)
            page.goto(address)
            yield visit
            visit.check()
        finally:
            browser.close()


def own_addresses(address: str) -> Callable[[str], bool]:
    """Return a function that tells whether an address belongs to a page: its file or its server."""
    inside = ("data:", "blob:", "about:")
    if address.startswith("file:"):
        return lambda asked: asked.startswith((address, *inside))
    server = "/".join(address.split("/")[:3]) + "/"
    return lambda asked: asked.startswith((server, *inside))
