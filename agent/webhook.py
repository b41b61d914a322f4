"""Escalated alerts as HTTP requests: kept on disk first, then delivered in order, once by key, however often we die.

One request per alert: `POST` with `Content-Type: application/json` and `Idempotency-Key: <64 hex digits>`; the body is

    {"format": "turncoat.escalation/2",
     "key": str,             the idempotency key again
     "uid": str, "variant": str, "principal": str,
     "time": str,            when the alert was raised, ISO 8601 with offset
     "escalated": str,       simulated time of the decision, likewise
     "title": str, "severity": "informational"|"low"|"medium"|"high"|"critical",
     "product": str, "technique": str|null, "activity": str,
     "entities": {str: str}, those that the alert names: user, host, process, command_line, address, domain, file, resource
     "raw": {str: str},      fields of the vendor, at most 40
     "forced": bool,         no sound verdict was to be had
     "reason": str, "p_malicious": number|null,
     "evidence": [str]}      "tool: answer", at most 64 of them

Texts come out of alerts and are hostile; each is at most 4,000 characters. A receiver that has seen a key before answers
2xx or 409; it sees one twice only where its first answer was lost, or we were killed before we could note it. A body that
is shorter than its Content-Length is a request of ours that a kill cut off: its key must not be taken for seen.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert

from .backoff import Again, Backoff
from .outbound import NoReply, Outbound
from .plain_text import bounded
from .queue_sink import escalation
from .records import Investigation
from .spool import DeliveryReport, Parcel, Spool

FORMAT = "turncoat.escalation/2"
MOST_QUEUED = 1000
DRAIN_S = 30.0
PATIENCE_S = 2.0
"""`send` takes the receiver for stalled when nothing was settled for so long, and holds nobody back until it moves."""
LONGEST_HOLD_S = 30.0
RECHECK_S = 30.0
"""What was given up on is tried again after so long, if the receiver is not heard of before."""
_REFUSES_THIS = frozenset({400, 413, 422})
"""What an alert itself can be refused for. Other answers of the 4xx speak of the token, the path or the hour."""
_GIVE_UP_AFTER = 3
"""While closing: so many alerts in a row without success, and the receiver counts as down."""
_TEXT_CHARACTERS = 4000
_EVIDENCE = 64


class _Refused(Exception):
    """The receiver will never take this one."""


class WebhookSink:
    """Puts what is sent into a spool and lets one thread deliver it.

    2xx is delivered, and so is 409, the answer to a key that is known. 400, 413 and 422 are undeliverable: kept and
    reported. All else (no reply, 3xx, 5xx, a token that has expired, a path that is wrong) is tried again up to `attempts`
    times and then left queued: for the next quiet moment, for `close`, for the next opening. So the order is that of
    sending, but for those.
    """

    name = "webhook"

    def __init__(
        self,
        spool: Spool,
        outbound: Outbound,
        *,
        attempts: int = 6,
        rng: random.Random | None = None,
        sleep: Callable[[float], object] | None = None,
        most_queued: int = MOST_QUEUED,
        drain_s: float = DRAIN_S,
        recheck_s: float = RECHECK_S,
    ) -> None:
        """Begins at once with what an earlier run left queued.

        Args:
            spool: Belongs to the sink from here on, as does `outbound`.
            outbound: Where to.
            attempts: Tries for one alert before it must wait.
            rng: Of the jitter between tries; seeded by the spool's identity if None.
            sleep: Stands in for the clock between tries.
            most_queued: `send` blocks while more wait than this and the receiver takes them.
            drain_s: How long `close` waits for the rest.
            recheck_s: After how long what was given up on is tried again.
        """
        self._spool, self._outbound = spool, outbound
        self._backoff = Backoff(attempts, rng or random.Random(spool.identity), sleep=sleep)
        self._most_queued, self._drain_s, self._recheck_s = most_queued, drain_s, recheck_s
        self._turn = threading.Condition()
        self._closing = False
        self._trouble: Exception | None = None
        self._settled = 0
        self._stalled_at = -1
        self._pass = _Pass()
        self._report: DeliveryReport | None = None
        self._worker = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._worker.start()

    @property
    def report(self) -> DeliveryReport:
        """What was delivered and what is left, of all openings of the spool together. As of `close`, once closed."""
        return self._report or self._spool.report()

    def send(self, alert: Alert, investigation: Investigation) -> None:
        """On disk when this returns; delivered later. Blocks for a while if the receiver is slower than we are.

        Raises:
            RunError: The spool cannot take it, or could not note what was delivered.
        """
        self._raise_trouble()
        key = self._spool.key(*investigation.key)
        if not self._spool.put(key, payload(key, alert, investigation)):
            return
        with self._turn:
            self._turn.notify_all()
            self._hold_back()

    def sync(self) -> None:
        """Nothing is left to do: the spool waits for the disk with each alert."""

    def close(self) -> None:
        """Delivers what it can within `drain_s`; the rest stays in the spool. `report` says how much.

        Raises:
            RunError: As `send`, of what has gone wrong since.
        """
        if self._report is not None:
            return
        with self._turn:
            self._closing = True
            self._pass.given_up_in_a_row = 0  # what was down an hour ago may be up
            self._turn.notify_all()
        try:
            self._worker.join(self._drain_s)
        finally:  # somebody may be out of patience and press Ctrl-C
            self._backoff.stop.set()
            with self._turn:
                self._turn.notify_all()
            self._worker.join(self._outbound.timeout_s + 1.0)
            self._report = self._spool.report()
            self._outbound.close()
            self._spool.close()
        self._raise_trouble()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise RunError(f"{self._spool.path}: delivery stopped ({self._trouble}); see to it, then resume the run")

    def _hold_back(self) -> None:
        """Backpressure; called with the turn held, which waiting lets go of."""
        until = time.monotonic() + LONGEST_HOLD_S
        while self._spool.queued > self._most_queued and self._worker.is_alive():
            seen = self._settled
            if seen == self._stalled_at:
                return
            patience = min(PATIENCE_S, until - time.monotonic())
            if patience <= 0.0:
                return
            if not self._turn.wait_for(lambda seen=seen: self._settled != seen, patience):  # type: ignore[misc]
                self._stalled_at = seen
                return

    def _work(self) -> None:
        try:
            while (parcel := self._next()) is not None:
                self._deliver(parcel)
        except Exception as fault:  # a full disk, a spool that was taken away: `send` says so
            self._trouble = fault
        finally:
            with self._turn:
                self._turn.notify_all()

    def _next(self) -> Parcel | None:
        """The next to deliver, waiting for one; None when it is time to stop."""
        with self._turn:
            while not self._backoff.stop.is_set():
                now = self._pass
                if self._closing and now.given_up_in_a_row >= _GIVE_UP_AFTER:
                    return None
                if now.given_up and time.monotonic() >= now.recheck_at:
                    self._pass = now = now.again(self._closing)
                if (parcel := self._spool.next_after(now.seq)) is not None:
                    now.seq = parcel.seq
                    return parcel
                if self._closing:
                    if not now.given_up or (now.final and not now.delivered):
                        return None
                    self._pass = now.again(final=True)
                else:
                    self._turn.wait(max(0.0, now.recheck_at - time.monotonic()) if now.given_up else None)
        return None

    def _deliver(self, parcel: Parcel) -> None:
        tries = 0

        def once() -> None:
            nonlocal tries
            tries += 1
            self._try(parcel)

        now = self._pass
        try:
            self._backoff.call(once)
        except Again as fault:
            self._spool.mark(parcel, "queued", tries, str(fault))
            now.given_up += 1
            now.given_up_in_a_row += 1
            now.recheck_at = time.monotonic() + self._recheck_s
            return
        except (_Refused, RunError) as fault:
            self._spool.mark(parcel, "undeliverable", tries, str(fault))
        else:
            self._spool.mark(parcel, "delivered", tries)
            now.delivered += 1
        now.given_up_in_a_row = 0
        with self._turn:
            self._settled += 1
            self._turn.notify_all()

    def _try(self, parcel: Parcel) -> None:
        body = parcel.body()
        try:
            reply = self._outbound.post(body, {"Idempotency-Key": parcel.key})
        except NoReply as fault:
            raise Again(str(fault)) from None
        if 200 <= reply.status < 300 or reply.status == HTTPStatus.CONFLICT:
            return
        if reply.status in _REFUSES_THIS:
            self._backoff.failures = 0  # it is up and has spoken
            raise _Refused(answered(reply.status))
        raise Again(answered(reply.status), reply.retry_after_s)


class _Pass:
    """One walk of the worker through the spool, from its beginning on."""

    def __init__(self, *, final: bool = False, given_up_in_a_row: int = 0) -> None:
        self.seq = 0
        self.given_up = 0
        self.given_up_in_a_row = given_up_in_a_row
        self.delivered = 0
        self.recheck_at = 0.0
        self.final = final
        """Begun while closing."""

    def again(self, final: bool) -> _Pass:
        return _Pass(final=final, given_up_in_a_row=self.given_up_in_a_row)


def answered(status: int) -> str:
    """A status in our own words: the reason phrase of a reply is hostile."""
    try:
        return f"answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"answered {status}"


def payload(key: str, alert: Alert, investigation: Investigation) -> dict[str, Any]:
    """The body, as in the module's description. Every text is bounded and can be decoded anywhere: an alert must not
    keep itself from being delivered by being long, or by holding what a receiver's parser or database chokes on.
    """
    row = {"format": FORMAT, "key": key, **escalation(alert, investigation)}
    row["evidence"] = row["evidence"][:_EVIDENCE]
    return {name: bounded(value, _TEXT_CHARACTERS) for name, value in row.items()}
