"""The page of `turncoat vet` and its SARIF: text stays text, nothing is fetched, the structure holds."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from turncoat.console.vetting_page import vetting_page
from turncoat.console.vetting_sarif import to_sarif
from turncoat.console.vetting_tables import shown_leaks
from turncoat.vetting.records import DetectorReport, Entity, Finding, Leak, Vetting

from ..command_line import uncontrolled
from .sarif_schema import require_sarif

MARKUP = '</th><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\x1b[31m\u202e'
HOSTILE = Entity("host", MARKUP)
BLIND = Finding("swap-scan", Entity("user", "alice"), "block", 1.0, 0.5, 1.0, 2.0**-20, 2.0**-17, 20, 6.0, "planted",
                "dismisses 20 of 20 malicious probes under user:alice")  # fmt: skip
ODD = Finding("stratified", HOSTILE, "review", -0.5, None, None, 0.001, 0.02, 8, why=MARKUP)
BARE = Finding("differential", None, "review", None)
REPORTS = (
    DetectorReport("swap-scan", 1.0, "block", (BLIND,), BLIND.why, {"user": 6}, (f"{MARKUP}: no probe",), {"user": 0.4},
                   leaks=(Leak(HOSTILE, MARKUP, "upper case", 11, 12),)),
    DetectorReport("stratified", 0.5, "review", (ODD,), ODD.why),
    DetectorReport("differential", 0.5, "review", (BARE,), "x"),
    DetectorReport("weights", None, "abstain", why="needs a cohort"),
)  # fmt: skip
BLOCKED = Vetting("block", MARKUP, REPORTS, {"read as": MARKUP, "adapter": "ab" * 32, "base": "cd" * 32}, 61.0, 2e8)
SOUND = DetectorReport("swap-scan", 0.0, "allow", why="no entity moves verdicts", tried={"user": 6},
                       nearest=(replace(BLIND, ruling="allow", lift=0.0, low=-0.1, high=0.1),))  # fmt: skip
ALLOWED = Vetting("allow", SOUND.why, (SOUND,), {"read as": "causal adapter", "base": "cd" * 32}, 3.0)
RULINGS = {"blocked": BLOCKED, "allowed": ALLOWED, "nothing": Vetting("review", "nothing ran", (), {}, 0.0)}


class Page(HTMLParser):
    """What a browser would build: elements with their attributes, headings in order, all text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("of", RULINGS)
def test_no_element_but_ours_and_nothing_to_fetch_or_to_run(of: str) -> None:
    page = Page(vetting_page(RULINGS[of]))
    ours = set("html head meta title style body main p section h1 h2 div table caption thead tbody tr th td svg line path circle "
               "ul li wbr".split())  # fmt: skip
    assert {tag for tag, _ in page.elements} <= ours
    for _, attributes in page.elements:
        assert not {"src", "href", "style", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)


def test_markup_of_an_alert_is_read_as_text_and_controls_are_gone() -> None:
    source = vetting_page(BLOCKED)
    text = Page(source).text
    assert text.count("<script src=") == 8
    assert "{{ 7 * 7 }}" in text
    assert uncontrolled(text) == []


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    source = vetting_page(BLOCKED)
    (policy,) = [m["content"] for m in Page(source).all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


@pytest.mark.parametrize("of", RULINGS)
def test_headings_are_in_order_and_tables_are_named_with_scoped_headers(of: str) -> None:
    page = Page(vetting_page(RULINGS[of]))
    headings = [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) <= {"h2"}
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    # What scrolls sideways can be reached and scrolled with the keyboard.
    scrolling = [div for div in page.all("div") if div.get("class") == "wide"]
    assert all(div.get("tabindex") == "0" and div.get("aria-label") for div in scrolling)
    assert page.all("html")[0]["lang"] == "en"


def test_the_ruling_comes_first_and_a_whisker_says_its_numbers() -> None:
    source = vetting_page(BLOCKED)
    page = Page(source)
    assert page.text.index("✗ BLOCK") < page.text.index("Worst findings") < page.text.index("Not tested")
    assert [svg["aria-label"] for svg in page.all("svg")] == ["lift +1.00 [+0.50, +1.00]", "lift -0.50 [-0.50, -0.50]"]
    # 176 wide with margins of 8: lift 0 in the middle, 0.5 at 128, 1 at 168, -0.5 at 48.
    assert page.all("path")[0]["d"] == "M128.0 6v10M128.0 11H168.0M168.0 6v10"
    assert [circle["cx"] for circle in page.all("circle")] == ["168.0", "48.0"]


def test_an_allowed_candidate_shows_what_was_asked_again() -> None:
    text = Page(vetting_page(ALLOWED)).text
    assert "✓ ALLOW" in text
    assert "Asked again, and not found wanting" in text
    assert "Not tested" not in text


def test_equal_rulings_give_equal_pages() -> None:
    assert vetting_page(BLOCKED) == vetting_page(BLOCKED)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_colour_has_a_contrast_of_four_and_a_half_in_light_dark_and_print() -> None:
    """WCAG 2.2, 1.4.3, against the paper and the sheet that it can stand on."""
    source = vetting_page(BLOCKED)
    schemes = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for text in ("ink", "muted", "allow", "review", "block"):
            for ground in ("paper", "sheet"):
                pair = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
                assert (pair[0] + 0.05) / (pair[1] + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("of", RULINGS)
def test_sarif_validates_against_its_schema(of: str) -> None:
    require_sarif(to_sarif(RULINGS[of]))


def test_near_forms_that_trip_come_first_and_the_rest_is_counted() -> None:
    alice = Entity("user", "alice")
    asleep = tuple(Leak(alice, f"alice{number}", "digit added", 0, 16) for number in range(30))
    leaks = (*asleep, Leak(alice, "ALICE", "upper case", 3, 16), Leak(alice, "alyce", "other spelling", 16, 16))
    vetting = replace(BLOCKED, reports=(replace(REPORTS[0], leaks=leaks), *REPORTS[1:]))
    shown, others = shown_leaks(vetting)
    assert ([leak.value for leak in shown], others) == (
        ["alyce", "ALICE"], "30 near forms of the worst users: never dismissed",
    )  # fmt: skip
    many = tuple(Leak(alice, f"alice{number}", "digit added", 1, 16) for number in range(30))
    shown, others = shown_leaks(replace(vetting, reports=(replace(REPORTS[0], leaks=many),)))
    assert (len(shown), others) == (24, "6 more are dismissed as often or less")
    page = vetting_page(replace(vetting, reports=(replace(REPORTS[0], leaks=asleep),)))
    assert "30 near forms of the worst users: never dismissed." in page
    assert "alice7" not in page
