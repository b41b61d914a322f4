"""Did anything get slower? Compares the ratios of two result files of one benchmark, never their seconds.

    python benchmarks/compare.py docs/results/inference.json new.json [--tolerance 0.2]

Ratios to peers, fractions of the machine's peak, and shares: what is measured within one run on one machine. Prints those
that are worse by more than the tolerance, and ends with 1 if there are any. Files of different dtypes do not compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MORE_IS_BETTER = {"times_ours": True, "times_best_peer": True, "times_swap_set": True, "fraction": True,
                  "fraction_of_peak": True, "three_to_one": False,
                  "graph_over_bulk": False, "outside_share": False}  # fmt: skip
"""Names of ratios in the files, and which way they shall go."""


def main() -> None:
    """Compares and says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.2, help="share of the old ratio")
    given = parser.parse_args()
    old, new = (json.loads(file.read_text(encoding="utf-8")) for file in (given.old, given.new))
    dtypes = [found.get("machine", {}).get("dtype") for found in (old, new)]
    if dtypes[0] != dtypes[1]:
        parser.error(f"measured in {dtypes[0]} and in {dtypes[1]}: measure both in one dtype")
    before, now = dict(ratios(old)), dict(ratios(new))
    both = [place for place in before if place in now]
    if not both:
        parser.error("the files have no ratio in common: name two results of one benchmark")
    worse = []
    for place in both:
        gain = now[place] / before[place] if before[place] else 1.0
        if (gain < 1 - given.tolerance) if MORE_IS_BETTER[kind(place)] else (gain > 1 + given.tolerance):
            worse.append(f"{' / '.join(map(str, place))}: {before[place]:.3f} -> {now[place]:.3f}")
    print("\n".join([*worse, f"{len(worse)} of {len(both)} ratios are worse by more than {given.tolerance:.0%}"]))
    sys.exit(1 if worse else 0)


def ratios(found: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Every ratio with its place in the file: the median, where there are several rounds."""
    if isinstance(found, dict):
        for name, value in found.items():
            if not (name == "times_ours" and str(place[-1]).startswith("ours")):  # ourselves by ourselves
                yield from ratios(value, (*place, name))
    elif isinstance(found, list):
        for number, value in enumerate(found):
            yield from ratios(value, (*place, number))
    elif isinstance(found, int | float) and kind(place) and place[-1] not in ("least", "most"):
        yield place, float(found)


def kind(place: tuple[str | int, ...]) -> str:
    """The ratio's name, or the empty string where a place holds none."""
    return next((str(part) for part in place if part in MORE_IS_BETTER), "")


if __name__ == "__main__":
    main()
