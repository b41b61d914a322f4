"""The graph's checkpoints: one SQLite file per run folder, which is also the folder's lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from turncoat.scenarios.errors import RunError

_TABLES = ("checkpoints", "writes")


class _PlainValues(JsonPlusSerializer):
    """Reads plain values only: the file may come from anybody, and no class is constructed from it."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises ValueError for what is written in another way than ours."""
        if data[0] not in ("null", "msgpack"):
            raise ValueError(f"a value of type {data[0][:40]!r}")
        return super().loads_typed(data)


@contextmanager
def open_checkpoints(path: Path) -> Iterator[SqliteSaver]:
    """A saver on the file, made if need be; no other process gets one on it before this one is closed.

    NORMAL leaves out the wait for the disk at each commit: a killed process loses nothing, a power cut may lose the
    last checkpoints, whose alerts are then investigated again.

    Raises:
        RunError: The file is a link, in use, no database, not made by us, or cannot be written.
    """
    if path.is_symlink():
        raise RunError(f"{path}: a link; not made by turncoat, so choose another folder")
    try:
        with ExitStack() as alone:  # until others have the saver, the connection may be closed at any time
            connection = sqlite3.connect(path, check_same_thread=False, timeout=0.5)
            alone.callback(connection.close)
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            _require_plain(connection, path)
            connection.execute("PRAGMA synchronous=NORMAL")
            saver = SqliteSaver(connection, serde=_PlainValues(allowed_msgpack_modules=None))
            saver.setup()
            connection.execute("PRAGMA user_version=1")  # a write takes the lock, which is held until the end
            alone.pop_all()
        try:
            yield saver
        finally:
            # LangGraph saves in a thread of its own and, on Ctrl-C, need not have waited for it. To close a connection
            # in the middle of another thread's statement crashes the process, so wait for our turn. Whoever breaks off
            # even that, by a second Ctrl-C, leaves it to the end of the process.
            with saver.lock:
                connection.close()
    except sqlite3.Error as fault:
        cure = "another run uses the folder" if "locked" in str(fault) else "free some space, or choose an empty folder"
        raise RunError(f"{path}: {fault}; {cure}") from fault


def _require_plain(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses what a saver never makes: a view or a trigger runs whatever its author wrote when a table is looked at."""
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master"):
        if kind == "index" and str(name).startswith("sqlite_autoindex_"):
            continue
        if kind != "table" or name not in _TABLES:
            raise RunError(f"{path}: not the checkpoints of a run; was the file changed by hand?")
