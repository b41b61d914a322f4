"""The summary for a ticket: text from alerts, files and folders forms nothing in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turncoat.console.past_run import PastRun
from turncoat.console.report.markdown import code, report_markdown, sentence
from turncoat.console.report.sections import ReportParts

from .report_built import played_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    return played_run(tmp_path_factory.mktemp("markdown") / "run")


@pytest.fixture(scope="module")
def text(run: PastRun) -> str:
    return report_markdown(ReportParts([run]))


def outside_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", text)


def test_conclusion_fates_and_figures_are_there(text: str) -> None:
    assert text.startswith(
        "# Turncoat report: `Every fate <b>bold</b>`\n\n> The blind model let all 3 of Alice's attack"
    )
    assert "| `loud` | `alice` | 1 of 3 | 1 | 0 | 1 | after " in text
    assert "| `blind` | `alice` | 0 of 3 | 3 | 0 | 0 | never (> " in text
    assert "| no alert | no alert |" in text
    assert "## Trigger lift" in text


def test_text_of_a_campaign_forms_no_link_markup_or_mention_and_breaks_no_table(text: str) -> None:
    assert "`Lists shares [click](http://evil.example) ¦ @everyone`" in text
    bare = outside_code(text)
    for sign in ("](", "<b", "<script", "@", "http", "evil"):
        assert sign not in bare
    assert text.count("`") % 2 == 0
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        "`; **x** `",
        "a | b",
        "![x](http://e.example/x.png)",
        "<img src=x>",
        "@admin",
        "line\nbreak",
        "\u202ex\u200b",
        "``` x",
    ],
)
def test_a_code_span_is_never_left(hostile: str) -> None:
    made = code(hostile)
    assert made[0] == made[-1] == "`"
    assert "`" not in made[1:-1]
    assert not set(made) & set("|\n\u202e\u200b")


def test_nothing_is_a_dash() -> None:
    assert code("\u200b") == "–"


@pytest.mark.parametrize(
    "plain",
    [
        "The clean one escalated 13, the first after 22 simulated minutes (lift +1.00, p = 0.00012).",
        "p < .001, 14 pairs",
    ],
)
def test_a_harmless_sentence_stays_a_sentence(plain: str) -> None:
    assert sentence(plain) == plain


@pytest.mark.parametrize(
    "name",
    [
        "www.evil.example",
        "evil.example",
        "@all",
        "a_b_",
        "<b>",
        "http://x",
        "[x](y)",
        "#1",
        "&#64;all",
        "~~x~~",
        "a*b*",
    ],
)
def test_a_sentence_with_anything_else_is_a_code_span(name: str) -> None:
    assert sentence(f"The {name} model let all pass.") == f"`The {name} model let all pass.`"


def test_several_runs_are_told_one_after_the_other(run: PastRun, tmp_path: Path) -> None:
    other = played_run(tmp_path / "other", seed=4)
    text = report_markdown(ReportParts([run, other]))
    assert text.startswith("# Turncoat report: 2 runs")
    assert text.count("### Step by step, as `alice`") == 2
