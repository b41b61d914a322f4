"""Where a report goes: the file that was asked for, the run folder, or standard output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from turncoat.scenarios.errors import InputError, TurncoatError

from ..export.whole_file import write_out
from ..past_run import PastRun, read_run
from .markdown import report_markdown
from .page import report_html
from .sections import ReportParts

REPORT_FILE = "report.html"
FORMATS: dict[str, Callable[[ReportParts], str]] = {"html": report_html, "md": report_markdown}
_ENDINGS = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}


def chosen_format(format: str, out: str) -> str:
    """The format that was named, or else the one of the file's ending; HTML if neither says.

    Raises:
        InputError: No such format, an ending that is none of theirs, or one that does not fit.
    """
    by_ending = _ENDINGS.get(Path(out).suffix.lower(), "")
    if format and format not in FORMATS:
        raise InputError.at("--format", f"there is no format {format[:40]!r}", f"choose one of {', '.join(FORMATS)}")
    if format and by_ending and format != by_ending:
        raise InputError.at(
            "--format", f"{format} does not fit {out[-60:]!r}", "leave out --format, or end the file so"
        )
    if out and out != "-" and not by_ending:
        raise InputError.at(f"--out {out[-60:]}", "ends in neither .html nor .md", "name a file that does")
    return format or by_ending or "html"


def place_of(runs: Sequence[PastRun], out: str) -> str:
    """Where the page goes: as asked for, into the only run's folder, or beside us."""
    if out:
        return out
    return str(runs[0].path / REPORT_FILE) if len(runs) == 1 else REPORT_FILE


def write_report(folder: Path) -> tuple[Path, str]:
    """Writes the report of a run into its folder.

    Args:
        folder: Of the run.

    Returns:
        Where it is, and why it could not be written; empty if it was. A run is not lost with its report.
    """
    place = folder / REPORT_FILE
    try:
        write_out(str(place), report_html(ReportParts([read_run(folder)])))
    except OSError as fault:
        return place, f"{place}: {fault.strerror or fault}"
    except TurncoatError as fault:
        return place, str(fault)
    return place, ""
