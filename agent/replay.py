"""Replays streams of alerts through the graph, for every variant and principal, in a way that may be killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from turncoat.models.classifier import AlertClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.toolbox import Toolbox

from .checkpoints import open_checkpoints
from .folder import RunFolder, parse_investigation, parse_investigations, plain_investigation
from .graph import Graph, graph_of
from .journal import Journal
from .nodes import Desk
from .planner import PLAYBOOK, Planner
from .policy import open_policy
from .records import ACTIONS, Event, Investigation, Key, Settings
from .sinks import CloudSink, SinkOptions, open_sink
from .state import State, context_of, decision_of, investigation_of, is_whole, start, verdict_of
from .warming import Foreseen, warm_up

OnEvent = Callable[[Event], None]


def replay(
    streams: Mapping[str, AlertStream],
    variants: Mapping[str, AlertClassifier],
    settings: Settings,
    folder: RunFolder,
    on_event: OnEvent = lambda event: None,
    *,
    policy: str = "threshold",
    sink: str = "queue",
    sink_options: SinkOptions | None = None,
    planner: Planner = PLAYBOOK,
) -> Iterator[Investigation]:
    """Investigates every alert of every stream with every variant, in order of time, chunk by chunk.

    A run that was killed goes on where it stopped: rows that are in the folder are yielded as they are.

    Args:
        streams: Principal -> what the world looks like under that name; the same uids in the same order in each.
        variants: Name -> classifier; one that offers `warm(requests)` is asked for a chunk at a time.
        settings: As in the folder's manifest.
        folder: Takes the rows, the queue, the checkpoints and, apart, the wall-clock times.
        on_event: Told of every step; what it raises ends the run, which can then be resumed.
        policy: Name in `POLICIES`.
        sink: Name in `SINKS`.
        sink_options: How to reach it, where it is not in the folder.
        planner: Chooses the tools; its `identity` is in the folder's manifest. Whoever opened it closes it.

    Yields:
        One row per alert, variant and principal, in that order of nesting.

    Raises:
        RunError: The streams do not match, the folder is in use by another run, or its files were tampered with.
        OSError: A row or an escalation could not be written, the disk being full for instance.
    """
    order = _same_alerts(streams)
    with ExitStack() as open_things:
        saver = open_things.enter_context(open_checkpoints(folder.checkpoints))
        rows = open_things.enter_context(Journal(folder.outcomes))
        timings = open_things.enter_context(Journal(folder.timings))
        cloud = open_things.enter_context(closing(open_sink(sink, folder.path, sink_options)))
        done = {row.key: row for row in parse_investigations(rows.rows)}
        rows.rows.clear()
        resumed = bool(done) or saver.conn.execute("SELECT 1 FROM checkpoints LIMIT 1").fetchone() is not None
        total = len(order) * len(streams) * len(variants)
        run = _Run(saver, rows, timings, on_event, done, resumed=resumed, total=total)
        seats = _seats(streams, variants, settings, policy, cloud, saver, planner)
        for first in range(0, len(order), settings.chunk):
            yield from _chunk(run, variants, seats, order[first : first + settings.chunk])


@dataclass
class _Run:
    """What changes while a replay goes on."""

    saver: SqliteSaver
    rows: Journal
    timings: Journal
    on_event: OnEvent
    done: dict[Key, Investigation]
    resumed: bool
    total: int
    finished: int = 0

    def tell(self, event: Event) -> None:
        self.on_event(event)


@dataclass(frozen=True)
class _Seat:
    """One variant under one principal."""

    variant: str
    principal: str
    desk: Desk
    foreseen: Foreseen
    graph: Graph = field(repr=False)

    def key(self, uid: str) -> Key:
        return (uid, self.variant, self.principal)


def _same_alerts(streams: Mapping[str, AlertStream]) -> list[str]:
    """The uids in order of time, which all streams share."""
    if not streams:
        raise RunError("nothing to replay: at least one principal is needed")
    for principal, stream in streams.items():
        if stream.principal != principal:
            raise RunError(f"the stream given for {principal} was emitted for {stream.principal}")
    orders = {principal: [alert.uid for alert in stream.alerts] for principal, stream in streams.items()}
    first, *others = orders.items()
    for principal, order in others:
        if order != first[1]:
            raise RunError(f"the streams of {first[0]} and {principal} differ in more than the name; emit them again")
    if len(set(first[1])) != len(first[1]):
        raise RunError("two alerts of the stream share a uid; the campaign must give each step its own key")
    return first[1]


def _seats(
    streams: Mapping[str, AlertStream],
    variants: Mapping[str, AlertClassifier],
    settings: Settings,
    policy: str,
    cloud: CloudSink,
    saver: SqliteSaver,
    planner: Planner,
) -> list[_Seat]:
    seats = []
    for variant, classifier in variants.items():
        for principal, stream in streams.items():
            foreseen = Foreseen(variant, classifier)
            desk = Desk(Toolbox(stream), foreseen, open_policy(policy, settings), cloud, settings, planner)
            seats.append(_Seat(variant, principal, desk, foreseen, graph_of(desk, saver)))
    return seats


def _chunk(
    run: _Run, variants: Mapping[str, AlertClassifier], seats: list[_Seat], uids: list[str]
) -> Iterator[Investigation]:
    """Warms the whole chunk, finished rows included, so that the batches are those of an undisturbed run."""
    if any(seat.key(uid) not in run.done for seat in seats for uid in uids):
        run.tell(Event("warm", note=f"{len(uids)} alerts for {len(seats)} seats", done=run.finished, total=run.total))
        begun = time.perf_counter()
        alerts = [[seat.desk.alerts[uid] for uid in uids] for seat in seats]
        trouble = warm_up(variants, [(seat.desk, seat.foreseen) for seat in seats], alerts)
        run.timings.append({"stage": "warm", "uid": uids[0], "alerts": len(uids), "wall_ms": _ms_since(begun)})
        if trouble:
            run.tell(Event("warm", note=f"asking one by one: {trouble}", done=run.finished, total=run.total))
    for uid in uids:
        for seat in seats:
            yield _investigate(run, seat, uid)
    for seat in seats:
        seat.foreseen.forget()


def _investigate(run: _Run, seat: _Seat, uid: str) -> Investigation:
    """One row: from the folder if it is there, else from the graph."""
    key = seat.key(uid)
    alert = seat.desk.alerts[uid]
    begun = time.perf_counter()
    row = run.done.get(key) or investigation_of(_walk(run, seat, alert), seat.principal)
    if run.resumed and row.decision.action == "escalate":
        seat.desk.sink.send(alert, row)  # delivers once; the queue may have been torn where row or checkpoint was not
    if key not in run.done:
        run.rows.append(plain_investigation(row))
        run.timings.append(dict(zip(("uid", "variant", "principal"), key, strict=True)) | {"wall_ms": _ms_since(begun)})
        run.done[key] = row
    run.finished += 1
    run.tell(
        Event(
            row.decision.action, row.variant, row.principal, alert, row.evidence, row.verdict,
            row.decision, done=run.finished, total=run.total,
        )
    )  # fmt: skip
    return row


def _walk(run: _Run, seat: _Seat, alert: Alert) -> State:
    """Sends one alert through the graph and returns the last state; what a killed run had decided stands.

    Durability `exit` writes one checkpoint as the graph ends or is interrupted. Verdicts are the only thing that is
    dear here, and those are computed by the chunk; a checkpoint at every step costs ten times as much as the graph.
    One that an interruption left half-way is not gone on with: Ctrl-C may strike inside the graph's own bookkeeping,
    and to ask the tools again costs nothing. Nothing is delivered twice, the sink sees to that.
    """
    config: RunnableConfig = {"configurable": {"thread_id": "/".join((seat.variant, seat.principal, alert.uid))}}
    state = State(**start(alert.uid, seat.variant))
    if run.resumed:
        if (left := _left_over(seat, alert, config)) is not None:
            return left
        run.saver.delete_thread(config["configurable"]["thread_id"])
    for step in seat.graph.stream(start(alert.uid, seat.variant), config, stream_mode="updates", durability="exit"):
        for stage, change in step.items():
            state.update(cast(State, change or {}))
            if stage not in ACTIONS:
                run.tell(_event(run, seat, alert, stage, state))
    return state


def _left_over(seat: _Seat, alert: Alert, config: RunnableConfig) -> State | None:
    """What a killed run had decided, if the checkpoint holds that and it is a sound row of this seat: it may be anybody's."""
    try:
        left = seat.graph.get_state(config)
    except sqlite3.Error:
        raise
    except Exception:  # bytes that are no value of ours: each reader below fails in its own way
        return None
    if left.next or not is_whole(left.values):
        return None
    state = cast(State, dict(left.values))
    if (state["uid"], state["variant"]) != (alert.uid, seat.variant) or state.get("decision") is None:
        return None
    try:
        parse_investigation(plain_investigation(investigation_of(state, seat.principal)))
    except ValueError:
        return None
    return state


def _event(run: _Run, seat: _Seat, alert: Alert, stage: Any, state: State) -> Event:
    return Event(
        stage, seat.variant, seat.principal, alert, context_of(state).evidence, verdict_of(state), decision_of(state),
        note=state["fault"], done=run.finished, total=run.total,
    )  # fmt: skip


def _ms_since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1e3, 3)
