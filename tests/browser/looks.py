"""A page on disk, opened in a browser, and what was heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass
class Heard:
    """What a page asked for and what the browser complained of."""

    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def opened(
    chromium: Browser, file: Path, *, width: int = 1280, scheme: str = "light", bypass_csp: bool = False
) -> Iterator[tuple[Page, Heard]]:
    """The page, with every request and console message since before it was loaded.

    Args:
        chromium: The browser.
        file: The page.
        width: Of the window, in pixels.
        scheme: `light` or `dark`.
        bypass_csp: Lets axe into a page whose policy refuses scripts.
    """
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=bypass_csp,
    )
    page = context.new_page()
    heard = Heard()
    page.on("request", lambda request: heard.asked.append(request.url))
    page.on("console", lambda message: heard.complaints.append(message.text))
    page.goto(file.as_uri())
    yield page, heard
    context.close()


def axe_violations(page: Page, axe: str) -> list[tuple[str, str]]:
    """Rule and first place of each violation of whatever weight, with everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.add_script_tag(content=axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
