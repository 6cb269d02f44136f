"""Gates: what a pair must show before claims are judged on it."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.files import protocol_lines

Make = Callable[..., Results]
BASE = 55 + np.array([0.3, 0.9, -0.4, 0.0, 1.1, -0.6])
NOISE = np.array([0.2, -0.1, 0.05, 0.15, -0.2, -0.1])
ARMS = {
    "teachers/p": [65.0],
    "students/p.baseline": BASE,
    "distillation/p.kd": BASE + 3,
    "multi_exit/p.ce:1": BASE - 5,
    "multi_exit/p.ce:ensemble": BASE - 2,
    "multi_exit/p.mskd:1": BASE - NOISE,
    "multi_exit/p.mskd:ensemble": BASE + 6 + NOISE,
    "students/p.pretrained": BASE,
    "teachers/p.target": [66.0],
    "two_stage/p.kd": BASE + 4 + NOISE,
    "two_stage/p.one-stage.kd": BASE,
}
LEVELS = {
    "teachers/p": 65.0,
    "students/p.baseline": 55.5,
    "multi_exit/p.ce": 53.5,
    "multi_exit/p.mskd": 60.0,
    "students/p.pretrained": 55.0,
    "teachers/p.target": 66.0,
    "two_stage/p.kd": 60.0,
    "two_stage/p.one-stage.kd": 60.0,
    "distillation/p.kd": 58.0,
}
TESTED = ["A3b", "B1a"]


def judged(results: Results) -> pd.DataFrame:
    claims = judge_claims(results)
    return claims[claims["role"] == "headline"].set_index(["claim", "contrast"])


def test_a_network_with_exits_that_is_worse_than_the_plain_one_says_nothing_of_exits(
    made: Make,
) -> None:
    """CIFAR-100 on two cores: 53.5 against 55.5 on validation; B1 was judged there."""
    results = made(ARMS, validation=LEVELS, claims_tested=TESTED)
    rows = judged(results)
    row = rows.loc[("B1a", "MSKD ensemble − KD")]
    assert row["verdict"] == "not testable here"
    assert (
        "student with exits, without a teacher, against the plain one: −2.0 points" in row["reason"]
    )
    assert "at least −1 needed" in row["reason"]
    assert rows.loc[("A3b", "two-stage KD − one-stage KD"), "verdict"] == "reproduced"
    wide = {"points": 4, "exit_points": 3}
    rows = judged(made(ARMS, validation=LEVELS, claims_tested=TESTED, gate=wide))
    assert rows.loc[("B1a", "MSKD ensemble − KD"), "verdict"] == "reproduced"


def test_a_weak_teacher_of_the_two_stage_task_stops_the_claims_of_that_task_alone(
    made: Make,
) -> None:
    levels = {**LEVELS, "teachers/p.target": 57.0, "multi_exit/p.ce": 55.0}
    results = made(ARMS, validation=levels, claims_tested=TESTED)
    rows = judged(results)
    reason = rows.loc[("A3b", "two-stage KD − one-stage KD"), "reason"]
    assert "teacher against standard training, on the two-stage task: +2.0 points" in reason
    assert rows.loc[("B1a", "MSKD ensemble − KD"), "verdict"] == "reproduced"
    weak = {**levels, "teachers/p": 57.0, "teachers/p.target": 66.0}
    rows = judged(made(ARMS, validation=weak, claims_tested=TESTED))
    assert rows.loc[("A3b", "two-stage KD − one-stage KD"), "verdict"] == "reproduced"
    assert rows.loc[("B1a", "MSKD ensemble − KD"), "verdict"] == "not testable here"


def test_a_pair_whose_teacher_has_no_value_is_not_passed(made: Make) -> None:
    results = made(ARMS, validation={**LEVELS, "teachers/p": np.nan}, claims_tested=TESTED)
    reason = judged(results).loc[("B1a", "MSKD ensemble − KD"), "reason"]
    assert "not known, as one of the two has no results" in reason


def test_a_pair_that_prunes_its_own_network_needs_no_leading_teacher(made: Make) -> None:
    """Each pair is judged by itself; one whose teacher is of the student's network is not."""
    arms = {**ARMS, **{arm.replace("/p", "/q"): values for arm, values in ARMS.items()}}
    equal = dict.fromkeys(arms, 55.5)
    network = {"network": "resnet8"}
    pairs = {
        "p": {"teacher": network, "student": network},
        "q": {"teacher": {"network": "resnet14"}, "student": network},
    }
    results = made(arms, validation=equal, claims_tested=TESTED, pairs=pairs)
    assert {check.pair for check in results.gate.checks} == {"q"}
    rows = judge_claims(results).query("claim == 'A3b' and role == 'headline'").set_index("pair")
    assert rows.loc["p", "verdict"] == "reproduced"
    assert rows.loc["q", "verdict"] == "not testable here"


def test_every_check_is_told(made: Make) -> None:
    results = made(ARMS, validation=LEVELS, claims_tested=TESTED)
    assert [sentence.rpartition(": ")[2] for sentence in results.gate.sentences] == [
        *("passed", "passed", "failed")
    ]
    told_of_runs = {"selection": "", "step": "", "name": "", "recipe": "", "common_rate": np.nan}
    summary = results.summary.assign(lr=0.1, epochs=1, **told_of_runs)
    told = Results(results.study, summary)
    assert all(sentence in protocol_lines(told)[-1] for sentence in results.gate.sentences)
