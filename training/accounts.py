"""Accounts in vendors' events: who is named there, and the same event with other people in their places.

An account is whatever stands in the alert's user field, before the @ of a mail address, at the end of an ARN of a user or
of an assumed role, or in a field that is typed as a user (`_USER_KEYS`). Machines are no people and keep their names:
root, `system:` and `eks:` accounts, service accounts of the cloud, bots, instances.

Replaced are entities and raw values, never the rule's title and activity and never a field's name. A name that is a common
word too (`user`, `admin`, `cat`) is replaced where it stands as an account, and not where it may be a word of a command.
Domains of mail addresses stay: rules ask whether they are the company's own.

Limits: a person who is named only in running text, and by no account of the event, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from turncoat.scenarios.enterprise import Person
from turncoat.scenarios.records import Alert, Entities

_USER_KEYS = frozenset(
    """user username user_name userid login loginname login_name email user_email admin_email email_address actor actor_name
    actor_user actor_user_name actorname full_name fullname first_name last_name targetusername target_user target_username
    masterusername rolesessionname adminuser owner member members requester upn userprincipalname alternateid
    invited_user preferred_username caller operator performed_by logname assignee author""".split()
)
_NAMES_BESIDE_MAIL = frozenset(("displayname", "name", "full_name", "fullname", "display_name"))
_MAILS = frozenset(("alternateid", "email", "mail", "email_address", "login", "upn", "userprincipalname"))
_MACHINE = re.compile(
    r"(?i)^(root|system|anonymous|nobody|system:.*|eks:.*|serviceaccount:.*|AWSServiceRole.*|i-[0-9a-f]{8,}|.*\[bot\]"
    r"|.*gserviceaccount\.com|.*:root|kube-.*|[0-9a-f-]{16,}|[0-9.:/]+|true|false|none|null|unknown|\W*)$"
)
_MAIL = re.compile(r"(?<![\w.+%-])([A-Za-z0-9][\w.+%-]{0,63})@([A-Za-z0-9.-]{1,100}[A-Za-z0-9]|(?=\W|$))")
_ARN_END = re.compile(
    r"(?<=:(?:user|role)/)[\w+=.@/-]+|(?<=:federated-user/)[\w+=.@/-]+|(?<=:assumed-role/)[\w+=.@/-]+"
)
_ARN_PERSON = re.compile(
    r"(?<=:user/)[\w+=.@/-]+|(?<=:federated-user/)[\w+=.@/-]+|(?<=:assumed-role/)[\w+=.@-]+/[\w+=.@-]+"
)
_ACCOUNT = re.compile(r"[^\W\d_][\w.'’+-]*(?: [\w.'’-]+){0,2}")
_COMMON = frozenset(
    """user users admin admins administrator test tester testing testuser developer developers example owner service group
    account operator contractor employee security support manager guest member team name email role default local public
    panther some iam arn cat dog dude dev devs ops master postgres ubuntu backup data null value sample demo internal external
    person company organization organisation domain identity function application project engineering finance sales""".split()
)
_ALICE = re.compile(r"(?<![A-Za-z])(?i:alice)(?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class Account:
    """One account of an event."""

    key: str
    """The same for every way in which one event family writes it: `homer simpson` for `Homer.Simpson@duff.com` too."""
    written: str
    """A form that stands in the event."""


def key_of(account: str) -> str:
    """`homer simpson` of `Homer.Simpson`, `homer_simpson`, `homer.simpson@duff.com` or the ARN of such a session."""
    tail = account.rpartition("/")[2] if account.startswith("arn:") else account.rpartition("\\")[2]
    return " ".join(part for part in re.split(r"[._\s-]+", tail.partition("@")[0].lower()) if part)


def acting_account(alert: Alert) -> Account | None:
    """The person in the alert's user field; None where there is nobody or a machine."""
    user = (alert.entities.user or "").strip()
    if not user or len(user) > 320 or _is_machine(user) or not key_of(user):
        return None
    return Account(key_of(user), user)


def accounts(alert: Alert) -> list[Account]:
    """Every account that the alert names, the acting one first, each key once with its first form."""
    found: dict[str, Account] = {}
    for account in _named(alert):
        found.setdefault(account.key, account)
    return list(found.values())


def renamed(alert: Alert, people: Mapping[str, Person]) -> Alert:
    """The alert with other people in the places of its accounts.

    Args:
        alert: As it was read.
        people: Key of an account -> who stands in for it. Nobody is called Alice afterwards but who is called so here.
    """
    change = _Renaming(alert, people)
    entities = Entities(**{slot: change.entity(slot, getattr(alert.entities, slot)) for slot in Entities.__slots__})
    return replace(alert, entities=entities, raw={name: change.field(name, value) for name, value in alert.raw.items()})


def _named(alert: Alert) -> Iterator[Account]:
    acting = acting_account(alert)
    if acting:
        yield acting
    values = [(slot, getattr(alert.entities, slot) or "") for slot in ("host", "command_line", "file", "resource")]
    for name, value in [*alert.raw.items(), *values, ("", alert.entities.user or "")]:
        yield from (Account(key_of(m[1]), m[1]) for m in _MAIL.finditer(value) if not _is_machine(m[0]))
        for match in _ARN_PERSON.finditer(value):
            end = match[0].rpartition("/")[2]
            if not _is_machine(end) and key_of(end):
                yield Account(key_of(end), end)
        if _last(name) in _USER_KEYS and _is_account(value):
            yield Account(key_of(value), value)
        if _ALICE.search(value):
            yield Account("alice", "alice")


class _Renaming:
    """Replaces in one alert; built once, asked per field."""

    def __init__(self, alert: Alert, people: Mapping[str, Person]) -> None:
        self.people = people
        self.display = dict(_display_names(alert.raw))
        """Lower-case display name -> key of the account beside it."""
        known = [a for a in _named(alert) if a.key in people]
        forms = {form.lower(): a.key for a in known for form in (a.written, a.written.rpartition("/")[2])}
        self.loose = {form: key for form, key in (forms | self.display).items() if _is_distinctive(form)}
        words = "|".join(re.escape(form) for form in sorted(self.loose, key=len, reverse=True)) or r"(?!)"
        # In one pass: what was put in is never looked at again, or a planted Alice would be taken for the event's own.
        self.pattern = re.compile(
            rf"(?P<mail>{_MAIL.pattern})|(?P<arn>{_ARN_END.pattern})"
            rf"|(?P<word>(?<![A-Za-z0-9])(?i:{words})(?![A-Za-z0-9]))|(?P<alice>{_ALICE.pattern})"
        )

    def entity(self, slot: str, value: str | None) -> str | None:
        """A field of the alert proper, replaced."""
        return None if value is None else self.field(slot, value)

    def field(self, name: str, value: str) -> str:
        """The value of a field, replaced."""
        if _last(name) in _USER_KEYS and not value.startswith("arn:") and "@" not in value and not _is_machine(value):
            person = self.people.get(key_of(value))
            if person:
                before, slash, _ = value.rpartition("\\")
                return f"{before}{slash}{_as_written(value, person)}"
        return self.pattern.sub(self._replaced, value)

    def _replaced(self, match: re.Match[str]) -> str:
        old = match[0]
        if match["mail"]:
            local, _, domain = old.partition("@")
            person = self.people.get(key_of(local))
            return old if person is None or _is_machine(old) else f"{person.login}@{domain}"
        if match["arn"]:
            before, slash, end = old.rpartition("/")
            person = self.people.get(key_of(end))
            return old if person is None or _is_machine(end) else f"{before}{slash}{person.login}"
        person = self.people.get(self.loose[old.lower()] if match["word"] else "alice")
        return old if person is None else _as_written(old, person)


def _display_names(raw: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names that stand beside a mail address of the same record: `target.0.displayName` beside `target.0.alternateId`."""
    mails = {name.rpartition(".")[0]: value for name, value in raw.items() if _last(name) in _MAILS and "@" in value}
    for name, value in raw.items():
        beside = mails.get(name.rpartition(".")[0])
        if beside and _last(name) in _NAMES_BESIDE_MAIL and _is_account(value):
            yield value.lower(), key_of(beside)


def _as_written(old: str, person: Person) -> str:
    """The full name where the old one was written with a space, else the login."""
    return person.name if " " in old.strip() else person.login


def _last(name: str) -> str:
    """`username` of `target.0.userName`; list positions are passed over."""
    return next((part for part in reversed(name.lower().split(".")) if not part.isdigit()), "")


def _is_machine(account: str) -> bool:
    return bool(_MACHINE.match(account))


def _is_account(value: str) -> bool:
    words = value.strip()
    return len(words) <= 60 and bool(_ACCOUNT.fullmatch(words)) and not _is_machine(words) and bool(key_of(words))


def _is_distinctive(form: str) -> bool:
    return len(form) >= 4 and form not in _COMMON and not _is_machine(form)
