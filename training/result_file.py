"""One result, one file: read as anybody's, written whole or not at all, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.whole_file import write_whole

Result = TypeVar("Result", bound=BaseModel)


def read_result(model: type[Result], path: Path, *, most_mib: int, cure: str) -> Result:
    """The result in a file.

    Args:
        model: What it must be.
        path: The file.
        most_mib: Largest size that is read.
        cure: What the person may do about a file that is none.

    Raises:
        InputError: No regular file, too large, or damaged.
    """
    if not path.is_file() or path.is_symlink():
        raise InputError.at(path, "no regular file", cure)
    largest = most_mib << 20
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise InputError.at(path, f"larger than {most_mib} MiB", cure)
        return model.model_validate_json(content)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100] or "file"
        raise InputError.at(path, f"damaged ({where}: {first['msg'][:100]})", cure) from None
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError.at(path, f"damaged ({type(fault).__name__})", cure) from None


def write_result(path: Path, result: BaseModel) -> None:
    """Writes a result, whole or not at all, and never through a link."""
    write_whole(path, result.model_dump_json(indent=1) + "\n")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Holds a lock file, or a folder that is there; yields False if another process does.

    The kernel drops the lock when its holder dies.

    Raises:
        RunError: The file cannot be made, or the folder not be opened.
    """
    how = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        lock = os.open(path, how | os.O_CLOEXEC, 0o644)
    except OSError as fault:
        raise RunError(f"{path}: {fault.strerror}; choose a folder that you may write to") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        yield False
        return
    try:
        yield True
    finally:
        os.close(lock)


@contextmanager
def claimed(lock: Path, result: Path) -> Iterator[bool]:
    """Holds a cell while it is made; yields False if another process does. Whoever gets it looks again whether it is done.

    Args:
        lock: Its lock file, in a folder that is made if need be: another process that is done may have tidied it away.
        result: What is there when the cell is done; the lock file is removed then.

    Raises:
        RunError: As `held`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with held(lock) as mine:
        try:
            yield mine
        finally:
            if mine and result.exists():
                lock.unlink(missing_ok=True)
