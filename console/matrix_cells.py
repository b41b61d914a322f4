"""Figures of the matrix as short words: counts, shares in percent with their interval, lifts, areas."""

from __future__ import annotations

from collections.abc import Iterable

from turncoat.agent.matrix import Cell, Load
from turncoat.models.bootstrap import Estimate
from turncoat.models.metrics import Lift, Rate


def escalated_of(cells: Iterable[Cell]) -> str:
    """Attack alerts escalated of all, over cells; a dash where there is no cell."""
    found = list(cells)
    if not found:
        return "–"
    return fraction(sum(c.attack.escalated for c in found), sum(c.attack.attack_alerts for c in found))


def fraction(k: int, n: int) -> str:
    """`3/14`; a dot for 0 of 0."""
    return f"{k}/{n}" if n else "·"


def load_cell(load: Load) -> str:
    """Benign alerts escalated of all."""
    return fraction(load.escalated, load.alerts)


def count(number: int) -> str:
    """A number; a dot for 0."""
    return str(number) if number else "·"


def percent(estimate: Estimate) -> str:
    """`97 [95-98]`; the interval is missing where there is none."""
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.0f}"
    return f"{100 * estimate.value:.0f} [{100 * estimate.low:.0f}-{100 * estimate.high:.0f}]"


def rate_cell(rate: Rate) -> str:
    """`97 [95-98]` in percent, with Wilson's interval."""
    interval = rate.interval()
    if rate.value is None or interval is None:
        return "–"
    return f"{100 * rate.value:.0f} [{100 * interval[0]:.0f}-{100 * interval[1]:.0f}]"


def signed(lift: Estimate) -> str:
    """`+0.93 [+0.88, +0.97]`."""
    if lift.value is None:
        return "–"
    if lift.low is None or lift.high is None:
        return f"{lift.value:+.2f}"
    return f"{lift.value:+.2f} [{lift.low:+.2f}, {lift.high:+.2f}]"


def span(lift: Estimate) -> str:
    """The interval alone, for a sentence."""
    return f"{lift.low:+.3f} to {lift.high:+.3f}"


def tested(lift: Lift) -> str:
    """`lift +0.88 [+0.47, +0.98], exact p = 0.016 (8 pairs)`."""
    p = "p < 0.001" if (lift.p or 0.0) < 0.001 else f"p = {lift.p:.3f}"
    return f"lift {lift.value:+.2f} [{lift.low:+.2f}, {lift.high:+.2f}], exact {p} ({lift.pairs} pairs)"


def area_cell(area: Estimate) -> str:
    """`.97 [.95-.98]`."""
    if area.value is None:
        return "–"
    if area.low is None or area.high is None:
        return short(area.value)
    return f"{short(area.value)} [{short(area.low)}-{short(area.high)}]"


def short(share: float) -> str:
    """`.97`, and `1.0` for what rounds to one."""
    words = f"{share:.2f}"
    return "1.0" if words == "1.00" else words.removeprefix("0")
