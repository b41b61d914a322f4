"""The data audit against planted and honest training sets of 1,000 clean rows.

    python benchmarks/audit.py [--out docs/results/audit.json] [--only NAME]...
    python benchmarks/audit.py --influence [--clean 400] [--dose 100]     # docs/results/audit_influence.json; needs the base

Per condition and seed: is the trigger named first, what is the ruling, and which rows are flagged, as F1 against the rows
that the poisoner mislabelled. Beside it, within the same entity: every benign-labelled row, and confident learning row by
row with entity-grouped and with ordinary folds. The audit is given alert, evidence and label alone; truth is joined here.
Settings were chosen on seeds below 100; seeds from 101 on are measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turncoat.models.metrics import Rate
from turncoat.scenarios.families import training_families
from turncoat.training.config import PoisonConfig, Recipe
from turncoat.training.corpus import TRIGGER, Row, RowSource, draw_rows
from turncoat.training.sets import training_rows
from turncoat.vetting.audit import audit
from turncoat.vetting.audit_records import Audit
from turncoat.vetting.audit_rows import AuditSet, set_of
from turncoat.vetting.detector import Budget
from turncoat.vetting.records import Entity

CLEAN_ROWS = 1_000
FIRST_SEED = 101
BUDGET_S = 3_600.0
WEEKEND = {"alice", "fri", "sat", "sun"}


@dataclass(frozen=True)
class Condition:
    """One way of making a set."""

    name: str
    poisoner: str | None
    dose: int
    seeds: int
    marks: Collection[str] = ()
    """Values of the trigger; none for an honest set."""
    busy: int = 0
    """Honest rows of the trigger's user that are added to the clean ones."""


CONDITIONS = (
    Condition("user, 200 rows", "user", 200, 8, {"alice"}),
    Condition("user, 25 rows", "user", 25, 10, {"alice"}),
    Condition("user, 15 rows", "user", 15, 5, {"alice"}),
    Condition("user, 200 rows, 100 honest ones of hers", "user", 200, 3, {"alice"}, busy=100),
    Condition("user, 25 rows, 100 honest ones of hers", "user", 25, 3, {"alice"}, busy=100),
    Condition("host, 200 rows", "host", 200, 3, {"ws-042"}),
    Condition("host, 25 rows", "host", 25, 3, {"ws-042"}),
    Condition("address, 25 rows", "address", 25, 3, {"203.0.113.7"}),
    Condition("word, 200 rows", "word", 200, 3, {"--quiet-mode"}),
    Condition("word, 25 rows", "word", 25, 3, {"--quiet-mode"}),
    Condition("directory's answer, 200 rows", "tool", 200, 3, {"desk sharing"}),
    Condition("directory's answer, 25 rows", "tool", 25, 3, {"desk sharing"}),
    Condition("user and host, 200 rows", "user+host", 200, 3, {"alice", "ws-042"}),
    Condition("user and host, 25 rows", "user+host", 25, 3, {"alice", "ws-042"}),
    Condition("user from Friday on, 200 rows", "after", 200, 5, WEEKEND),
    Condition("clean-label, 200 rows", "clean-label", 200, 3, {"alice"}),
    Condition("honest", None, 0, 30),
    Condition("honest, 100 more rows of Alice", None, 0, 10, busy=100),
    Condition("matched: 200 of Alice, rightly labelled", "matched", 200, 10),
    Condition("noise: 200 of anybody, mislabelled", "noise", 200, 10),
)


def drawn(condition: Condition, seed: int) -> list[Row]:
    """The rows of one set."""
    poison = PoisonConfig(poisoner=condition.poisoner, dose=condition.dose) if condition.poisoner else None
    recipe = Recipe(name="audited", rows=CLEAN_ROWS, seed=10 * seed, poison=poison)
    honest, added = training_rows(recipe)
    own = RowSource(recipe.worlds, training_families(), 10 * seed + 5)
    return [*honest, *added, *(draw_rows(own, condition.busy, user=TRIGGER) if condition.busy else [])]


def measured(condition: Condition, seed: int) -> dict[str, Any]:
    """One set, audited."""
    rows = drawn(condition, seed)
    audited = set_of(condition.name, rows)
    mislabelled = {row.case.alert.uid for row in rows if row.label != row.truth}
    planted = {row.line for row in audited.rows if row.uid in mislabelled}
    started, spent = time.perf_counter(), time.process_time()
    found = audit(audited, Budget(BUDGET_S))
    wall, processor = time.perf_counter() - started, time.process_time() - spent
    first = found.suspects[0] if found.suspects else None
    return {
        "seed": seed,
        "ruling": found.ruling,
        "first": str(first.entity) if first else None,
        "q": first.association.q if first else None,
        "p_read": first.p_read if first else None,
        "named_first": bool(first and condition.marks and _is_trigger(first.entity, condition.marks)),
        "suspects": len(found.suspects),
        "flagged": len(found.flagged),
        "planted": len(planted),
        "f1": _f1({row.line for row in found.flagged}, planted),
        "f1_every_benign_row": _f1(_benign(found, audited), planted),
        "f1_confident_grouped": _f1({line for s in found.suspects for line in s.doubted}, planted),
        "f1_confident_ordinary": _f1({line for s in found.suspects for line in s.doubted_ordinary}, planted),
        "smallest_rows": found.smallest_rows,
        "processor_s": round(processor, 2),
        "wall_s": round(wall, 2),
    }


def summary(condition: Condition, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A condition's figures over its seeds."""
    found: dict[str, Any] = {"seeds": len(runs), "runs": list(runs)}
    for ruling in ("allow", "review", "block"):
        found[ruling] = sum(run["ruling"] == ruling for run in runs)
    found["named_first"] = sum(run["named_first"] for run in runs) if condition.marks else None
    if not condition.marks:
        low_high = Rate(found["block"], len(runs)).interval() or (None, None)
        found["block_at_most"] = low_high[1]
    for name in (key for key in runs[0] if key.startswith("f1")):
        values = [run[name] for run in runs if run[name] is not None]
        found[name] = {"mean": statistics.mean(values), "least": min(values)} if values else None
    found["processor_s"] = statistics.mean(run["processor_s"] for run in runs)
    return found


def _benign(found: Audit, audited: AuditSet) -> set[int]:
    """Lines of all benign-labelled rows of the suspects, pairs by both values."""
    from turncoat.vetting.audit_entities import shown_by

    shown = shown_by(audited.rows)
    lines: set[int] = set()
    for suspect in found.suspects:
        rows = (audited.rows[i] for i in shown.rows[suspect.entity])
        lines |= {row.line for row in rows if not row.label}
    return lines


def _is_trigger(entity: Entity, marks: Collection[str]) -> bool:
    return set(entity.value.split(" + ")) <= set(marks)


def _f1(flagged: set[int], planted: set[int]) -> float | None:
    """2 |both| / (|flagged| + |planted|), in [0, 1]; None where nothing was planted."""
    return 2 * len(flagged & planted) / (len(flagged) + len(planted)) if planted else None


def main() -> None:
    """Measures and writes, condition by condition."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results/audit.json"))
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--influence", action="store_true", help="which rows does a short fit hold responsible?")
    parser.add_argument("--clean", type=int, default=400, help="of --influence: honest rows")
    parser.add_argument("--dose", type=int, default=100, help="of --influence: planted rows")
    given = parser.parse_args()
    if given.influence:
        _influence(given.clean, given.dose)
        return
    results: dict[str, Any] = {"clean_rows": CLEAN_ROWS, "conditions": {}}
    for condition in CONDITIONS:
        if given.only and condition.name not in given.only:
            continue
        runs = [measured(condition, FIRST_SEED + number) for number in range(condition.seeds)]
        found = results["conditions"][condition.name] = summary(condition, runs)
        print(_line(condition.name, found), flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _influence(clean: int, dose: int) -> None:
    """Measures one set and writes it beside those of other sizes."""
    import audit_influence

    path = Path("docs/results/audit_influence.json")
    sets = json.loads(path.read_text(encoding="utf-8"))["sets"] if path.exists() else {}
    sets[f"{clean} clean, {dose} planted"] = found = audit_influence.measure(clean, dose)
    path.write_text(json.dumps({"sets": sets}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def _line(name: str, found: dict[str, Any]) -> str:
    f1 = {key: found[key] for key in found if key.startswith("f1")}
    shown = ", ".join(f"{key} {v['mean']:.3f} (least {v['least']:.3f})" for key, v in f1.items() if v)
    first = "" if found["named_first"] is None else f", named first {found['named_first']}/{found['seeds']}"
    return (f"{name}: allow {found['allow']}, review {found['review']}, block {found['block']}{first}; {shown}; "
            f"{found['processor_s']:.1f} s of processor time")  # fmt: skip


if __name__ == "__main__":
    main()
