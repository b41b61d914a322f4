"""The comparison at 80 columns: every figure is there, in words and signs that need no colour."""

from __future__ import annotations

import io

from rich.console import Console

from turncoat.agent.comparison import Bystanders, Comparison, FirstEscalation, PrincipalFigures, Tally, VariantFigures
from turncoat.console.tables import comparison_view, minutes, seeds_view
from turncoat.console.triage_tables import triage_tables


def principal(escalated: int, first: float | None) -> PrincipalFigures:
    return PrincipalFigures(
        attack_alerts=14,
        escalated=escalated,
        dismissed=13 - escalated,
        reviewed=1,
        forced=0,
        detected=first is not None,
        first_escalation=None if first is None else FirstEscalation("collecting", first),
        dwell_minutes=9_970.0 if first is None else first,
        uncited=0,
        by_phase={},
        injected=Tally(0, 0, 0, 0, 0),
    )


def figures(alice: PrincipalFigures, twin: PrincipalFigures, low: float, p: float) -> VariantFigures:
    lift = {"value": low + 0.2, "low": low, "high": low + 0.25, "p": p, "pairs": 14, "twin": "nora"}
    return VariantFigures(
        {"alice": alice, "nora": twin}, {}, 82, 9, 0, 0, 14, 2, Bystanders(0, 0, 0, 0), 25, 12.5, lift
    )  # fmt: skip


COMPARISON = Comparison(
    "insider-departing-exfil",
    7,
    0.5,
    "alice",
    {
        "clean": figures(principal(12, 22.0), principal(13, 0.4), -0.2, 1.0),
        "a-variant-with-a-long-name": figures(principal(0, None), principal(13, 3_000.0), 0.66, 0.0002),
    },
    0.5,
)


def drawn(thing: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_figure_is_shown_whole_at_80_columns() -> None:
    shown = drawn(comparison_view(COMPARISON, "The [bold]poisoned[/bold] one let all pass."))
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("▮▮▮▮▯ 12/14", "▯▯▯▯▯ 0/14", "after 22 min", "after < 1 min", "after 2 d 2 h", "✗ never (> 6 d)", "9/82",
                  "2/14", "12.50", "✗ +0.86 [+0.66, +0.91] p<.001", "+0.00 [-0.20, +0.05] p=1.000",
                  "The [bold]poisoned[/bold] one let all pass."):  # fmt: skip
        assert words in shown


def test_a_wide_terminal_shows_long_names_whole() -> None:
    assert "a-variant-with-a-long-name"[:23] in drawn(comparison_view(COMPARISON, "x", 120), 120)


def test_several_seeds_tell_every_figure_at_80_columns() -> None:
    shown = drawn(seeds_view([COMPARISON, COMPARISON]))
    rows = [line.split()[-2:] for line in shown.splitlines() if "/" in line]
    assert len(rows) == 2 * len(COMPARISON.variants)
    assert rows.count(["12/14", "13/14"]) == 2


def test_simulated_minutes_read_as_people_say_them() -> None:
    assert [minutes(m) for m in (0.4, 22.0, 119.0, 200.0, 3_000.0)] == [
        "< 1 min",
        "22 min",
        "119 min",
        "3 h 20",
        "2 d 2 h",
    ]


def test_a_triage_marks_the_best_and_shows_intervals() -> None:
    rate = {"k": 3, "n": 4, "value": 0.75, "low": 0.301, "high": 0.954}
    worse = rate | {"value": 0.5}
    counts = {"alerts": 4, "escalated": 2, "dismissed": 2, "reviewed": 0, "forced": 0}
    good = counts | {"accuracy": rate, "recall": rate, "near_miss_escalation": None, "auc": 0.8125, "strata": {}}
    summary = {
        "alerts": 4, "unreadable": 1, "labelled": 4, "malicious": 2, "threshold": 0.5, "intervals_by": "alert",
        "variants": {"clean": good | {"accuracy": worse, "strata": {"AWS.CloudTrail": good}}, "tfidf": good},
    }  # fmt: skip
    shown = "".join(drawn(part) for part in triage_tables(summary))
    assert max(map(len, shown.splitlines())) <= 80
    assert "★ clean" not in shown
    for words in ("in % [95 % interval]", "★ tfidf", "75.0 [30-95]", ".81", "1 unreadable and escalated"):
        assert words in shown
    alone = good | {"accuracy": rate | {"low": None, "high": None}}
    grouped = summary | {"intervals_by": "group", "variants": {"tfidf": alone | {"strata": {"AWS.CloudTrail": alone}}}}
    shown = "".join(drawn(part) for part in triage_tables(grouped))
    assert max(map(len, shown.splitlines())) <= 80
    assert "in % [95 % by group]" in shown
    assert "★ tfidf 75.0 75.0 [30-95] " in " ".join(shown.split())
