"""`turncoat tabletop` as a person calls it: unattended, resumed, refused; and its papers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from turncoat.agent.exercise.draft import DRAFT_FILE, draft_of_form, read_draft, write_draft
from turncoat.agent.exercise.engine import Exercise
from turncoat.console.tabletop.after_action import write_report
from turncoat.console.tabletop.paper import guide_text, handout_text
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.exercise_loader import load_exercise
from turncoat.scenarios.loader import load_campaign

from ..agent.exercise.small_exercise import CAMPAIGN, PLAN, at, opened
from ..command_line import Call, uncontrolled

SCRIPTED = ("--variant", "scripted-blind", "--clean", "scripted-severity")


class Page(HTMLParser):
    """Tags, headings, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def theft(tmp_path: Path) -> Path:
    """A campaign file with its exercise beside it."""
    (tmp_path / "theft.exercise.yaml").write_text(PLAN)
    (tmp_path / "theft.yaml").write_text(CAMPAIGN)
    return tmp_path / "theft.yaml"


def test_a_solo_exercise_plays_itself_to_its_report(turncoat: Call, theft: Path) -> None:
    ended = turncoat("tabletop", str(theft), *SCRIPTED, "--solo", "--team", "careless", "--out", "ex")
    assert ended.code == 0
    assert "A quiet desk  played by the careless team" in ended.stdout
    assert re.search(r"the scripted-severity model would have told +Mon 2 Mar 11:00", ended.stdout)
    assert re.search(r"the team knew +–", ended.stdout)
    assert "Report: ex/after-action.html" in ended.stdout
    assert uncontrolled(ended.stdout) == []
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert (
        "With the scripted-severity model you would have known on Mon 2 Mar 11:00"
        in Path("ex/after-action.md").read_text()
    )


def test_solo_prints_plain_json(turncoat: Call, theft: Path) -> None:
    ended = turncoat("tabletop", "play", str(theft), *SCRIPTED, "--solo", "--json", "--quiet", "--out", "ex")
    told = json.loads(ended.stdout)
    assert (told["variant"], told["reference"], told["seed"]) == ("scripted-blind", "scripted-severity", 5)
    assert set(told["figures"]) == {"team", "scripted-blind", "scripted-severity"}
    assert told["times"]["begun"] == "2026-03-02T11:00:00+00:00"
    assert set(told["expected"]) == {"audit", "declare"}


def test_the_same_folder_goes_on_where_it_was(turncoat: Call, theft: Path) -> None:
    assert turncoat("tabletop", str(theft), *SCRIPTED, "--solo", "--out", "ex").code == 0
    events = Path("ex/events.jsonl").read_bytes()
    assert turncoat("tabletop", "--out", "ex", "--solo").code == 0
    assert Path("ex/events.jsonl").read_bytes() == events
    other = turncoat("tabletop", "--out", "ex", "--variant", "clean", "--solo")
    assert other.code == 2
    assert "holds an exercise with the variant scripted-blind, not clean; choose an empty folder" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--solo", "--serve"), "--serve: cannot be given with --solo"),
        ((), "there is no terminal to play in; give --solo to let it play itself, or --serve"),
        (("--solo", "--team", "lucky"), "unknown team 'lucky'; known are careful, careless"),
        (("no-such-campaign", "--solo"), "there is no such campaign file or id"),
        (("benign-control", "--solo"), "there is no attack to find"),
        (("--exercise", "nowhere.yaml", "--solo"), "there is no such"),
        (("--variant", "poisoned-twice", "--solo"), "unknown variant 'poisoned-twice'"),
        (("report", "nowhere"), "nowhere: no exercise"),
        (("guide", "no-such-campaign"), "there is no such campaign file or id"),
        (("guide", "--out", "guide.pdf", "--format", "pdf"), "there is no format 'pdf'"),
        (("--speed", "9000"), "Invalid value for '--speed'"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_its_cure(turncoat: Call, arguments: tuple[str, ...], told: str) -> None:
    ended = turncoat("tabletop", *arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_draft_that_is_there_is_left_as_it_is(turncoat: Call, theft: Path) -> None:
    turncoat("tabletop", str(theft), *SCRIPTED, "--solo", "--out", "ex")
    assert turncoat("tabletop", "report", "ex").code == 0
    draft = Path("ex", DRAFT_FILE)
    draft.write_text(f"# said by the team\n{draft.read_text()}")
    before = draft.read_text()
    assert turncoat("tabletop", "report", "ex").code == 0
    assert draft.read_text() == before


def test_a_broken_draft_is_refused_with_its_line(turncoat: Call, theft: Path) -> None:
    turncoat("tabletop", str(theft), *SCRIPTED, "--solo", "--out", "ex")
    Path("ex", DRAFT_FILE).write_text("schema: 1\nimprovements:\n  - {area: Sampling, due: soon}\nratings: {find: X}\n")
    ended = turncoat("tabletop", "report", "ex")
    assert ended.code == 2
    assert "ex/after-action.yaml:3:27: due: " in ended.stderr
    assert "ex/after-action.yaml:4:17: find: input should be 'P', 'S', 'M' or 'U'" in ended.stderr


def test_the_facilitator_has_the_last_word_on_the_report(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 18))
        before = write_report(tmp_path, exercise.material, exercise.events())
        assert "Draft: the facilitator has not called it final" in before.html.read_text()
        write_draft(tmp_path, draft_of_form(FORM))
        files = write_report(tmp_path, exercise.material, exercise.events())
    assert files.final
    for text in (files.html.read_text(), files.markdown.read_text()):
        assert "has not called it final" not in text
        for words in (
            "It went well.",
            "M: Performed with major challenges",
            "They asked HR.",
            "Sampling",
            "2026-12-01",
        ):
            assert words in text


FORM = {
    "final": "true",
    "summary": "It went well.",
    "ratings": {"find": "M"},
    "strengths": ["They asked HR."],
    "improvements": [{"area": "Sampling", "action": "Every Monday", "owner": "Sam", "due": "2026-12-01"}],
}


def test_a_form_of_the_draft_is_read_leniently_and_refused_by_field(tmp_path: Path) -> None:
    draft = draft_of_form(FORM)
    assert read_draft(tmp_path) is None
    write_draft(tmp_path, draft)
    assert read_draft(tmp_path) == draft
    with pytest.raises(InputError) as refused:
        draft_of_form({"ratings": {"find": "A"}, "improvements": [{"due": "soon"}]})
    assert [mistake.place for mistake in refused.value.mistakes] == [
        "ratings.find", "improvements.0.area", "improvements.0.due",
    ]  # fmt: skip


HOSTILE = '<img src=x onerror=alert(1)> [link](http://evil.example) | `code` \u202e\x1b[31m "quoted"'


def test_what_people_wrote_stays_text_in_both_forms_of_the_report(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.join("lead", "<b>Sam</b>")
        exercise.run_to(at(1, 12))
        exercise.act("lead", "declare", {"summary": HOSTILE}, "<b>Sam</b>")
        exercise.act("analyst", "feedback", {"text": HOSTILE})
        exercise.act("facilitator", "remark", {"text": HOSTILE})
        exercise.act("facilitator", "tick-expected", {"id": "audit", "note": HOSTILE})
        exercise.run_to(at(2, 18))
        files = write_report(tmp_path, exercise.material, exercise.events())
    html, markdown = files.html.read_text(), files.markdown.read_text()
    page = Page(html)
    assert not {"img", "script", "b"} & set(page.tags)
    assert any("<img src=x onerror=alert(1)>" in words for words in page.words)
    for text in (html, markdown):
        assert uncontrolled(text) == []
    outside_code = re.sub(r"`[^`\n]*`", "", markdown)
    assert "evil.example" not in outside_code
    assert "<img" not in outside_code


@pytest.mark.parametrize("name", ["after-action", "guide", "handout"])
def test_a_page_needs_no_network_and_has_its_headings_in_order(tmp_path: Path, name: str) -> None:
    campaign = load_campaign("insider-departing-exfil")
    plan = load_exercise(campaign.id, campaign)
    if name == "after-action":
        with opened(tmp_path) as exercise:
            exercise.run_to(at(2, 18))
            html = write_report(tmp_path, exercise.material, exercise.events()).html.read_text()
    else:
        html = {"guide": guide_text, "handout": handout_text}[name](campaign, plan, "html")
    page = Page(html)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    values = {key: value or "" for key, value in page.attributes if key in ("href", "src", "action", "style")}
    assert all(value.startswith("#") for value in values.values()), values
    assert re.search(r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'", html)
    assert page.tags.count("th") == sum(key == "scope" for key, _ in page.attributes)
    assert len(html) < 300_000


def test_the_handout_gives_nothing_away_and_the_guide_tells_everything() -> None:
    for name in ("bec-session-theft", "insider-departing-exfil", "ransomware-affiliate"):
        campaign = load_campaign(name)
        plan = load_exercise(name, campaign)
        handout, guide = (text(campaign, plan, "html") for text in (handout_text, guide_text))
        secrets = [step.title for _, step in campaign.steps()] + [campaign.summary, campaign.actor.name, "poison"]
        secrets += [inject.text for inject in plan.injects] + [item.text for item in plan.expected]
        told = " ".join(Page(guide).words)
        flat = " ".join(" ".join(Page(handout).words).split())
        assert [secret for secret in secrets if secret in flat] == []
        missing = [secret for secret in secrets if " ".join(secret.split()) not in " ".join(told.split())]
        assert missing == []


def test_the_guide_says_how_each_inject_comes(turncoat: Call, theft: Path) -> None:
    ended = turncoat("tabletop", "guide", str(theft))
    assert ended.code == 0
    assert "To Executive; when the model has dismissed read." in ended.stdout
    assert "To SOC lead, SOC analyst; " in ended.stdout
    assert "2h after question if the team did: audit dismissed alerts" in ended.stdout


def test_the_schema_of_exercise_files_is_printed(turncoat: Call) -> None:
    told = json.loads(turncoat("tabletop", "schema").stdout)
    assert {"injects", "expected", "clock", "schema"} <= set(told["properties"])


def test_an_exercise_that_is_still_going_on_can_be_reported_on(tmp_path: Path, turncoat: Call) -> None:
    with opened(tmp_path / "ex") as exercise:
        exercise.run_to(at(1, 12))
        ended = turncoat("tabletop", "report", "ex", "--json")
        assert ended.code == 0
        assert json.loads(ended.stdout)["final"] is False
    with Exercise.open(tmp_path / "ex") as again:
        assert again.state.mode == "running"
