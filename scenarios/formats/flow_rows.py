"""What the readers of published flow sets share: CSV lines read one by one, and a flow as an alert.

No rule fired on a flow, so title and severity are the same for all of them. A flow's label never reaches the alert: it
stands beside it, with the attack's category as the stratum. Flows that must fall on one side of a split have a protocol
and service, or a destination port, in common.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from ..errors import InputError, Mistake
from ..records import Alert, Entities, Severity
from .flatten import bounded
from .lines import _bounded_lines
from .records import LabelledAlert

MOST_COLUMNS = 200
_LONGEST_LINE = 1 << 16
"""Characters; a flow has some 500."""

Cells = Mapping[str, str]
"""Column, as published but without spaces around it -> the cell's text, stripped."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One line."""

    place: str
    number: int
    cells: tuple[str, ...]


def read_flows(
    path: Path,
    begin: Callable[[Path, CsvRow], tuple[Sequence[str], bool]],
    parse: Callable[[Cells, CsvRow], LabelledAlert],
) -> Iterator[LabelledAlert | Mistake]:
    """Alerts of a CSV file, one a row; a row that cannot be read is a `Mistake`, one without any value is passed over.

    Args:
        path: The file; UTF-8, or Windows-1252 as some of the published files are.
        begin: Given the first row, the column names and whether that row is a header; raises InputError where it is
            neither header nor row of the set.
        parse: Makes the alert; raises `ValueError` where it cannot.

    Raises:
        InputError: The file is empty, cannot be read, or is not of the set.
    """
    names: Sequence[str] = ()
    for row in _rows(path):
        if isinstance(row, Mistake):
            yield row
            continue
        if not any(row.cells):
            continue
        if not names:
            names, is_header = begin(path, row)
            if is_header:
                continue
        if len(row.cells) != len(names):
            fault = f"has {len(row.cells)} values, not {len(names)}"
            yield Mistake(row.place, fault, "mend the line or leave it out")
            continue
        try:
            # Of a column that stands twice the first one counts (`Fwd Header Length` in CICIDS2017).
            yield parse(dict(reversed(list(zip(names, row.cells, strict=True)))), row)
        except ValueError as error:
            yield Mistake(row.place, bounded(" ".join(str(error).split()), 300), "mend the line or leave it out")
    if not names:
        raise InputError.at(path, "is empty", "give a CSV file of the set")


def flow_alert(
    cells: Cells, row: CsvRow, product: str, *, time: datetime, activity: str, source: str = "", target: str = "",
    raw: Mapping[str, str],
) -> Alert:  # fmt: skip
    """A flow as an alert.

    Args:
        cells: Whole row, from which the uid is made; it tells nothing of label or order.
        row: Where it stands.
        product: Who measured the flow.
        time: When it began.
        activity: One line that says what went over the wire.
        source: Address from which it came; empty where the set does not say.
        target: Address to which it went.
        raw: Measurements.

    Raises:
        ValueError: An address is none.
    """
    for address in filter(None, (source, target)):
        try:
            ip_address(address)
        except ValueError:
            raise ValueError(f"{bounded(address, 60)!r} is not an IP address") from None
    digest = hashlib.sha256("\x1f".join((product, str(row.number), *cells.values())).encode()).hexdigest()
    return Alert(
        uid=digest[:16], time=time, title="Network flow under review", severity=Severity.MEDIUM, product=product,
        technique=None, kind="external", activity=bounded(activity, 240),
        entities=Entities(host=target or None, address=source or None), raw=raw,
    )  # fmt: skip


def number(cells: Cells, name: str, *, may_lack: bool = False) -> float | None:
    """The number in a column.

    Args:
        cells: The row.
        name: The column.
        may_lack: Whether nothing, NaN and Infinity may stand there (a rate over no time); then None.

    Raises:
        ValueError: Something else than a finite number stands there.
    """
    text = cells[name]
    try:
        value = float(text) if text else math.nan
    except ValueError:
        value, may_lack = math.nan, False
    if math.isfinite(value):
        return value
    if may_lack:
        return None
    raise ValueError(f"`{name}` holds {bounded(text, 40)!r}, which is no finite number")


def measurements(cells: Cells, names: Mapping[str, str], may_lack: frozenset[str] = frozenset()) -> dict[str, str]:
    """Columns as raw fields, rounded to four digits; zeros and what is lacking are left out.

    Args:
        cells: The row.
        names: Column -> field name, in the order of the fields.
        may_lack: Columns in which NaN and Infinity are known to stand.

    Raises:
        ValueError: A column holds no number.
    """
    found = {}
    for column, name in names.items():
        value = number(cells, column, may_lack=column in may_lack)
        if value:
            found[name] = f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return found


def count(value: float | None) -> str:
    """`1,032` for the activity line; `?` where it is not known."""
    return "?" if value is None else f"{value:,.0f}"


def lacking(path: Path, row: CsvRow, wanted: Sequence[str], names: Sequence[str], what: str) -> InputError:
    """The error that names the columns which a header lacks."""
    missing = [name for name in wanted if name not in names]
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return InputError.at(row.place, f"lacks the columns {shown}", f"give a file of {what} as it was published")


def _rows(path: Path) -> Iterator[CsvRow | Mistake]:
    for line_number, line in _bounded_lines(path):
        place = f"{path}:{line_number}"
        if line is None or len(line) > _LONGEST_LINE:
            yield Mistake(place, f"the line is longer than {_LONGEST_LINE >> 10} KiB", "cut it or leave it out")
            continue
        try:
            # One line at a time: an open quote must not swallow the rest of the file.
            cells = next(csv.reader([_text(line, first=line_number == 1).rstrip("\r\n").replace("\0", "")]), [])
        except csv.Error as error:
            yield Mistake(place, f"is no CSV line ({bounded(error, 100)})", "mend the line or leave it out")
            continue
        if len(cells) > MOST_COLUMNS:
            yield Mistake(place, f"has more than {MOST_COLUMNS} values", "mend the line or leave it out")
            continue
        yield CsvRow(place, line_number, tuple(cell.strip() for cell in cells))


def _text(line: bytes, *, first: bool) -> str:
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
