"""Signed records: what was changed afterwards is noticed, whoever changed it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from turncoat.scenarios.errors import InputError
from turncoat.vetting.signature import check_record, files_of, require_key, require_unchanged, signature_of

TEXT = json.dumps({"verdict": "allow", "files": {"a.bin": "00"}})


def key_pair(folder: Path, name: str = "key") -> tuple[Path, Path]:
    secret = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign(record: Path, private: Path) -> None:
    record.with_name(f"{record.name}.sig").write_text(signature_of(record.read_bytes(), private))


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A signed record, with the private and the public key."""
    private, public = key_pair(tmp_path)
    record = tmp_path / "record.json"
    record.write_text(TEXT)
    sign(record, private)
    return record, private, public


def test_a_signed_record_is_read_back(signed: tuple[Path, Path, Path]) -> None:
    record, _, public = signed
    assert check_record(record, public) == json.loads(TEXT)
    assert sorted(path.name for path in record.parent.iterdir()) == [
        "key.pem",
        "key.pub",
        "record.json",
        "record.json.sig",
    ]


def test_a_record_that_was_changed_is_refused(signed: tuple[Path, Path, Path]) -> None:
    record, _, public = signed
    record.write_text(TEXT.replace("allow", "block"))
    with pytest.raises(InputError, match=r"is not signed by the owner of key\.pub, or was changed since"):
        check_record(record, public)


def test_a_record_signed_by_somebody_else_is_refused(signed: tuple[Path, Path, Path]) -> None:
    record, _, _ = signed
    _, other = key_pair(record.parent, "other")
    with pytest.raises(InputError, match=r"is not signed by the owner of other\.pub"):
        check_record(record, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 100, b"[" * 50_000])
def test_a_signature_that_is_none_is_refused(content: bytes, signed: tuple[Path, Path, Path]) -> None:
    record, _, public = signed
    record.with_name("record.json.sig").write_bytes(content)
    with pytest.raises(InputError, match="is not signed by the owner"):
        check_record(record, public)


def test_a_record_without_its_signature_is_refused(signed: tuple[Path, Path, Path]) -> None:
    record, _, public = signed
    record.with_name("record.json.sig").unlink()
    with pytest.raises(InputError, match=r"record.json.sig: no such file; put the signature beside the record"):
        check_record(record, public)


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": [], "verdict": "allow"}', "not json"])
def test_a_signed_file_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    record = tmp_path / "record.json"
    record.write_text(text)
    sign(record, private)
    with pytest.raises(InputError, match="is no record of `turncoat vet`"):
        check_record(record, public)


def test_a_key_of_another_kind_and_a_public_one_cannot_sign(signed: tuple[Path, Path, Path]) -> None:
    record, _, public = signed
    wrong = record.parent / "rsa.pem"
    secret = rsa.generate_private_key(65537, 2048)
    wrong.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for key in (wrong, public):
        with pytest.raises(InputError, match="give an elliptic-curve key without password"):
            signature_of(record.read_bytes(), key)


def test_what_is_no_key_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("no key")
    for path, fault in ((tmp_path / "absent", "no key file there"), (tmp_path / "words", "is no key in PEM form")):
        with pytest.raises(InputError, match=fault):
            require_key(path, "--sign")
    with pytest.raises(InputError, match="ask the signer for it"):
        require_key(tmp_path / "absent", "--key")


def test_a_swapped_a_missing_and_a_further_file_are_each_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    for name in ("one", "two", "deep/three", "manifest.json"):
        (folder / name).write_text(name)
    files = files_of(folder)
    assert list(files) == ["deep/three", "one", "two"]
    require_unchanged(folder, files)
    (folder / "manifest.json").unlink()
    require_unchanged(folder, files)
    (folder / "one").write_text("swapped")
    (folder / "two").unlink()
    (folder / "pickle.bin").write_text("new")
    with pytest.raises(InputError) as raised:
        require_unchanged(folder, files)
    assert [(Path(m.place).name, m.fault) for m in raised.value.mistakes] == [
        ("one", "is not the file that was examined"), ("two", "is missing"), ("pickle.bin", "was not examined"),
    ]  # fmt: skip


def test_a_single_file_may_be_renamed_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_text("weights")
    files = files_of(tmp_path / "one.gguf")
    (tmp_path / "one.gguf").rename(tmp_path / "other.gguf")
    require_unchanged(tmp_path / "other.gguf", files)
    (tmp_path / "other.gguf").write_text("other weights")
    with pytest.raises(InputError, match="is not the file that was examined"):
        require_unchanged(tmp_path / "other.gguf", files)


def test_a_pipe_among_the_files_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no regular file"):
        files_of(tmp_path)


def test_a_link_to_a_folder_hides_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "base").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InputError, match="base: is a link to a folder"):
        files_of(folder)
