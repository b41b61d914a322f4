"""Style, script and library of the pages, each under a name that carries its checksum, so that browsers may keep it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Static:
    """One file, as it is served."""

    content: bytes
    media_type: str


class Statics:
    """All files of `static/`, read once."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._served: dict[str, Static] = {}
        for file in files(__package__).joinpath("static").iterdir():
            stem, _, ending = file.name.rpartition(".")
            if ending in TYPES:
                content = file.read_bytes()
                name = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
                self._urls[file.name] = f"/static/{name}"
                self._served[name] = Static(content, TYPES[ending])

    def url(self, name: str) -> str:
        """The address of a file; KeyError for a name that a template misspells."""
        return self._urls[name]

    def get(self, name: str) -> Static | None:
        """What is served under a name with its checksum."""
        return self._served.get(name)
