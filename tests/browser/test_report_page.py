"""The report of a run in a real browser: accessible in light and dark, narrow and wide, and links open case files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..console.report_built import built_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_report(tmp_path_factory.mktemp("report") / "run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_no_violation_on_the_report(
    scheme: str, width: int, report: Path, chromium: Browser, axe: str
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )  # fmt: skip
    page = context.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.add_script_tag(content=axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def test_the_page_asks_for_nothing_and_a_link_opens_the_case_file(report: Path, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(report.as_uri())
    assert page.locator("details[open]").count() == 0
    page.get_by_role("link", name="A quiet scan").click()
    page.wait_for_function("document.querySelectorAll('details[open]').length == 1")
    assert page.locator("details[open]").get_by_text("<script>alert(1)</script>").first.is_visible()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert complaints == []  # the policy blocked nothing of the page's own
    context.close()
