"""What the payload of each kind of event holds, to the letter: a log that anybody may have changed is read through this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from turncoat.tools.records import Evidence
from turncoat.tools.toolbox import TOOLS

from . import forms as f

Uid = Annotated[str, Field(max_length=256)]
Model = Literal["deployed", "replacement"]
Cost = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
"""Seconds; a sample of a hundred alerts at the longest time that an exercise can name takes an eighth of that."""


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _of(name: str, **fields: Any) -> type[BaseModel]:
    stated: dict[str, Any] = {key: (kind, ...) for key, kind in fields.items()}
    return create_model(name, __base__=_Payload, **stated)


def _begun(form: type[f.Form]) -> type[BaseModel]:
    """A form with the seconds that it takes."""
    return create_model(f"{form.__name__}Begun", __base__=form, cost_s=(Cost, ...))


_OF_RESULTS: Mapping[str, dict[str, Any]] = {
    "ask": {"uid": Uid, "evidence": Evidence},
    "audit": {"uids": list[Uid]},
    "isolate": {"target": str},
    "disable": {"target": str},
    "preserve": {"target": str},
    "call": {"whom": Literal["hr", "legal"], "answer": str},
    "swap": {"model": Literal["replacement"]},
}
_RESULTS: Mapping[str, type[BaseModel]] = {
    kind: _of(f"Result{kind.capitalize()}", work=int, kind=str, **more) for kind, more in _OF_RESULTS.items()
}
_PAYLOADS: Mapping[str, type[BaseModel]] = {
    **dict.fromkeys(("joined", "started", "paused", "resumed", "tick"), f.Nothing),
    "ended": _of("Ended", reason=Literal["time", "facilitator"]),
    "skipped": _of("Skipped", to=str),
    "speed": f.Speed,
    **{kind: f.FORMS[kind] for kind in ("open", "override", "declare", "note", "feedback", "remark", "tick-expected")},
    **{kind: _begun(f.FORMS[kind]) for kind in _RESULTS},
    "handed": _of("Handed", uid=Uid, action=Literal["escalate", "review"], model=Model),
    "dismissed": _of("Dismissed", uid=Uid, model=Model),
    "prevented": _of("Prevented", uid=Uid),
    "branched": _of("Branched", inject=str, branch=int, gave=str | None),
    "inject": _of("Inject", id=str, to=list[f.PlayerRole], text=str, by_hand=bool),
}


def check_payload(kind: str, payload: Mapping[str, Any]) -> None:
    """Raises ValueError unless the payload is exactly what an exercise records for that kind."""
    about = payload.get("kind")
    of_result = kind == "result" and isinstance(about, str) and about in _RESULTS
    model = _RESULTS[str(about)] if of_result else _PAYLOADS.get(kind)
    if model is None or model.model_validate(payload).model_dump(mode="json") != payload:
        raise ValueError(f"not what is recorded of {kind!r}")
    if kind == "ask" and payload["tool"] not in TOOLS:
        raise ValueError(f"no tool {str(payload['tool'])[:60]!r}")
