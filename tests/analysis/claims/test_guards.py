"""Guards against false verdicts: studies without any effect, by the hundred, through the claims."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import ALPHA
from stagewise.analysis.claims.wording import headline
from stagewise.analysis.records.logits import ENSEMBLE
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.tables.table import make_table
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan

Make = Callable[..., Results]
STUDIES = 100
FOUND = ["reproduced", "partially"]
CONFIG = {
    "study": "equals",
    "claims_tested": ["A3a", "A3b", "A4", "A5a", "A5b", "B1a", "B1b", "B2", "B4", "B5"],
    "data": {"source": "digits", "source_classes": [0, 1, 2, 3, 4]},
    "pairs": {"resnet": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}},
    "methods": {"kd": {}},
    "distillation": {"pairs": ["resnet"], "methods": ["kd"]},
    "two_stage": {"pairs": ["resnet"]},
    "multi_exit": {"pairs": ["resnet"], "methods": ["mskd", "oto"]},
    "pruning": [{"pair": "resnet", "ratios": [2]}],
}
SHUFFLED = {
    "distillation": {"pairs": ["resnet", "vgg"], "methods": ["kd", "kd_shuffled"]},
    "multi_exit": {},
    "two_stage": {},
    "pruning": [],
}


@pytest.fixture(scope="module")
def equals(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of one pair with all arms, as its plan tells it."""
    folder = tmp_path_factory.mktemp("equals")
    config = resolve_config(CONFIG)
    plan = {"study": "equals", "config": config.as_dict(), "runs": make_plan(config).rows()}
    (folder / "plan.json").write_text(json.dumps(plan))
    return read_study(folder / "plan.json", folder)


def draw(study: Study, seed: int, gains: dict[str, float] | None = None) -> Results:
    """Results in which every arm and exit is 88 percent right, but for ``gains`` by arm and the
    noise of its seeds.

    The teacher is exactly that: it serves all seeds, so against it a test is about this teacher.
    """
    exits = ["1", "2", "3", ENSEMBLE]
    runs = study.runs.assign(
        exit=[exits if s == "multi_exit" else ["final"] for s in study.runs["step"]]
    )
    table = runs.explode("exit", ignore_index=True)
    noise = np.random.default_rng(seed).normal(0, 0.5, len(table))
    teacher = table["step"] == "teachers"
    gain = table["arm"].map(gains or {}).fillna(0)
    accuracies = {
        "test_accuracy": 88 + gain + noise * ~teacher,
        "validation_accuracy": np.where(teacher, 97.0, 88.0),
    }
    return Results(study, table[["path", "arm", "seed", "exit"]].assign(**accuracies))


@pytest.fixture(scope="module")
def verdicts(equals: Study) -> list[pd.DataFrame]:
    """The claims of 100 studies of equals."""
    return [judge_claims(draw(equals, seed)) for seed in range(STUDIES)]


@pytest.mark.parametrize("paper", ["A", "B"])
def test_the_rate_of_false_verdicts_is_at_most_nominal(
    verdicts: list[pd.DataFrame], paper: str
) -> None:
    families = [claims[claims["paper"] == paper] for claims in verdicts]
    assert all((family["p_holm"].notna().sum() >= 4) for family in families)
    false = sum(bool(family["claim_verdict"].isin(FOUND).any()) for family in families)
    # No more than 100 throws at 5 percent give in all but one of a thousand cases.
    assert false <= stats.binom.ppf(0.999, STUDIES, ALPHA)
    assert false > 0, "noise that nothing can come of tests nothing"


def test_a_fixed_study_of_equals_finds_nothing(verdicts: list[pd.DataFrame]) -> None:
    claims = verdicts[0]
    assert not claims["verdict"].isin(FOUND).any()
    assert not claims["claim_verdict"].isin(FOUND).any()
    assert (claims["verdict"] == "not testable here").any()  # A1, A2, B3 are not tested


def test_ten_planted_points_are_found(equals: Study) -> None:
    gains = {
        "distillation/resnet.kd": -10.0,
        "two_stage/resnet.one-stage.kd": -10.0,
        "recovery/resnet.baseline.l2-2x.ce": -10.0,
    }
    claims = judge_claims(draw(equals, 0, gains))
    named = claims.drop_duplicates("claim").set_index("claim")["claim_verdict"]
    assert named["A3a"] != named["A3b"] == "reproduced"
    assert named["A4"] == "partially"  # KD over CE, but not two stages over KD
    assert named["B1a"] == "reproduced"
    planted = claims[claims["contrast"].isin(["MSKD ensemble − KD", "KD − CE after 2× pruning"])]
    assert planted["mean"].between(9, 11).all()
    assert not named[["A5a", "A5b", "B2", "B4", "B5"]].isin(FOUND).any()


def test_a_shuffled_teacher_has_its_row(make_results: Make) -> None:
    def accuracy(arm: str) -> float:
        return 97.0 if arm.startswith("teachers") else 88.0 - 30 * ("shuffled" in arm)

    results = make_results(accuracy, claims_tested=["B1a"], **SHUFFLED)
    claims = judge_claims(results)
    guard = claims[claims["claim"] == "G1"]
    assert list(guard["pair"]) == ["resnet", "vgg"]
    assert set(guard["verdict"]) == set(guard["claim_verdict"]) == {"holds"}
    assert guard["p_holm"].isna().all()
    assert set(guard["paper"]) == {"guards"}
    assert any(
        line.startswith("  G1 holds. Here, a shuffled teacher did not help")
        for line in headline(claims)
    )
    shown = make_table("accuracy", results).shown
    assert (shown["Network"] == "KD from a shuffled teacher").sum() == 2


def test_a_shuffled_teacher_that_helps_is_an_alarm(make_results: Make) -> None:
    def accuracy(arm: str) -> float:
        return 92.0 if arm == "distillation/vgg.kd_shuffled" else 88.0

    # The study gate fails here, and no claim is tested: neither silences a guard.
    results = make_results(accuracy, claims_tested=[], **SHUFFLED)
    guard = judge_claims(results).query("claim == 'G1'").set_index("pair")
    assert dict(guard["verdict"]) == {"resnet": "holds", "vgg": "fails"}
    assert set(guard["claim_verdict"]) == {"fails"}


def test_a_study_without_a_shuffled_teacher_has_no_guard(verdicts: list[pd.DataFrame]) -> None:
    assert "G1" not in set(verdicts[0]["claim"])
