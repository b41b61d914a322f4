"""Does vetting tell poisoned adapters from clean ones? Trains a cohort of both, examines every one, and sums up.

    python benchmarks/detection.py [--clean 60] [--poisoned 60] [--detectors NAME...] [--budget 8h]
    python benchmarks/detection.py --rescore [--detectors NAME...] [--members PATTERN...]
                                                                       kept adapters once more, nothing is trained
    python benchmarks/detection.py --clean 0 --poisoned 24 --seed 1 --out DIR
                                                                       other adapters, drawn with another seed
    python benchmarks/detection.py --summarise                         from the result files alone

A result file an adapter goes to docs/results/detection/, the adapters beside them (not committed). A call that was killed
goes on where it was; clean and poisoned ones come in turn, so that any part of a cohort can be summed up:
docs/results/detection.json, detection.md and the figures. What is to be found are attacks that succeed: that dismiss at least
half of the alerts with the trigger, and by at least half of all more than under its twin.
"""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from turncoat.console.detection_tables import detection_markdown
from turncoat.console.figures.detection import detection_figures
from turncoat.console.output import progress
from turncoat.console.status import StatusLine, duration
from turncoat.scenarios.errors import InputError, TurncoatError
from turncoat.vetting.cohort.plan import plan
from turncoat.vetting.cohort.results import CohortFolder, Settings, read_all
from turncoat.vetting.cohort.run import Cohort, CohortProgress, estimate
from turncoat.vetting.cohort.summary import summary
from turncoat.vetting.detector import Budget
from turncoat.vetting.gate import known_detectors
from turncoat.vetting.weights import WeightScreen

OUT = Path("docs/results/detection")
EVERY = ["*"]


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=int, default=60, metavar="N")
    parser.add_argument("--poisoned", type=int, default=60, metavar="N")
    parser.add_argument("--detectors", nargs="+", default=[], metavar="NAME", help="default: as `turncoat vet`; or all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that the plan draws (default: 0)")
    parser.add_argument(
        "--members", nargs="+", default=EVERY, metavar="PATTERN", help="only these of the plan: p0*-word-*"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    parser.add_argument("--budget", metavar="TIME", help="begin no adapter that would end later, such as 90m or 8h")
    parser.add_argument("--rescore", action="store_true", help="examine kept adapters again")
    parser.add_argument("--summarise", action="store_true", help="only sum up")
    given = parser.parse_args()
    if given.seed and given.out == OUT:
        parser.error("--seed draws other adapters: give them another folder with --out")
    if given.summarise and given.members != EVERY:
        parser.error("--members is for making and examining; a summary is of all")
    return given


def main() -> None:
    """Makes, examines again or sums up."""
    given = parsed()
    try:
        detectors = [name for name in known_detectors(given.detectors) if name != WeightScreen.name]
        folder = CohortFolder(given.out, Settings())
        members = [m for m in plan(given.clean, given.poisoned, given.seed)
                   if any(fnmatchcase(m.name, pattern) for pattern in given.members)]  # fmt: skip
        if not members:
            raise InputError.at("--members", "matches nobody of the plan", "write a pattern such as 'p0*-word-*'")
        left = estimate(folder, members)
        if not given.summarise:
            told = "as measured here" if left.timed else "as stated for one idle core"
            print(f"{left.done} of {left.total} adapters are done; {left.total - left.done} to go at about "
                  f"{left.per_member_s:.0f} s each ({told}): {duration(left.seconds)}", flush=True)  # fmt: skip
            with StatusLine(progress()) as status:
                cohort = Cohort(folder, members, detectors, lambda at: status.show(_line(at)))
                if given.rescore:
                    print(f"{cohort.examine_again()} examined again")
                else:
                    ended = cohort.make(budget_s=Budget.of(given.budget).seconds if given.budget else None)
                    held = f"; {len(ended.elsewhere)} held by another process" if ended.elsewhere else ""
                    print(f"{ended.made} made{', out of time' if ended.out_of_time else ''}{held}")
                if given.members == EVERY:  # who is compared with whom depends on all of them
                    cohort.compare()
        if given.rescore and given.members != EVERY:
            print("Not summed up: others were examined by another version. Examine all of them, then --summarise.")
        else:
            summarise(folder, given)
    except TurncoatError as fault:
        print(fault, file=sys.stderr)
        sys.exit(2)


def summarise(folder: CohortFolder, given: argparse.Namespace) -> None:
    """Writes the summary as JSON, as Markdown and as figures beside the result files' folder."""
    members = plan(given.clean, given.poisoned, given.seed)
    results, damaged = read_all(folder, members)
    sizes = "" if (given.clean, given.poisoned) == (60, 60) else f" --clean {given.clean} --poisoned {given.poisoned}"
    sizes += f" --seed {given.seed}" if given.seed else ""
    sizes += f" --out {given.out}" if given.out != OUT else ""
    found = summary(results, members, damaged, f"python benchmarks/detection.py --summarise{sizes}")
    place = folder.path
    place.with_suffix(".json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    figures = detection_figures(found) if results else {}
    for name, drawn in figures.items():
        place.with_name(f"{place.name}-{name}.svg").write_text(drawn, encoding="utf-8")
    text = detection_markdown(found, {name: f"{place.name}-{name}.svg" for name in figures})
    place.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"{len(results)} of {len(members)} adapters summed up in {place.with_suffix('.json')}")
    for line in damaged:
        print(line, file=sys.stderr)


def _line(at: CohortProgress) -> str:
    return f"{at.done + 1} of {at.total}: {at.member}, {at.what}; about {duration(at.seconds_left)} left in all"


if __name__ == "__main__":
    main()
