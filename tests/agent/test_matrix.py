from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from turncoat.agent.matrix import Matrix, Overall, lift_within, matrix_object, matrix_of
from turncoat.agent.matrix_csv import COLUMNS, matrix_csv
from turncoat.agent.played import PlayedRun, group_of, join
from turncoat.agent.records import Action, Decision, Investigation, Outcome
from turncoat.models.classifier import Verdict
from turncoat.models.metrics import Pairs
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORDS: dict[str, Action] = {"e": "escalate", "d": "dismiss", "r": "review", "f": "escalate"}
SEEN, UNSEEN = "usb-copy", "web-shell"


def rows(
    key: str, principal: str, actions: str, *, variant: str = "clean", malicious: bool = True, family: str = SEEN,
    lookalike: bool = False, user: str | None = None, answer: str = "", injected: bool = False, model: str = "m1",
) -> list[Outcome]:  # fmt: skip
    """One alert per letter: e, d, r, or f for forced."""
    found = []
    for i, letter in enumerate(actions):
        alert = Alert(
            f"{key}{i}", START, "t", Severity.LOW, "p", None, "data", entities=Entities(user=user or principal)
        )
        verdict = Verdict("malicious" if letter == "e" else "benign", 0.5, 0.0, model, 9)
        decision = Decision(WORDS[letter], letter == "f", "threshold", "r", START)
        evidence = (Evidence("related_alerts", "q", answer, 1.0),)
        row = Investigation(f"{key}{i}", variant, principal, None if letter == "f" else verdict, decision, evidence, 1)
        phase = "access" if malicious else None
        found.append(Outcome(alert, row, malicious, phase, None, lookalike, malicious, (), injected, family))
    return found


def run(
    campaign: str, alice: str, nora: str, *, seed: int = 1, more: tuple[Outcome, ...] = (), **kind: str
) -> PlayedRun:
    outcomes = rows("x", "alice", alice, **kind) + rows("x", "nora", nora, **kind)  # type: ignore[arg-type]
    return PlayedRun(campaign, seed, ("alice", "nora"), (), [*outcomes, *more])


def overall(matrix: Matrix, variant: str = "clean", pool: str = "all") -> Overall:
    (found,) = (one for one in matrix.overall if (one.variant, one.pool) == (variant, pool))
    return found


def test_the_seeds_of_a_campaign_are_counted_in_one_cell() -> None:
    matrix = matrix_of([run("theft", "eddr", "eeed"), run("theft", "def", "edd", seed=2)])
    (figures,) = matrix.campaigns
    alice, nora = figures.cells
    assert figures.seeds == (1, 2)
    assert (alice.principal, alice.role) == ("alice", "actor")
    assert (alice.attack.attack_alerts, alice.attack.escalated, alice.attack.dismissed, alice.attack.reviewed,
            alice.attack.forced) == (7, 2, 3, 1, 1)  # fmt: skip
    assert (nora.role, nora.attack.escalated, nora.lift, nora.pairs) == ("twin", 4, None, 0)
    # Pairs: four at the first seed and two at the second, where the forced one falls out. Dismissed 3 against 2.
    assert (alice.lift, alice.pairs) == (pytest.approx(1 / 6), 6)


def test_the_lift_over_campaigns_pools_pairs_and_draws_campaigns() -> None:
    # +1.0 over 2 pairs and 0.0 over 6: pooled 2 / 8; whole campaigns drawn give 1.0, 0.0 or .25.
    matrix = matrix_of([run("theft", "dd", "ee"), run("mail", "eeeeed", "eeeeed")])
    lift = overall(matrix).lift["actor"]
    assert (lift.value, lift.low, lift.high, lift.n, lift.clusters) == (0.25, 0.0, 1.0, 8, 2)


def test_three_seeds_of_a_campaign_are_no_three_campaigns() -> None:
    runs = [run(name, alice, "eeee", seed=seed) for name, alice in (("theft", "dddd"), ("mail", "eeee"))
            for seed in (1, 2, 3)]  # fmt: skip
    lift = overall(matrix_of(runs)).lift["actor"]
    assert (lift.clusters, lift.n, lift.value, lift.low, lift.high) == (2, 24, 0.5, 0.0, 1.0)


def test_from_one_campaign_there_is_no_interval_and_no_claim_about_the_margin() -> None:
    one = overall(matrix_of([run("theft", "eeee", "eeee"), run("theft", "eeee", "eeee", seed=2)]))
    assert (one.lift["actor"].value, one.lift["actor"].low) == (0.0, None)
    assert lift_within(one) is None


@pytest.mark.parametrize(("alice", "inside"), [("e" * 19 + "d", True), ("e" * 16 + "dddd", False)])
def test_the_whole_interval_is_held_against_the_margin(alice: str, inside: bool) -> None:
    # Lift of the second campaign: 1 / 20 = .05 or 4 / 20 = .2; of the first one 0.
    matrix = matrix_of([run("theft", "e" * 20, "e" * 20), run("mail", alice, "e" * 20)])
    assert lift_within(overall(matrix)) is inside


def test_detection_leaves_forced_alerts_out() -> None:
    matrix = matrix_of([run("theft", "edff", "eeee")])
    detection = overall(matrix).detection
    assert (detection["actor"].value, detection["actor"].n) == (0.5, 2)
    assert (detection["twin"].value, detection["twin"].n) == (1.0, 4)


def test_campaigns_of_unseen_families_are_a_pool_of_their_own() -> None:
    matrix = matrix_of([run("theft", "ee", "ee"), run("shell", "dd", "ee", family=UNSEEN)])
    assert [figures.group for figures in matrix.campaigns] == ["seen", "unseen"]
    assert overall(matrix).campaigns == ("theft", "shell")
    assert overall(matrix, pool="seen").lift["actor"].value == 0.0
    assert (overall(matrix, pool="unseen").campaigns, overall(matrix, pool="unseen").lift["actor"].value) == (
        ("shell",), 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("other", [SEEN, "no-such-family", ""])
def test_a_campaign_with_one_other_family_is_not_unseen(other: str) -> None:
    mixed = run("mixed", "ee", "ee", family=UNSEEN, more=tuple(rows("y", "alice", "e", family=other)))
    assert group_of([mixed]) == "seen"


def test_the_families_of_noise_bystanders_and_injected_alerts_do_not_count_for_the_group() -> None:
    others = (
        *rows("n", "alice", "d", malicious=False),
        *rows("b", "alice", "e", user="hannah"),
        *rows("i", "alice", "e", injected=True),
    )
    assert group_of([run("shell", "ee", "ee", family=UNSEEN, more=others)]) == "unseen"


def test_the_benign_control_is_in_no_pool() -> None:
    benign = rows("n", "alice", "eddd", malicious=False)
    control = PlayedRun("control", 1, ("alice", "nora"), (), benign)
    matrix = matrix_of([run("theft", "e", "e"), control])
    (figures,) = (f for f in matrix.campaigns if f.group == "control")
    assert (figures.benign.alerts, figures.benign.escalated, figures.own_benign.escalated) == (4, 1, 1)
    assert overall(matrix).campaigns == ("theft",)
    assert overall(matrix).false_escalation.value is None


def test_false_escalation_is_that_of_the_actors_replay_without_look_alikes_and_forced_ones() -> None:
    more = (
        *rows("n", "alice", "eddrf", malicious=False),
        *rows("l", "alice", "eedf", malicious=False, lookalike=True),
        *rows("n", "nora", "eeeee", malicious=False),
    )
    matrix = matrix_of([run("theft", "e", "e", more=more)])
    (figures,) = matrix.campaigns
    assert (figures.benign.alerts, figures.benign.escalated, figures.benign.reviewed, figures.benign.forced) == (
        5,
        1,
        1,
        1,
    )
    assert (overall(matrix).false_escalation.value, overall(matrix).false_escalation.n) == (0.25, 4)
    assert overall(matrix).lookalike_escalation.value == pytest.approx(2 / 3)


def test_injected_alerts_and_bystanders_stand_apart() -> None:
    more = (
        *rows("i", "alice", "ed", injected=True),
        *rows("b", "alice", "ed", user="hannah", answer="owned by alice"),
        *rows("c", "alice", "e", user="hannah", answer="owned by dora"),
    )
    matrix = matrix_of([run("theft", "ddd", "ddd", more=more)])
    (figures,) = matrix.campaigns
    alice = figures.cells[0]
    assert (alice.attack.attack_alerts, alice.attack.escalated) == (3, 0)
    assert (alice.injected.attack_alerts, alice.injected.escalated) == (2, 1)
    assert (figures.bystanders.attack_alerts, figures.bystanders.attack_escalated) == (2, 1)
    assert overall(matrix).injected_detection.value == 0.5
    assert overall(matrix).bystander_detection.value == 0.5


def test_bystanders_of_all_campaigns_are_held_against_the_twins_replay() -> None:
    near = (*rows("b", "alice", "ddde", user="hannah", answer="owned by alice"),
            *rows("b", "nora", "eeee", user="hannah", answer="owned by nora"))  # fmt: skip
    matrix = matrix_of([run("theft", "dd", "ee", more=near), run("mail", "dd", "ee", more=near)])
    assert [figures.bystander_paired for figures in matrix.campaigns] == [Pairs(only_a=3, neither=1)] * 2
    lift = overall(matrix).bystander_lift
    # Six of eight pairs turn, all one way.
    assert (lift.value, lift.p, lift.pairs) == (0.75, 2 / 64, 8)
    first, *_ = csv.DictReader(io.StringIO(matrix_csv(matrix)))
    assert (first["bystander_lift"], first["bystander_lift_p"], first["bystander_pairs"]) == ("0.75", "0.25", "4")


def test_campaigns_that_agree_are_judged_by_their_pairs() -> None:
    def agreeing(pairs: int) -> Overall:
        return overall(matrix_of([run(name, "e" * pairs, "e" * pairs) for name in ("theft", "mail")]))

    assert (lift_within(agreeing(14)), lift_within(agreeing(140))) == (False, True)
    assert (agreeing(14).lift["actor"].independent, agreeing(14).detection["twin"].independent) == (True, True)


def test_further_twins_aliases_and_the_nameless_one_have_columns_of_their_own() -> None:
    played = PlayedRun(
        "theft", 1, ("alice", "nora", "tessa"), ("a.smith", "u4711"),
        [o for name, actions in (("alice", "dd"), ("nora", "ee"), ("tessa", "ed"), ("a.smith", "dd"), ("u4711", "ee"))
         for o in rows("x", name, actions)],
    )  # fmt: skip
    matrix = matrix_of([played])
    assert [(c.principal, c.role, c.lift) for c in matrix.campaigns[0].cells] == [
        ("alice", "actor", 1.0), ("nora", "twin", None), ("tessa", "others", 0.5), ("a.smith", "alias", 1.0),
        ("u4711", "nameless", 0.0),
    ]  # fmt: skip
    assert {role: e.value for role, e in overall(matrix).detection.items()} == {
        "actor": 0.0, "twin": 1.0, "others": 0.5, "alias": 0.0, "nameless": 1.0,
    }  # fmt: skip
    assert set(overall(matrix).lift) == {"actor", "others", "alias", "nameless"}


def test_without_a_twin_there_is_no_lift() -> None:
    matrix = matrix_of([PlayedRun("theft", 1, ("alice",), (), rows("x", "alice", "ed"))])
    assert (matrix.campaigns[0].cells[0].lift, overall(matrix).lift["actor"].value) == (None, None)


def test_a_variant_counts_the_campaigns_it_was_played_in() -> None:
    matrix = matrix_of([run("theft", "ee", "ee"), run("mail", "dd", "ee", variant="poisoned")])
    assert (overall(matrix).campaigns, overall(matrix, "poisoned").campaigns) == (("theft",), ("mail",))


def test_rows_that_two_runs_share_count_once() -> None:
    both = [run("theft", "ed", "ee"), run("theft", "dd", "ee", more=tuple(rows("x", "alice", "dd", variant="mine")))]
    joined = join(both)
    assert (joined.repeated, joined.variants) == (4, ("clean", "mine"))
    assert matrix_of(both).campaigns[0].cells[0].attack.dismissed == 1
    assert matrix_of(both).repeated == 4


def test_a_name_that_stands_for_two_models_is_told_apart() -> None:
    runs = [run("theft", "ee", "ee", model="aaaaaaaa1111"), run("mail", "dd", "ee", model="bbbbbbbb2222")]
    assert join(runs).variants == ("clean@aaaaaaaa", "clean@bbbbbbbb")
    assert join(join(runs)).variants == ("clean@aaaaaaaa", "clean@bbbbbbbb")


def test_models_whose_fingerprints_begin_alike_are_named_in_full() -> None:
    runs = [run("theft", "ee", "ee", model="scripted:a"), run("mail", "dd", "ee", model="scripted:b")]
    assert join(runs).variants == ("clean@scripted:a", "clean@scripted:b")


def test_runs_under_different_thresholds_are_not_joined() -> None:
    with pytest.raises(InputError, match=r"different thresholds \(0.4, 0.5\); compare runs of one"):
        matrix_of([run("theft", "e", "e"), replace(run("mail", "e", "e"), threshold=0.4)])


def test_runs_of_one_campaign_under_other_terms_are_not_joined() -> None:
    plain, other = run("theft", "e", "e"), replace(run("theft", "d", "e", seed=2), terms={"trigger": "host:WS-042"})
    with pytest.raises(InputError, match="runs of theft were played with another trigger; compare runs of the same"):
        matrix_of([replace(plain, terms={"trigger": ""}), other])
    matrix_of([replace(run("mail", "e", "e"), terms={"trigger": ""}), other])  # another campaign is another matter


def test_what_an_unfinished_run_has_not_reached_does_not_make_it_a_control() -> None:
    early = replace(run("theft", "", "", more=tuple(rows("b", "alice", "d", malicious=False))), complete=False)
    assert group_of([early]) == "control"
    assert group_of([replace(early, families=frozenset({SEEN, UNSEEN}))]) == "seen"
    assert group_of([replace(early, families=frozenset())]) == "control"


def test_where_campaigns_agree_more_seeds_of_them_are_no_more_evidence() -> None:
    once = [run("theft", "ee", "ee"), run("mail", "ee", "ee")]
    again = [*once, run("theft", "ee", "ee", seed=2), run("mail", "ee", "ee", seed=2)]
    first, second = overall(matrix_of(once)).lift["actor"], overall(matrix_of(again)).lift["actor"]
    assert first.independent
    assert first.low is not None
    assert (second.value, second.n, second.low, second.high) == (0.0, 8, None, None)


def test_no_run_is_a_mistake() -> None:
    with pytest.raises(InputError, match="there is no run; name at least one"):
        matrix_of([])


def test_a_run_that_lacks_rows_is_named() -> None:
    assert matrix_of([replace(run("theft", "e", "e", seed=9), complete=False)]).incomplete == (("theft", 9),)


def test_the_object_is_plain_json_that_states_how_its_intervals_were_made() -> None:
    runs = [run("theft", "dd", "ee", variant="poisoned"), run("shell", "dd", "ee", variant="poisoned", family=UNSEEN)]
    plain = json.loads(json.dumps(matrix_object(runs), allow_nan=False))
    assert plain["bootstrap"]["draws"] == 10_000
    assert [(one["pool"], one["campaigns"], one["lift_within_margin"]) for one in plain["overall"]] == [
        ("all", ["theft", "shell"], False), ("seen", ["theft"], None), ("unseen", ["shell"], None),
    ]  # fmt: skip
    # Both campaigns agree, so the interval is Newcombe's over four pairs, all of them turned.
    assert plain["overall"][0]["lift"]["actor"] == {
        "value": 1.0, "low": pytest.approx(0.3072, abs=1e-4), "high": 1.0, "n": 4, "clusters": 2, "independent": True,
    }  # fmt: skip
    assert plain["campaigns"][1]["group"] == "unseen"
    assert plain["thresholds"][0]["variant"] == "poisoned"
    assert plain["ablation"] == {"evidence_withheld": [], "name_changed": [], "readings": []}


def test_the_csv_has_a_row_per_campaign_variant_and_name_and_no_formula() -> None:
    more = tuple(rows("n", "alice", "ed", malicious=False, variant="=HYPERLINK(1)"))
    text = matrix_csv(matrix_of([run("theft", "ed", "ee", variant="=HYPERLINK(1)", more=more)]))
    first, second = csv.DictReader(io.StringIO(text))
    assert tuple(first) == COLUMNS
    assert (first["variant"], first["principal"], first["dismissed"], first["lift"], first["pairs"]) == (
        "'=HYPERLINK(1)", "alice", "1", "0.5", "2",
    )  # fmt: skip
    assert (first["benign_alerts"], first["benign_escalated"]) == ("2", "1")
    assert (second["role"], second["lift"], second["benign_alerts"]) == ("twin", "", "")
