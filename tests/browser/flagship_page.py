"""The report page of a real flagship run, as CI builds it: .ci/wheel-check names the page in TURNCOAT_REPORT.

No `test_` in the file's name: pytest collects it only where it is named, so that nothing is skipped elsewhere.

    TURNCOAT_REPORT=runs/insider-departing-exfil-001/report.html python -m pytest tests/browser/flagship_page.py
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .looks import axe_violations, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LARGEST = 3_000_000
"""Bytes of a page that can be mailed."""


@pytest.fixture(scope="module")
def report() -> Path:
    return Path(os.environ["TURNCOAT_REPORT"]).resolve(strict=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_contrast_headings_and_the_rest_of_axe(
    scheme: str, width: int, report: Path, chromium: Browser, axe: str
) -> None:
    with opened(chromium, report, width=width, scheme=scheme, bypass_csp=True) as (page, _):
        assert axe_violations(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_it_opens_offline_and_asks_for_nothing(report: Path, chromium: Browser) -> None:
    with opened(chromium, report) as (page, heard):
        page.context.set_offline(True)
        page.reload()
        assert page.locator("h1").count() == 1
        assert [url for url in heard.asked if url != report.as_uri()] == []
        assert heard.complaints == []
    assert report.stat().st_size < LARGEST


def test_headings_descend_without_a_gap(report: Path, chromium: Browser) -> None:
    with opened(chromium, report) as (page, _):
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_text_of_alerts_stays_text(report: Path, chromium: Browser) -> None:
    """The flagship's own command lines hold quotes, ampersands and angle brackets; none becomes an element."""
    source = report.read_text(encoding="utf-8")
    assert re.search(r"&(?:lt|amp|quot|#3[49]);", source)
    with opened(chromium, report) as (page, _):
        assert page.locator("script, iframe, object, embed, form, link[rel=stylesheet], img[src^=http]").count() == 0
        names = page.evaluate("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))")
        assert [name for name in names if name.startswith("on")] == []


def test_every_alert_has_its_case_file_with_the_variants_side_by_side(report: Path, chromium: Browser) -> None:
    with opened(chromium, report) as (page, _):
        cases = page.locator("details.case")
        assert cases.count() > 90  # 96 alerts as the actor alone
        cases.first.locator("summary").focus()
        page.keyboard.press("Enter")
        assert cases.first.get_attribute("open") is not None
        text = cases.first.inner_text()
        assert "clean" in text
        assert "poisoned" in text
