"""What was asked of a run besides campaign, seed and settings, kept in its folder so that `resume` can go on with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from turncoat.agent.cascade import CloudTerms
from turncoat.agent.folder import read_json
from turncoat.agent.planner import PlannerOptions, open_planner
from turncoat.agent.sinks import SinkOptions, check_sink
from turncoat.models.bases import DEFAULT_BASE, known_base
from turncoat.models.variant_names import DEFAULT_VARIANTS
from turncoat.scenarios.errors import InputError, Mistake, RunError
from turncoat.scenarios.triggers import parse_trigger

ORDER_FILE = "order.json"


class RunOrder(BaseModel):
    """Holds no secret and no address: where escalations go must be said again by whoever resumes a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    variants: tuple[str, ...] = Field(DEFAULT_VARIANTS, min_length=1, max_length=100)
    """As given: NAME or NAME=PATH."""
    base: str = Field(DEFAULT_BASE, max_length=4096)
    price: float = Field(0.0, ge=0, le=1e12)
    cloud_budget: int = Field(0, ge=0, le=1_000_000)
    """Escalations that the cloud takes a day; 0: any number."""
    overflow_price: float | None = Field(None, ge=0, le=1e12)
    aliases: bool = True
    ablate: bool = False
    """Also without evidence."""
    sink: str = Field("queue", max_length=40)
    planner: str = Field("playbook", max_length=40)
    planner_model: str = Field("", max_length=200)
    trigger: str = ""
    """As `--trigger` takes it; empty: the actor's own name, and nothing is planted."""

    @property
    def terms(self) -> CloudTerms:
        """What was agreed with the cloud; its crew is the usual one."""
        return CloudTerms(self.cloud_budget or None, self.price, self.overflow_price)

    @field_validator("trigger")
    @classmethod
    def _known_trigger(cls, spec: str) -> str:
        try:
            return parse_trigger(spec).spec if spec else ""
        except InputError as error:
            raise ValueError("; ".join(mistake.fault for mistake in error.mistakes)) from None


@dataclass(frozen=True)
class Outside:
    """How to reach what lies outside: sink and planner. Never stored."""

    sink: SinkOptions = field(default_factory=SinkOptions)
    planner_url: str = ""
    planner_token_env: str = ""

    def planner_of(self, order: RunOrder) -> PlannerOptions:
        """How to reach the planner of an order."""
        return PlannerOptions(self.planner_url, order.planner_model, self.planner_token_env)


def check_outside(order: RunOrder, outside: Outside) -> None:
    """That sink and planner can be reached so, before models are loaded and folders made. Connects to nothing.

    Raises:
        InputError: An unknown sink or planner, or options that do not fit; each by the name of its option.
    """
    with _named({"sink": "--sink", "url": "--sink-url", "token_env": "--token-env", "model": "--sink-model"}):
        check_sink(order.sink, outside.sink)
    with _named(
        {"planner": "--planner", "url": "--planner-url", "token_env": "--planner-token-env", "model": "--planner-model"}
    ):
        open_planner(order.planner, outside.planner_of(order)).close()


def said_again(order: RunOrder) -> Iterator[str]:
    """Options that whoever resumes a run has to give: what no folder keeps, or what none may ask for."""
    if order.sink != "queue":
        yield from ("--sink-url", "URL")
    if order.sink == "second-opinion":
        yield from ("--sink-model", "NAME")
    if order.planner != "playbook":
        yield from ("--planner-url", "URL")
    if known_base(order.base) is None and not Path(order.base).exists():
        yield from ("--base", order.base)


def check_used(order: RunOrder, outside: Outside) -> None:
    """That nothing was given that this sink and this planner have no use for: it would be ignored without a word.

    Raises:
        InputError: All of it.
    """
    mistakes = list(_unused(order, outside))
    if order.planner_model and order.planner == "playbook":
        mistakes.append(Mistake("--planner-model", "has no use here", "give --planner llm"))
    if order.overflow_price is not None and not order.cloud_budget:
        mistakes.append(
            Mistake("--overflow-price", "is for what comes beyond a budget", "give one with --cloud-budget")
        )
    if mistakes:
        raise InputError(*mistakes)


def check_used_by_any(orders: Sequence[RunOrder], outside: Outside) -> None:
    """That at least one of several runs has a use for each thing that was given. Raises InputError otherwise."""
    unused = [list(_unused(order, outside)) for order in orders]
    if everywhere := [mistake for mistake in unused[0] if all(mistake in others for others in unused[1:])]:
        raise InputError(*(replace(mistake, cure="leave it out") for mistake in everywhere))


def _unused(order: RunOrder, outside: Outside) -> Iterator[Mistake]:
    yield from unused_sink_options(order.sink, outside.sink)
    for option, value in (
        ("--planner-url", outside.planner_url),
        ("--planner-token-env", outside.planner_token_env),
    ):
        if value and order.planner == "playbook":
            yield Mistake(option, "has no use here", "give --planner llm")


def unused_sink_options(sink: str, options: SinkOptions) -> Iterator[Mistake]:
    """What a sink of that name would ignore, by the names of the command line."""
    if sink == "queue":
        for option, value in (("--sink-url", options.url), ("--token-env", options.token_env)):
            if value:
                yield Mistake(option, "has no use here", "name webhook or second-opinion with --sink")
    if sink in ("queue", "webhook") and options.model:
        yield Mistake("--sink-model", "has no use here", "give --sink second-opinion")


@contextmanager
def _named(options: Mapping[str, str]) -> Iterator[None]:
    """Calls what a mistake is about by its name on the command line."""
    try:
        yield
    except InputError as error:
        raise InputError(*(replace(m, place=options.get(m.place, m.place)) for m in error.mistakes)) from None


def order_text(order: RunOrder) -> str:
    """The content of the file."""
    return order.model_dump_json(indent=2) + "\n"


def read_order(run: Path) -> RunOrder:
    """The order of a run folder, which anybody may have changed.

    Raises:
        RunError: Missing, broken, or not of this form.
    """
    file = run / ORDER_FILE
    try:
        return RunOrder.model_validate(read_json(file))
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{file}: {place}: {first['msg']}; was the file changed by hand?") from fault


def variants_again(order: RunOrder, run: Path, moved: Sequence[str], base: str) -> tuple[list[str], str]:
    """Variants and base to open for a run that goes on.

    Args:
        order: As its folder has it.
        run: The folder, for messages.
        moved: `NAME=PATH` for adapters that lie elsewhere now.
        base: Given again, or empty.

    Raises:
        InputError: `moved` names no variant of the run, or the base is neither known nor here: a run folder, which may
            be anybody's, shall not make us fetch something.
    """
    specs = {spec.partition("=")[0]: spec for spec in order.variants}
    for spec in moved:
        name = spec.partition("=")[0]
        if name not in specs:
            raise InputError.at(f"--variant {spec}", f"the run has no variant {name!r}", f"it has {', '.join(specs)}")
        specs[name] = spec
    chosen = base or order.base
    if not base and known_base(chosen) is None and not Path(chosen).exists():
        raise InputError.at(str(run), f"made on the base {chosen!r}, which is not here", "say where it is with --base")
    return list(specs.values()), chosen
