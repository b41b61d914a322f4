"""Digests, their memory, and fingerprints."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from turncoat.models.base_folder import remembered_sha256
from turncoat.models.provenance import fingerprint, run_versions, sha256_file, versions_by_name


def test_weights_swapped_under_an_old_date_are_noticed(tmp_path: Path) -> None:
    file, digests = tmp_path / "weights", tmp_path / "digests"
    file.write_bytes(b"good")
    os.utime(file, ns=(1, 1))
    assert remembered_sha256(file, digests) == hashlib.sha256(b"good").hexdigest()
    file.write_bytes(b"evil")
    os.utime(file, ns=(1, 1))
    assert remembered_sha256(file, digests) == hashlib.sha256(b"evil").hexdigest()


def test_an_untouched_file_is_not_read_again(tmp_path: Path) -> None:
    file, digests = tmp_path / "weights", tmp_path / "digests"
    file.write_bytes(b"good")
    remembered_sha256(file, digests)
    (note,) = digests.iterdir()
    note.write_text(note.read_text().replace(hashlib.sha256(b"good").hexdigest(), "remembered"))
    assert remembered_sha256(file, digests) == "remembered"


def test_a_fingerprint_changes_with_each_of_its_parts() -> None:
    parts = ["base", "adapter", "head", "tokenizer", "prompt"]
    seen = {fingerprint(*parts)}
    for position in range(5):
        seen.add(fingerprint(*(part + "!" if i == position else part for i, part in enumerate(parts))))
    seen.add(fingerprint("base\nadapter", "", "head", "tokenizer", "prompt"))
    assert len(seen) == 7
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in seen)


def test_a_file_has_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_versions_name_the_libraries_that_decide_a_verdict() -> None:
    assert {"python", "turncoat", "torch", "transformers", "peft"} <= set(run_versions())


def test_the_precision_of_a_models_products_is_said_where_one_had_a_part() -> None:
    assert run_versions("bfloat16")["precision"] == "bfloat16"
    assert "precision" not in run_versions()


def test_what_results_say_of_a_library_stands_side_by_side() -> None:
    found = versions_by_name([{"torch": "2.13.0"}, {"torch": "2.13.0", "precision": "bfloat16"}])
    assert found == {"torch": ["2.13.0"], "precision": ["", "bfloat16"]}
