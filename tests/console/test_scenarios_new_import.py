from __future__ import annotations

import json
from pathlib import Path

import pytest

from turncoat.scenarios.loader import load_campaign, parse_campaign

from ..command_line import Call


def bundle(*names: str) -> str:
    actions = [
        {"type": "attack-action", "id": f"attack-action--{n}", "name": name, "technique_id": "T1046"}
        for n, name in enumerate(names)
    ]
    return json.dumps({"type": "bundle", "objects": actions})


def test_new_prints_a_template_that_validates(turncoat: Call, tmp_path: Path) -> None:
    assert turncoat("scenarios", "new", "2024-13-45").code == 0  # looks like a day, and is none
    done = turncoat("scenarios", "new", "my-own")
    assert (done.code, done.stderr) == (0, "")
    assert parse_campaign(done.stdout).id == "my-own"
    assert done.stdout.startswith("# A campaign for turncoat")


def test_new_writes_a_file_that_validate_passes_and_never_writes_over_one(turncoat: Call, tmp_path: Path) -> None:
    assert turncoat("scenarios", "new", "my-own", "--out", "mine.yaml").code == 0
    assert turncoat("scenarios", "validate", "mine.yaml").stdout == "✓ mine.yaml\n"
    (tmp_path / "mine.yaml").write_text("my work of a week")
    again = turncoat("scenarios", "new", "other", "--out", "mine.yaml")
    assert again.code == 2
    assert "there is a file already" in again.stderr
    assert (tmp_path / "mine.yaml").read_text() == "my work of a week"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_import_writes_a_skeleton_that_validates(turncoat: Call, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(bundle("Scans", "Scans again"))
    done = turncoat("scenarios", "import", "flow.json", "--out", "flow.yaml")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert [step.id for _, step in load_campaign(tmp_path / "flow.yaml").steps()] == ["scans", "scans-again"]


def test_import_to_standard_output_lets_no_escape_sequence_through(turncoat: Call, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(bundle("\x1b[2Jgone\x07\n\u202e"))
    done = turncoat("scenarios", "import", "flow.json")
    assert done.code == 0
    assert '        title: "[2Jgone"\n' in done.stdout
    assert not set(done.stdout) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "No Id"), "turncoat: ID: 'No Id' is no id; use a-z, digits and dashes, at most 60"),
        (("import", "gone.afb"), "turncoat: gone.afb: there is no such file; give a .afb file or a STIX 2.1 .json"),
        (("import", "list.json"), "turncoat: list.json: not a JSON object; give a .afb file or a STIX 2.1 .json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    turncoat: Call, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "list.json").write_text("[]")
    done = turncoat("scenarios", *arguments)
    assert (done.code, done.stdout, done.stderr) == (2, "", message + "\n")


def test_a_link_in_place_of_the_file_is_not_written_through(turncoat: Call, tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere.yaml")
    done = turncoat("scenarios", "new", "mine", "--out", "link.yaml")
    assert done.code == 2
    assert "a link, or no regular file" in done.stderr
    assert not (tmp_path / "nowhere.yaml").exists()
