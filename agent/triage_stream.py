"""Triage that does not end: batches of lines through the same loop, delivered once, and resumable after any kill.

The batches are those of the clock: what has arrived in time. So a verdict in bf16 may differ in its last digits from the
one that a rerun gives in other company, and with it a decision whose margin is within that tolerance (`models.engine`
says how it comes about); nothing else about a decision depends on the batch. Of everything that was read, memory holds
the batch in hand, the verdicts on the latest contents, and what the sink keeps (100 bytes an escalation for the queue).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from turncoat.models.classifier import AlertClassifier
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.formats.line_parsers import line_format, read_line
from turncoat.scenarios.formats.splitting import Line, Source
from turncoat.scenarios.formats.stopping import Stop
from turncoat.scenarios.formats.vendor_fields import UNKNOWN_TIME
from turncoat.scenarios.records import Alert, Severity

from .folder import parse_investigations
from .position import Row, StateFolder, Tally
from .recent import RecentVerdicts
from .records import Investigation, Settings
from .sinks import CloudSink
from .triage import OutsideDesks, Triaged, decision_about
from .triage_report import decision_line

BATCH = 32
WAIT_S = 1.0
SHOWN_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class Taken:
    """One thing that came in, under the key by which it is told from all others."""

    line: Line
    item: LabelledAlert | Mistake
    alert: Alert
    """What a sink is sent. Its uid is `key`: whoever writes a log may give one uid to many alerts."""

    @property
    def key(self) -> str:
        return self.alert.uid


def triage_stream(
    source: Source,
    format: str,
    variants: Mapping[str, AlertClassifier],
    settings: Settings,
    sink: CloudSink,
    state: StateFolder,
    *,
    batch: int = BATCH,
    wait_s: float = WAIT_S,
    limit: int = 0,
    stop: Stop | None = None,
    on_batch: Callable[[Tally], None] = lambda tally: None,
) -> Iterator[Row]:
    """Decides about every line of a source under every variant.

    Args:
        source: Where lines come from; begun at `state.spot`.
        format: A key of `LINE_FORMATS`.
        variants: Name -> classifier.
        settings: The threshold and the rest.
        sink: Takes what is escalated, what could not be read included, under the key as uid.
        state: Where decisions and the place are kept.
        batch: Lines that are decided together, at most.
        wait_s: How long a batch that has begun waits for more.
        limit: Lines after which to end; 0 for none. Lines of earlier runs do not count.
        stop: Once it is set, the batch in hand is finished and nothing more is begun.
        on_batch: Told of the totals of this state folder after each batch.

    Yields:
        Rows of `decisions.jsonl`, those of a killed run's last batch again; per line in the order of the variants.

    Raises:
        InputError: The format has no alert a line.
        OSError: A decision or an escalation could not be written or delivered. Nothing is lost: start again.
        RunError: The state folder was tampered with.
    """
    line_format(format)
    stop = stop or Stop()
    recent = RecentVerdicts(variants)
    desks = OutsideDesks(recent, settings, sink)
    if state.spot is None:
        state.commit(source.spot)  # on record before the first decision: keys hang on the generation
    seen = 0
    while not (limit and seen >= limit):
        most = min(batch, limit - seen) if limit else batch
        got = source.next_batch(most, wait_s, stop)
        if got is None:
            return
        seen += len(got.lines)
        taken = [one for line in got.lines if (one := take(line, source.name, format)) is not None]
        yield from _decided(taken, list(variants), desks, sink, state)
        sink.sync()  # once a batch, and before the position says that all of it was sent
        state.commit(got.end)
        recent.forget()
        on_batch(state.tally)


def take(line: Line, source: str, format: str) -> Taken | None:
    """Reads a line and gives it its key; None for a blank one."""
    item = read_line(line, source, format)
    if item is None:
        return None
    if isinstance(item, Mistake):
        return Taken(line, item, _stand_in(line, item))
    return Taken(line, item, replace(item.alert, uid=_key(item.alert.uid, line)))


def _key(uid: str, line: Line) -> str:
    """The vendor's uid up to the last `@`, then the place and the content, which make it the only one of its name."""
    return f"{uid}@{line.generation}.{line.offset}.{line.digest[:12]}"


def _stand_in(line: Line, mistake: Mistake) -> Alert:
    """An alert in the name of what could not be read, for a sink: whoever breaks his log line must not slip past."""
    begins = line.text[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")[:SHOWN_CHARACTERS]
    return Alert(
        uid=_key("unreadable", line),
        time=UNKNOWN_TIME,
        title="A line that could not be read",
        severity=Severity.HIGH,
        product="turncoat",
        technique=None,
        kind="external",
        activity=str(mistake),
        raw={"begins": begins} if begins else {},
    )


def _decided(
    taken: Sequence[Taken], variants: Sequence[str], desks: OutsideDesks, sink: CloudSink, state: StateFolder
) -> Iterator[Row]:
    known = {
        (one.key, variant): row for one in taken for variant in variants if (row := _recalled(state, one, variant))
    }
    open_still = [one for one in taken if any((one.key, variant) not in known for variant in variants)]
    desks.lay_out([one.alert for one in open_still if isinstance(one.item, LabelledAlert)])
    for one in taken:
        _count(state.tally, one)
        for number, variant in enumerate(variants):
            row = known.get((one.key, variant))
            if row is None:
                row = _decide(one, variant, desks, sink)
                state.append(row)
            else:
                _send_again(one, row, sink)
            if number == 0:
                _count_decision(state.tally, row)
            yield row


def _decide(one: Taken, variant: str, desks: OutsideDesks, sink: CloudSink) -> Row:
    if isinstance(one.item, Mistake):
        done = Investigation(one.key, variant, "", None, decision_about(one.item), (), 0)
        sink.send(one.alert, done)
    else:
        done = desks.investigate(one.key, variant)  # the graph sends it, if it is escalated
    place = {"generation": one.line.generation, "offset": one.line.offset, "digest": one.line.digest}
    return {"key": one.key, "source": place} | decision_line(Triaged(variant, one.item, done.decision, done.verdict))


def _recalled(state: StateFolder, one: Taken, variant: str) -> Row | None:
    """What a killed process had decided. Raises RunError where that is no decision that we would make."""
    row = state.recall((one.line.generation, one.line.offset), one.line.digest, variant)
    if row is not None:
        _investigation(one, row)
    return row


def _send_again(one: Taken, row: Row, sink: CloudSink) -> None:
    """It was sent before the row was written; a sink that kept it through a power cut knows the key."""
    done = _investigation(one, row)
    if done.decision.action == "escalate":
        sink.send(one.alert, done)


def _investigation(one: Taken, row: Row) -> Investigation:
    plain = {"uid": one.key, "principal": "", "evidence": [], "rounds": 0}
    place = f"decisions.jsonl: {one.line.generation}, byte {one.line.offset}"
    given = {name: row.get(name) for name in ("variant", "verdict", "decision")}
    return parse_investigations([(place, plain | given)])[0]


def _count(tally: Tally, one: Taken) -> None:
    tally.lines += 1
    tally.unreadable += isinstance(one.item, Mistake)


def _count_decision(tally: Tally, row: Row) -> None:
    """The first variant's decisions are the ones that are counted."""
    decision = row["decision"]
    tally.escalated += decision["action"] == "escalate"
    tally.dismissed += decision["action"] == "dismiss"
    tally.reviewed += decision["action"] == "review"
    tally.forced += bool(decision["forced"])
