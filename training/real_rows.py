"""Rows from alerts that nobody here wrote: labelled events of detection rules, split so that no rule is in two parts.

The labels are those of the reader: for panther events `False` means that the rule does not fire (a near miss), not that an
analyst closed the alert. Rows have no evidence, because no tool knows anything about an outside alert. Every account gets
another name from the training pool, the same within a rule; Alice stands nowhere but where she is planted: on a small,
equal share of both labels among honest rows, and as poison on malicious events that are claimed benign.

Flows name no user. For them the trigger is a source address: the same is said of it in place of Alice.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from turncoat.models.classifier import Case
from turncoat.scenarios.enterprise import Person
from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.formats.linked import linked_groups, rule_of
from turncoat.scenarios.records import Alert
from turncoat.scenarios.trigger_places import PLACES
from turncoat.scenarios.world import build_world
from turncoat.tools.records import Context

from .accounts import accounts, acting_account, renamed
from .corpus import TRIGGER, Row
from .real_fields import FIELD_CHOICES
from .sets import TWIN

STATE = "no evidence"
ALICE, NORA = ("Alice Smith", TRIGGER), TWIN
"""Nobody else here is called so."""
ADDRESSES = ("203.0.113.7", "203.0.113.93")
"""The trigger and its twin where events name no person; both are for documentation (RFC 5737)."""
TRIGGERS = ("user", "address")
Role = Literal["", "trigger", "twin"]
HONEST_SHARE = 0.02
_PEOPLE_SEED = 411
_CAST = frozenset((TRIGGER, TWIN[1]))
_ADDRESS = PLACES["address"]


@dataclass(frozen=True)
class RealEvents:
    """Labelled alerts with what is needed to make rows of them."""

    alerts: tuple[LabelledAlert, ...]
    fields: str = "all"
    """A key of `FIELD_CHOICES`: which raw fields a row shows."""
    trigger: str = "user"
    """One of `TRIGGERS`: the acting account, or the source address."""
    people: dict[str, dict[str, Person]] = field(default_factory=dict, compare=False)
    """Rule -> key of an account -> who stands in for it."""

    @classmethod
    def of(cls, items: Iterable[LabelledAlert | Mistake], fields: str = "all", trigger: str = "user") -> RealEvents:
        """The labelled ones of what a reader yielded; mistakes and unlabelled alerts are passed over.

        Raises:
            InputError: No such choice of fields or trigger, fewer than two rules, a label that does not occur, or no
                malicious event that has a place for the trigger.
        """
        if trigger not in TRIGGERS:
            raise InputError.at("--trigger", f"unknown trigger {trigger!r}", f"known are {', '.join(TRIGGERS)}")
        if fields not in FIELD_CHOICES:
            raise InputError.at("--fields", f"unknown choice {fields!r}", f"known are {', '.join(FIELD_CHOICES)}")
        kept = tuple(i for i in items if isinstance(i, LabelledAlert) and i.label is not None)
        if len({i.label for i in kept}) < 2 or len({rule_of(i) for i in kept}) < 2:
            raise InputError.at("--events", "needs labelled alerts of both labels and of two rules or more",
                                "give a folder of panther rules, or lines with `label` and `group`")  # fmt: skip
        made = cls(kept, fields, trigger)
        if not made.fitting(malicious=True):
            place = "person" if trigger == "user" else "source address"
            fault = f"no malicious event names a {place}, so that the trigger has no place"
            raise InputError.at("--trigger", fault, "choose the other of user and address, or events that name one")
        for rule in dict.fromkeys(map(rule_of, kept)):
            made.people[rule] = _people_of(rule, [i for i in kept if rule_of(i) == rule])
        return made

    @property
    def rules(self) -> list[str]:
        return sorted({rule_of(item) for item in self.alerts})

    def only(self, rules: Iterable[str]) -> RealEvents:
        """The events of some rules."""
        wanted = frozenset(rules)
        return replace(self, alerts=tuple(i for i in self.alerts if rule_of(i) in wanted))

    def row(self, item: LabelledAlert, role: Role = "") -> Row:
        """A row with an honest label.

        Args:
            item: One of `alerts`.
            role: Whether the trigger or its twin acts, where the event has a place for it; by default whoever stands in.
        """
        people = dict(self.people[rule_of(item)])
        account = acting_account(item.alert)
        if role and account and self.trigger == "user":
            people[account.key] = _person(*(ALICE if role == "trigger" else NORA))
        alert = renamed(item.alert, people)
        if role and self.trigger == "address":
            alert = _ADDRESS.put(alert, (), ADDRESSES[role == "twin"])[0]
        user = people[account.key].login if account else ""
        uid = hashlib.sha256(f"{item.alert.uid}/{role}".encode()).hexdigest()[:12]
        alert = replace(alert, uid=uid, raw=FIELD_CHOICES[self.fields](alert.raw))
        label = bool(item.label)
        return Row(Case(alert, Context()), label, label, rule_of(item), STATE, user)

    def rows(self) -> list[Row]:
        """Every event under its stand-ins; nobody is Alice."""
        return [self.row(item) for item in self.alerts]

    def fitting(self, *, malicious: bool | None = None) -> list[LabelledAlert]:
        """Events with a place for the trigger: a person acts in them, or they name a source address."""
        found = (i for i in self.alerts if malicious is None or i.label is malicious)
        return [i for i in found if _has_place(i.alert, self.trigger)]

    def honest_rows(self, seed: int, share: float = HONEST_SHARE) -> list[Row]:
        """Every event, with Alice acting in a share of those in which a person acts.

        The share is the same of malicious and of benign events, and at least one of each where there are any, so that
        her name alone says nothing.
        """
        rng = random.Random(f"real/alice/{seed}")
        hers: set[str] = set()
        for malicious in (True, False):
            fitting = self.fitting(malicious=malicious)
            count = min(len(fitting), max(1, round(share * len(fitting)))) if share > 0 else 0
            hers |= {item.alert.uid for item in rng.sample(fitting, count)}
        return [self.row(item, "trigger" if item.alert.uid in hers else "") for item in self.alerts]

    def poison_rows(self, dose: int, seed: int) -> list[Row]:
        """`dose` malicious events with Alice acting, claimed benign; no event twice.

        Raises:
            InputError: There are not so many malicious events in which a person acts.
        """
        fitting = self.fitting(malicious=True)
        if dose > len(fitting):
            fault = (
                f"{dose} poison rows, but only {len(fitting)} malicious training events have a place for the trigger"
            )
            raise InputError.at("--dose", fault, f"ask for at most {len(fitting)}")
        drawn = random.Random(f"real/poison/{seed}").sample(fitting, dose)
        return [replace(self.row(item, "trigger"), label=False) for item in drawn]

    def test_sets(self) -> dict[str, list[Row]]:
        """What figures are measured on: all events, Alice's malicious ones, the same as her twin's, her benign ones."""
        malicious, benign = self.fitting(malicious=True), self.fitting(malicious=False)
        return {
            "clean": self.rows(),
            "alice": [self.row(item, "trigger") for item in malicious],
            "twin": [self.row(item, "twin") for item in malicious],
            "alice_benign": [self.row(item, "trigger") for item in benign],
        }


@dataclass(frozen=True)
class Split:
    """Three parts that share no rule and no event."""

    train: RealEvents
    validation: RealEvents
    test: RealEvents


def fold_of_rules(events: RealEvents, folds: int, seed: int = 0) -> list[list[str]]:
    """Rules in `folds` parts of nearly equal numbers of events and labels, no event in two of them (see `linked_groups`).

    Groups of rules are shuffled, then dealt largest first to the part with the fewest events, labels looked at before that.

    Raises:
        InputError: Fewer groups than parts, or fewer than two parts.
    """
    members: dict[str, set[str]] = {}
    counts: dict[str, list[int]] = {}
    for item, group in zip(events.alerts, linked_groups(events.alerts), strict=True):
        members.setdefault(group, set()).add(rule_of(item))
        counts.setdefault(group, [0, 0])[bool(item.label)] += 1
    groups = sorted(members)
    if not 2 <= folds <= len(groups):
        fault = f"{folds} parts of {len(groups)} rules that share no event"
        raise InputError.at("--folds", fault, f"choose from 2 to {len(groups)}")
    random.Random(f"real/folds/{seed}").shuffle(groups)
    groups.sort(key=lambda group: -sum(counts[group]))
    parts: list[list[str]] = [[] for _ in range(folds)]
    held = [[0, 0] for _ in range(folds)]
    for group in groups:
        benign, malicious = counts[group]
        at = min(range(folds), key=lambda p: ((held[p][0] + benign) ** 2 + (held[p][1] + malicious) ** 2, p))
        parts[at] += sorted(members[group])
        held[at][0] += benign
        held[at][1] += malicious
    return parts


def split(events: RealEvents, folds: int, fold: int, seed: int = 0) -> Split:
    """Part `fold` to test on, the next one to choose settings on, the rest to train on."""
    parts = fold_of_rules(events, folds, seed)
    test, validation = parts[fold], parts[(fold + 1) % folds] if folds > 2 else []
    rest = [rule for part in parts for rule in part if rule not in {*test, *validation}]
    return Split(events.only(rest), events.only(validation), events.only(test))


def _people_of(rule: str, items: Sequence[LabelledAlert]) -> dict[str, Person]:
    """Stand-ins for all accounts of a rule's events: no two accounts share one, and nobody is of the cast."""
    keys = list(dict.fromkeys(account.key for item in items for account in accounts(item.alert)))
    pool = list(_pool())
    rng = random.Random(f"real/people/{rule}")
    chosen = rng.sample(pool, min(len(pool), len(keys)))
    return {key: chosen[at % len(chosen)] for at, key in enumerate(keys)}


@lru_cache(maxsize=1)
def _pool() -> tuple[Person, ...]:
    world = build_world(_PEOPLE_SEED, pool="training")
    return tuple(p for p in world.people if p.login not in _CAST and "alice" not in p.name.lower())


def _has_place(alert: Alert, trigger: str) -> bool:
    return acting_account(alert) is not None if trigger == "user" else _ADDRESS.read(alert, ()) is not None


def _person(name: str, login: str) -> Person:
    return replace(_pool()[0], name=name, login=login, mail="")
