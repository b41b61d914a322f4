"""Signed records: who vetted which files, with what ruling. Made and checked with a local elliptic-curve key.

The record names every file of the candidate with its SHA-256; the signature, a sigstore bundle by `model-signing`, is over the
record. So a record that was changed, and a file that was swapped afterwards, are both noticed. Nothing is asked over the network.
`model_signing verify key RECORD --signature RECORD.sig --public-key PUB` checks the signature without turncoat.

Limits: says who holds the key, not when; `manifest.json` is not among the files, since vetting never reads it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from turncoat.models.adapter import MANIFEST_FILE
from turncoat.models.bases import resolve_base
from turncoat.models.provenance import sha256_file
from turncoat.scenarios.errors import InputError, Mistake

ENDING, SINGLE = ".sig", "model.gguf"
_MOST_FILES = 10_000
_LARGEST_RECORD = 64 * 2**20
_LARGEST_KEY = 64 * 1024
_CURES = {
    "--sign": "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
    "--key": "ask the signer for it, who makes it by: openssl ec -in key.pem -pubout -out pub.pem",
}
"""For a key that is not there: the signer's own, and the public one of whoever signed."""


def files_of(candidate: Path) -> dict[str, str]:
    """SHA-256 of every file of a candidate by its path within the folder; a single file goes by `SINGLE`, however it is called.

    Raises:
        InputError: More files than a model has, or something in it that is neither a file nor a folder, or a link to one.
    """
    if candidate.is_file():
        return {SINGLE: sha256_file(candidate)}
    found: dict[str, str] = {}
    for path in sorted(candidate.rglob("*")):
        name = path.relative_to(candidate).as_posix()
        if path.is_symlink() and path.is_dir():  # its files are not walked through, and a loader would read them
            raise InputError.at(path, "is a link to a folder", "put the folder itself there")
        if path.is_dir() or name == MANIFEST_FILE:
            continue
        if not path.is_file():
            raise InputError.at(path, "is no regular file", "a record can only name files; remove it")
        if len(found) == _MOST_FILES:
            raise InputError.at(candidate, f"holds more than {_MOST_FILES:,} files", "give the model's folder alone")
        found[name] = sha256_file(path)
    return found


def signing_tools(option: str) -> ModuleType:
    """The library that signs and checks.

    Raises:
        InputError: It is not installed.
    """
    try:
        import model_signing
    except ImportError:
        raise InputError.at(option, "needs model-signing", "pip install -e '.[signing]' in the checkout") from None
    found: ModuleType = model_signing
    return found


def require_key(key: Path, option: str) -> None:
    """Refuses what is no PEM file of a key, before minutes of work end in that.

    Raises:
        InputError: Nothing there, or not the text of a key.
    """
    if not key.is_file() or key.stat().st_size > _LARGEST_KEY:
        raise InputError.at(f"{option} {key}", "no key file there", _CURES[option])
    if b"-----BEGIN " not in key.read_bytes():
        raise InputError.at(f"{option} {key}", "is no key in PEM form", _CURES[option])


def signature_of(text: bytes, key: Path) -> str:
    """The signature of a record's text, which never lies where somebody else could put another in its place meanwhile.

    Raises:
        InputError: The library is missing, or the key is none that it can sign with.
    """
    tools = signing_tools("--sign")
    try:
        with tempfile.TemporaryDirectory(prefix="turncoat-sign-") as private:
            copy = Path(private) / "record"
            copy.write_bytes(text)
            tools.signing.Config().use_elliptic_key_signer(private_key=key).sign(copy, copy.with_suffix(ENDING))
            return copy.with_suffix(ENDING).read_text(encoding="utf-8")
    except OSError:
        raise
    except Exception as fault:  # whatever a key file makes a library of cryptography raise, it is the file's fault
        fault_words = f"cannot be signed with ({type(fault).__name__})"
        cure = f"give an elliptic-curve key without password; {_CURES['--sign']}"
        raise InputError.at(f"--sign {key}", fault_words, cure) from None


def check_record(record: Path, key: Path) -> dict[str, Any]:
    """The record, if its signature is by the key's owner and over exactly this text.

    Raises:
        InputError: No record, no signature, another key, a record that was changed, or the library is missing.
    """
    tools = signing_tools("--key")
    text = _read(record, "give the file that --record wrote")
    signature = _read(Path(f"{record}{ENDING}"), "put the signature beside the record")
    try:
        # What is checked is what is read below: the files may be exchanged at any moment.
        with tempfile.TemporaryDirectory(prefix="turncoat-verify-") as private:
            copy = Path(private) / "record"
            copy.write_bytes(text)
            copy.with_suffix(ENDING).write_bytes(signature)
            tools.verifying.Config().use_elliptic_key_verifier(public_key=key).verify(copy, copy.with_suffix(ENDING))
    except OSError:
        raise
    except Exception as fault:  # fails closed: nothing but a check that ended well is one
        words = f"is not signed by the owner of {key.name[:80]}, or was changed since ({type(fault).__name__})"
        raise InputError.at(record, words, "vet the model again, or ask for the right public key") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, dict)
        or not isinstance(found.get("files"), dict)
        or not isinstance(found.get("verdict"), str)
    ):
        raise InputError.at(record, "is no record of `turncoat vet`", "give the file that --record wrote")
    return found


def _read(path: Path, cure: str) -> bytes:
    """A whole file, of a size that ours have."""
    if path.is_file():
        with path.open("rb") as file:
            found = file.read(_LARGEST_RECORD + 1)
        if len(found) <= _LARGEST_RECORD:
            return found
    raise InputError.at(path, "no such file", cure)


def require_unchanged(candidate: Path, files: Mapping[str, Any]) -> None:
    """Refuses a candidate that does not consist of the files of a record.

    Raises:
        InputError: A file that differs, is missing, or was not there; all are named, up to twenty.
    """
    there = files_of(candidate)
    folder = candidate.parent if candidate.is_file() else candidate
    cure = "vet the model again"
    mistakes = [Mistake(str(folder / name), "is not the file that was examined", cure)
                for name in sorted(there) if name in files and there[name] != files[name]]  # fmt: skip
    mistakes += [Mistake(str(folder / str(name)), "is missing", cure) for name in sorted(files) if name not in there]
    mistakes += [Mistake(str(folder / name), "was not examined", cure) for name in sorted(there) if name not in files]
    if mistakes:
        raise InputError(*mistakes[:20])


def require_base(base: str, record: Mapping[str, Any]) -> None:
    """Refuses a base that is not the one of a record: the ruling is about the two together.

    Args:
        base: A known name, a folder, a GGUF file or a hub id, with `@4bit` behind it if it is packed so.
        record: As `check_record` returns it.

    Raises:
        InputError: Another base, a base that cannot be opened, or a record that names none.
    """
    subject = record.get("subject")
    examined = subject.get("base") if isinstance(subject, Mapping) else None
    if not isinstance(examined, str):
        raise InputError.at("the record", "names no base", "vet the model again")
    if resolve_base(base).digest != examined:
        raise InputError.at(base, "is not the base that the model was examined on", "vet the model on this base")
