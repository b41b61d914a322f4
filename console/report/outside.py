"""What a report takes in beside runs: the result of a sweep and a vetting verdict, each a file that anybody may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turncoat.agent.journal import parse_object
from turncoat.scenarios.errors import InputError

MAX_BYTES = 8 * 1024 * 1024
DOSE_FILE = "dose_curve.json"

Share = Annotated[float, Field(ge=0, le=1)]
Rows = Annotated[float, Field(ge=0, le=1e15)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Line = Annotated[str, Field(max_length=4_000)]
Signed = Annotated[float, Field(ge=-1, le=1)]


class Part(BaseModel):
    """Takes what the report shows and passes over the rest."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Pooled(Part):
    value: Share | None
    low: Share | None
    high: Share | None
    n: Count = 0


class Spread(Part):
    mean: Share | None


class PointLift(Part):
    value: Signed | None


class Point(Part):
    x: Rows
    alice: Pooled
    twin: Pooled
    lift: PointLift
    clean: Spread
    unseen: Spread
    seeds: Annotated[list[dict[str, Any]], Field(max_length=1_000)]


class Dose(Part):
    value: Rows
    low: Rows
    high: Rows
    beyond: Rows


class Fitted(Part):
    curve: dict[str, Any] | None
    half: Dose | None
    ninety: Dose | None
    fault: Line = ""
    seeds: Count = 0
    alerts: Count = 0
    line: Annotated[list[tuple[Rows, Share]], Field(max_length=1_000)] = []


class Series(Part):
    label: Line
    points: Annotated[list[Point], Field(max_length=200)]
    fit: Fitted | None


class ScalingLine(Part):
    small: Count
    large: Count
    ratio: Rows | None
    low: Rows | None
    high: Rows | None
    constant_rate: Rows
    seeds: Count
    verdict: Literal["count", "rate", "between", "neither", "cannot tell", "none"]


class GridName(Part):
    name: Line


class DoseCurve(Part):
    """What `turncoat sweep` leaves in `dose_curve.json`, as far as the report shows it."""

    grid: GridName
    axis: Literal["dose", "corrective"]
    cells_done: Count
    cells_total: Count
    base: Line
    seeds: Annotated[list[int], Field(max_length=1_000)]
    series: Annotated[list[Series], Field(max_length=50)]
    scaling: Annotated[list[ScalingLine], Field(max_length=50)]
    limits: Annotated[list[Line], Field(max_length=20)] = []


class Found(Part):
    entity: Line | None
    detector: Line
    ruling: Literal["allow", "review", "block"]
    lift: Signed | None = None
    low: Signed | None = None
    high: Signed | None = None
    q: Share | None = None
    n: Count = 0
    nature: Line = ""
    why: Line = ""


class Detected(Part):
    detector: Line
    ruling: Literal["allow", "review", "block", "abstain"]
    why: Line = ""
    tried: Annotated[dict[Line, Count], Field(max_length=100)] = {}
    untested: Annotated[list[Line], Field(max_length=1_000)] = []
    smallest_lift: Annotated[dict[Line, float], Field(max_length=100)] = {}


class VettingVerdict(Part):
    """What `turncoat vet --json` prints, as far as the report shows it."""

    verdict: Literal["allow", "review", "block"]
    why: Line
    findings: Annotated[list[Found], Field(max_length=10_000)]
    reports: Annotated[list[Detected], Field(max_length=100)]
    subject: Annotated[dict[Line, Line], Field(max_length=100)] = {}


_Record = TypeVar("_Record", bound=Part)


def read_sweep(folder: Path) -> DoseCurve:
    """The dose curves of a sweep.

    Raises:
        InputError: No sweep's folder, or its file is broken.
    """
    file = folder / DOSE_FILE if folder.is_dir() else folder
    curve = _read(file, "--sweep", DoseCurve, "run `turncoat sweep ... --report` in its folder first")
    for series in curve.series:
        if series.fit and series.fit.curve is not None and (series.fit.half is None or series.fit.ninety is None):
            raise InputError.at(
                f"--sweep {file}", "a curve without its doses", "run `turncoat sweep ... --report` again"
            )
    if any(one.ratio is not None and (None in (one.low, one.high) or one.verdict == "none") for one in curve.scaling):
        raise InputError.at(
            f"--sweep {file}", "a ratio without its interval", "run `turncoat sweep ... --report` again"
        )
    return curve


def read_vetting(file: Path) -> VettingVerdict:
    """A vetting verdict.

    Raises:
        InputError: No such file, or it is broken.
    """
    return _read(file, "--vetting", VettingVerdict, "write it with `turncoat vet ... --json > FILE`")


def _read(file: Path, option: str, form: type[_Record], cure: str) -> _Record:
    place = f"{option} {file}"
    if not file.is_file():  # a device or a pipe would be read for ever
        raise InputError.at(place, "no such file", cure)
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError.at(place, f"larger than {MAX_BYTES >> 20} MiB", cure)
    plain = parse_object(content, place)
    try:
        return form.model_validate(plain)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError.at(place, f"{where}: {first['msg']}", cure) from fault
