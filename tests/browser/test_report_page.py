"""The report of a run in a real browser: accessible in light and dark, narrow and wide, and links open case files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..console.report_built import built_report
from .looks import axe_violations, opened

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
    with opened(chromium, report, width=width, scheme=scheme, bypass_csp=True) as (page, _):
        assert axe_violations(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_asks_for_nothing_and_a_link_opens_the_case_file(report: Path, chromium: Browser) -> None:
    with opened(chromium, report) as (page, heard):
        assert page.locator("details[open]").count() == 0
        page.get_by_role("link", name="A quiet scan").click()
        page.wait_for_function("document.querySelectorAll('details[open]').length == 1")
        assert page.locator("details[open]").get_by_text("<script>alert(1)</script>").first.is_visible()
        assert [url for url in heard.asked if not url.startswith("file:")] == []
        assert heard.complaints == []  # the policy blocked nothing of the page's own
