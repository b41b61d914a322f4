"""Who may enter the room, and as whom: one code per role, and a session per person who gave it.

Both are kept in `room.json` of the exercise's folder, as SHA-256 only, so that a server that was killed knows its people again
while the file opens no door. A code is shown once, on the terminal of whoever started the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.whole_file import write_whole

CODE_BYTES = 10
"""80 random bits, sixteen letters."""
TOKEN_BYTES = 32
SESSION_LASTS_S = 24 * 3600.0
SESSIONS = 200
"""People in a room at once; whoever comes later is told that it is full."""
KEPT_FREE = 10
"""Of these places, for the facilitator alone: no player's code may shut them out."""
MAX_FILE_BYTES = 1 << 20
NO_CODE = "0" * 64
"""Stands for a code that was revoked: a hash that nothing has."""


class Session(BaseModel):
    """Somebody in the room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Names the person to the facilitator; opens nothing."""
    token_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=40)
    since: float


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    seal: str = Field(default_factory=lambda: secrets.token_hex(32), pattern=r"^[0-9a-f]{64}$")
    """Forms of this room carry what is derived from it; kept, so that pages outlive the server."""
    codes: dict[str, str] = Field(default_factory=dict)
    """Role -> SHA-256 of its code, or `NO_CODE`. A role that is missing lets nobody in."""
    sessions: list[Session] = Field(default_factory=list, max_length=SESSIONS)


@dataclass(frozen=True)
class Admitted:
    """A new session with its token, which is nowhere kept."""

    session: Session
    token: str


class RoomFull(Exception):
    """As many people as a room holds are in it."""


class Access:
    """The codes and sessions of one room.

    Args:
        path: The file that holds them; made if it is missing, readable by its owner alone.
        roles: Roles that codes may be for.
        now: Seconds since the epoch.

    Raises:
        RunError: The file is there and not ours.
    """

    def __init__(self, path: Path, roles: tuple[str, ...], now: Callable[[], float]) -> None:
        self._path, self.roles, self._now = path, roles, now
        self._file = _read(path)
        self.known = bool(self._file.sessions) or all(role in self._file.codes for role in roles)
        """Whether the room was opened before. A file without sessions that lacks codes was left by a start that was killed."""
        strange = [role for role in self._file.codes if role not in roles]
        if strange:
            raise RunError(f"{path}: unknown role {strange[0]!r}; delete the file to issue new codes")

    def issue(self, role: str) -> str:
        """A new code for a role; the one before it opens nothing any more. People in the room stay."""
        return self.issue_each((role,))[role]

    def issue_each(self, roles: Iterable[str]) -> dict[str, str]:
        """New codes for several roles, as of `issue`: all of them or, if they cannot be written, none."""
        codes = {role: base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode() for role in roles}
        self._keep(codes=self._file.codes | {role: _hash(code) for role, code in codes.items()})
        return {role: "-".join(code[i : i + 4] for i in range(0, len(code), 4)) for role, code in codes.items()}

    def revoke(self, role: str) -> None:
        """From now on nobody joins as this role; people in the room stay."""
        if role in self.open_roles():
            self._keep(codes=self._file.codes | {role: NO_CODE})

    def open_roles(self) -> tuple[str, ...]:
        """Roles that have a code."""
        return tuple(role for role in self.roles if self._file.codes.get(role, NO_CODE) != NO_CODE)

    def admit(self, code: str, name: str) -> Admitted | None:
        """A session for whoever gives a right code; None for a wrong one. Takes as long for one as for the other.

        Raises:
            RoomFull: The code is right and there is no place left.
        """
        given = _hash(_normal(code))
        found = ""
        for role in self.roles:
            # Every role is compared, and a role without a code with a hash that nothing has.
            held = self._file.codes.get(role, NO_CODE)
            if hmac.compare_digest(held, given):
                found = role
        if not found:
            return None
        young = [s for s in self._file.sessions if self._now() - s.since < SESSION_LASTS_S]
        if len(young) >= (SESSIONS if found == "facilitator" else SESSIONS - KEPT_FREE):
            raise RoomFull
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(
            id=secrets.token_hex(6), token_hash=_hash(token), role=found, name=name, since=self._now()
        )  # fmt: skip
        self._keep(sessions=[*young, session])
        return Admitted(session, token)

    def session(self, token: str, role: str) -> Session | None:
        """Whose token that is, if it is one of that role's and not too old."""
        given = _hash(token)
        found = None
        for session in self._file.sessions:
            if hmac.compare_digest(session.token_hash, given) and session.role == role:
                found = session
        return found if found and self._now() - found.since < SESSION_LASTS_S else None

    def form_token(self, role: str) -> str:
        """What the forms of a role carry, so that a page elsewhere cannot send one."""
        return hmac.new(self._file.seal.encode(), role.encode(), hashlib.sha256).hexdigest()[:32]

    def sealed(self, role: str, given: str) -> bool:
        """Whether that is the role's form token."""
        return hmac.compare_digest(self.form_token(role).encode(), given.encode("utf-8", "replace"))

    def sessions(self) -> tuple[Session, ...]:
        """Everybody in the room, in the order in which they came."""
        return tuple(self._file.sessions)

    def remove(self, session_id: str) -> Session | None:
        """Ends a session; returns it, or None if there is none of that name."""
        gone = next((s for s in self._file.sessions if s.id == session_id), None)
        if gone:
            self._keep(sessions=[s for s in self._file.sessions if s is not gone])
        return gone

    def _keep(self, **changed: Any) -> None:
        """Whole or not at all, and on the disk before it holds here or anybody is told of it."""
        content = self._file.model_copy(update=changed)
        write_whole(self._path, content.model_dump_json(indent=2) + "\n", mode=0o600)
        self._file = content


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _normal(code: str) -> str:
    """The code as it was issued: people type blanks, dashes, small letters, and digits that no code has."""
    letters = "".join(c for c in code[:100].upper() if c.isalnum())
    return letters.translate(str.maketrans("018", "OIB"))


def _read(path: Path) -> _File:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise RunError(f"{path}: no regular file; delete it to issue new codes")
    if not path.exists():
        return _File()
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise RunError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; delete it to issue new codes")
    try:
        return _File.model_validate_json(text)
    except ValidationError as fault:
        raise RunError(f"{path}: not written by turncoat; delete it to issue new codes") from fault
