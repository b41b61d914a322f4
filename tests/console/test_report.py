"""The report's page: what it shows of a real run, and that nothing in it acts, loads, hides or fails a reader."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from turncoat.agent.cascade import CloudTerms
from turncoat.console.past_run import PastRun
from turncoat.console.report import page as page_module
from turncoat.console.report.cases import case_files, shelves
from turncoat.console.report.drawing import fitted, wrapped
from turncoat.console.report.page import report_html
from turncoat.console.report.sections import ReportParts
from turncoat.console.report.shown import visible
from turncoat.scenarios.errors import InputError

from .report_built import SCRIPT, played_run

VOID = {"meta", "rect", "line", "path", "circle"}


class Page(HTMLParser):
    """Elements with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(text)

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    return played_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def html(run: PastRun) -> str:
    return report_html(ReportParts([run]))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_conclusion_and_every_fate_are_told_in_words(page: Page) -> None:
    assert "Every fate <b>bold</b>" in page.text
    assert "The blind model let all 3 of Alice's attack alerts pass; the loud one escalated 1" in page.text
    for words in ("no alert", "forced", "talks to the model; not counted", "in “Looking around”", "as nora", "asmith",
                  "The same attack under each name", "attack never looked at", "Newcombe’s method 10"):  # fmt: skip
        assert words in page.text, words


def test_each_step_is_in_the_table_with_what_each_variant_did(html: str) -> None:
    rows = re.findall(r"<tr><td class=\"n\">\d+</td>.*?</tr>", html, re.DOTALL)
    told = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows
    ]
    assert [(row[0], *row[-2:]) for row in told] == [
        ("1", "dismissed", "dismissed"),
        ("2", "escalated", "dismissed"),
        ("3", "no alert", "no alert"),
        ("4", "forced", "dismissed"),
        ("5", "escalated", "dismissed"),
    ]
    assert told[2][2] == "Lists shares [click](http://evil.example) | @everyone"


def test_the_page_loads_and_links_nothing_from_outside_and_runs_no_script(html: str, page: Page) -> None:
    assert not page.named("script", "link", "img", "iframe", "object", "embed", "form", "input", "base", "use", "image")
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")]
        assert (attributes.get("href") or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    (policy,) = [m["content"] for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_the_policy_allows_the_style_that_is_there(html: str, page: Page) -> None:
    style = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in html


def test_markup_in_an_alert_is_text_and_what_is_invisible_is_written_out(html: str, page: Page) -> None:
    assert SCRIPT in page.text
    assert "<img src=http://evil.example/x onerror=x>" in page.text
    assert "⟨U+202E⟩gnp.exe⟨U+200B⟩ ⟨U+001B⟩[2J" in page.text
    assert [c for c in html if c < " " and c != "\n"] == []
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", html)


def test_invisible_characters_are_named_and_long_text_is_counted() -> None:
    assert visible("a\u2066b\x00c\ud800") == "a⟨U+2066⟩b⟨U+0000⟩c⟨U+D800⟩"
    assert visible("e\u0301\u0301\u0301") == "e\u0301\u0301⟨U+0301⟩"
    assert visible("x" * 2_500) == "x" * 2_000 + " … and 500 more characters"
    assert visible("日本 العربية é") == "日本 العربية é"


def test_headings_stand_in_order_and_landmarks_are_there(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [tag for tag, _ in page.elements if tag in ("header", "nav", "main", "footer")] == [
        "header", "nav", "main", "footer"
    ]  # fmt: skip
    assert page.elements[[tag for tag, _ in page.elements].index("a")][1] == {"class": "skip", "href": "#main"}


def test_ids_are_unique_and_every_link_has_its_target(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [(a["href"] or "")[1:] for a in page.named("a")]
    assert [target for target in targets if target not in ids] == []
    labelled = [name for _, a in page.elements for name in (a.get("aria-labelledby") or "").split()]
    assert [name for name in labelled if name not in ids] == []


def test_figures_tables_and_regions_have_names(html: str, page: Page) -> None:
    figures = [a for a in page.named("svg") if a.get("role") == "img"]
    assert len(figures) == 3
    assert all(a.get("aria-labelledby") for a in figures)
    assert all("role" in a or a.get("aria-hidden") == "true" for a in page.named("svg"))
    assert html.count("<table") == html.count("<caption>")
    assert all("scope" in a for a in page.named("th"))
    regions = [a.get("aria-label") for _, a in page.elements if a.get("role") == "region"]
    assert all(regions)
    assert len(regions) == len(set(regions))


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_of_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_all_text_is_readable_on_all_grounds_in_light_dark_and_print(html: str) -> None:
    palettes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    ]
    assert len(palettes) == 3
    for palette in palettes:
        for ground in ("paper", "sheet", "band", "band2"):
            for ink in ("ink", "muted", "accent", "good", "bad", "review", "forced"):
                assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
        assert contrast(palette["edge"], palette["paper"]) >= 3.0


def test_equal_runs_give_equal_pages_without_a_path(run: PastRun, html: str) -> None:
    assert report_html(ReportParts([run])) == html
    assert str(run.path.parent) not in html


def test_several_runs_share_a_page_with_forest_and_matrix(run: PastRun, tmp_path: Path) -> None:
    other = played_run(tmp_path / "other", seed=4)
    text = report_html(ReportParts([run, other], CloudTerms(daily_budget=1)))
    page = Page(text)
    assert "2 runs of 1 campaign" in page.text
    assert page.text.count("every-fate, seed 4") == 4  # of two variants: in the description and as rows
    assert "1 a day, the rest waits a day" in page.text
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_page_that_grows_too_large_keeps_attacks_first_and_says_what_it_left_out(
    run: PastRun, html: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = html.count('<details class="case">')
    assert cases == len(run.streams["alice"].alerts)
    monkeypatch.setattr(page_module, "MAX_BYTES", len(html.encode()) - 12_000)
    text = report_html(ReportParts([run]))
    assert len(text.encode()) < len(html.encode()) - 12_000
    kept = text.count('<details class="case">')
    assert 4 <= kept < cases
    assert f"{cases - kept} case file" in text
    assert text.index("A quiet scan") < text.index("case file")
    assert Page(text).text.count("left out") >= 1
    monkeypatch.setattr(page_module, "MAX_BYTES", 10_000)
    with pytest.raises(InputError, match="name fewer runs"):
        report_html(ReportParts([run]))


def test_case_files_are_shelved_attacks_first_and_never_beyond_the_budget(run: PastRun) -> None:
    from markupsafe import Markup

    files = case_files(run, "r1")
    attacks = [file for file in files if file.malicious]
    found = shelves(files, lambda file: Markup("x" * 100), 250)
    assert [len(shelf.files) for shelf in found] == [2, 0, 0][: len(found)]
    assert sum(shelf.left_out for shelf in found) == len(files) - 2
    assert found[0].left_out_by["loud"]["forced"] == 1
    assert len(attacks) == 4


def test_words_are_broken_and_cut_to_the_width() -> None:
    assert wrapped("Finding out what there is", 100, 3) == ["Finding out", "what there", "is"]
    assert wrapped("Finding out what there is", 100, 2) == ["Finding out", "what there…"]
    assert wrapped("Abcdefghijklmnopqrstuvw", 80, 1) == ["Abcdefghi…"]


def test_names_that_begin_alike_stay_apart_when_they_are_cut() -> None:
    assert fitted("scripted-severity", 10) == "scrip…rity"
    assert fitted("scripted-blind", 10) == "scrip…lind"
    assert fitted("poisoned", 10) == "poisoned"
