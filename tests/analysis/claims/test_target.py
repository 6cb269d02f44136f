"""Verdicts on a target: what meets it, what misses it, and what more seeds would tell."""

import numpy as np
import pytest
from targets import REFERENCE, SPREAD, targeted

from stagewise.analysis.claims.target import MEETS, MISSES, OPEN, judge_target


def judged(made, *candidates, **asked):
    """What comes of candidates."""
    found = judge_target(targeted(made({"teachers/p": [97.0]}), *candidates, **asked))
    assert found is not None
    return found


def one(made, effects, latency=40.0, **asked):
    return judged(made, ("recovery/p.2x.kd", "int8", effects, {"latency": latency}), **asked)


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        (SPREAD, MEETS),
        (SPREAD - 0.5, MEETS),
        (SPREAD + 3, MEETS),
        (SPREAD - 1.5, MISSES),
        (SPREAD - 1.0, OPEN),
        (8 * SPREAD - 0.5, OPEN),
        (np.zeros(6), MEETS),
        (SPREAD[:1], OPEN),
    ],
)
def test_the_interval_decides_against_the_margin(made, effects, verdict):
    found = one(made, effects).chosen
    assert found.verdict == verdict
    if len(effects) > 1 and np.ptp(effects):
        half = 2.5706 * effects.std(ddof=1) / np.sqrt(6)
        assert found.effect.low == pytest.approx(effects.mean() - half, abs=1e-3)


def test_a_network_that_is_too_slow_misses_however_right_it_is(made):
    found = one(made, SPREAD + 2, latency=51.0)
    assert found.chosen.verdict == MISSES
    assert "2.0× faster" in found.sentence
    assert "misses the target, which is at most 50 ms." in found.sentence


def test_all_that_is_missed_is_said(made):
    sentence = one(made, SPREAD - 3, latency=51.0).sentence
    assert sentence.endswith(
        "misses the target, which is at most 50 ms and at most 1 points worse."
    )


def test_a_busy_machine_is_known(made):
    found = one(made, SPREAD)
    assert not found.busy
    found.reference["others"] = 0.5
    assert found.busy


def test_one_that_is_just_fast_enough_does_not(made):
    assert one(made, SPREAD, latency=50.0).chosen.verdict == MEETS


def test_a_goal_may_be_a_number(made):
    assert one(made, SPREAD, latency=40.0, bytes=99.0).chosen.missed == ("bytes",)
    assert one(made, SPREAD, latency=40.0, bytes=100.0).chosen.missed == ()


def test_validation_chooses_among_those_that_are_fast_enough(made):
    found = judged(
        made,
        ("recovery/p.2x.slow", "float32", SPREAD, {"latency": 90.0, "validation": 99.0}),
        ("recovery/p.2x.right", "float32", SPREAD - 0.9, {"latency": 45.0, "validation": 95.0}),
        ("recovery/p.2x.lucky", "float32", SPREAD + 1, {"latency": 45.0, "validation": 94.0}),
    )
    assert found.chosen.rows["arm"].iloc[0] == "recovery/p.2x.right"
    assert [each.rows["arm"].iloc[0][-5:] for each in found.judged] == ["right", "lucky", ".slow"]


def test_the_seed_that_ships_is_the_best_on_validation(made):
    assert one(made, SPREAD).chosen.shipped["seed"] == 3


def test_one_teacher_stands_beside_every_seed(made):
    effects = SPREAD + 97.0 - np.array(REFERENCE)
    found = one(made, effects, against="teacher", latency=150.0)
    assert found.chosen.effect.n == 6
    assert found.chosen.effect.mean == pytest.approx(0, abs=1e-9)
    assert found.chosen.times["latency"] == pytest.approx(400 / 150)
    assert "than the teacher" in found.sentence


def test_teachers_of_every_seed_stand_beside_their_own(made):
    teachers = np.array(REFERENCE) + np.array([1, 1, 1, 1, 1, 1.5])
    found = one(made, SPREAD, against="teacher", teacher=teachers, latency=40.0)
    assert found.chosen.effect.mean == pytest.approx(np.mean(SPREAD) - 6.5 / 6)


def test_the_sentence_says_all_that_a_manager_asks(made):
    sentence = one(made, SPREAD - 0.4).sentence
    assert sentence.startswith("p, pruned 2×, int8: 2.5× faster on this machine than the whole")
    assert "0.4 points worse (between 0.2 and 0.6): meets the target." in sentence


def test_better_is_called_better_even_where_it_may_be_worse(made):
    sentence = one(made, SPREAD + 0.1).sentence
    assert "0.1 points better (between 0.1 points worse and 0.3 points better)" in sentence


def test_equal_is_called_equal(made):
    assert (
        ", as accurate (between 0.2 points worse and 0.2 points better)"
        in one(made, SPREAD).sentence
    )
    assert ", as accurate (between 0.0 points worse and 0.0" in one(made, np.zeros(6)).sentence


def test_more_seeds_would_decide_an_open_question(made):
    found = one(made, 8 * SPREAD - 0.5)
    more = found.chosen.more_seeds
    assert f"not decided: {more:.0f} more seeds would" in found.sentence
    nearer = one(made, 8 * SPREAD - 0.8).chosen.more_seeds
    assert 1 <= more < nearer


def test_one_seed_says_that_it_cannot_tell(made):
    assert "one seed cannot tell" in one(made, SPREAD[:1]).sentence


def test_a_study_without_a_target_has_no_result(made):
    assert judge_target(made({"teachers/p": [97.0]})) is None
