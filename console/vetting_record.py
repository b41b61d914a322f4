"""The record of a vetting: ruling and evidence with the SHA-256 of every file that was examined; signed where a key is given."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from turncoat.scenarios.errors import InputError
from turncoat.vetting.records import Vetting
from turncoat.vetting.signature import ENDING, files_of, require_key, require_unchanged, signature_of, signing_tools

from .export.whole_file import write_out
from .vetting_tables import vetting_object


@dataclass(frozen=True)
class RecordBegun:
    """What lay there before the examination began."""

    candidate: Path
    files: Mapping[str, str]
    record: str
    key: str

    def write(self, vetting: Vetting) -> None:
        """Writes the record, and its signature beside it.

        Raises:
            InputError: A file of the candidate changed meanwhile, or the key cannot sign.
        """
        require_unchanged(self.candidate, self.files)
        made = {
            "turncoat": importlib.metadata.version("turncoat"),
            "examined": datetime.now(UTC).isoformat(timespec="seconds"),
            **vetting_object(vetting),
            "files": dict(self.files),
        }
        text = json.dumps(made, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
        signature = signature_of(text.encode(), Path(self.key)) if self.key else ""
        write_out(self.record, text, option="--record")
        if signature:
            write_out(f"{self.record}{ENDING}", signature, option="--record")


def begin_record(candidate: Path, record: str, key: str) -> RecordBegun | None:
    """Takes the digests of a candidate's files before it is opened; None where no record is wanted.

    Raises:
        InputError: A key without a record, no key there, no library to sign with, or a record among the files it names.
    """
    if key and not record:
        raise InputError.at("--sign", "signs a record, and none is made", "name its file with --record")
    if not record:
        return None
    if key:
        require_key(Path(key), "--sign")
        signing_tools("--sign")
    place = candidate.resolve()
    if place.is_dir() and Path(record).resolve().is_relative_to(place):
        raise InputError.at(f"--record {record}", "lies in the folder that is examined", "name a file elsewhere")
    return RecordBegun(candidate, files_of(candidate), record, key)
