"""Learning rates are chosen on validation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stagewise.analysis.claims.tuning import at_the_edge, choose_rates, rates_yaml
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError

MakeStudy = Callable[..., Study]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}
CONFIG_VGG = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}
TINY = {**SMALL, "multi_exit": {}, "seeds": (0,)}


def test_rates_are_chosen_on_validation(make_study: MakeStudy) -> None:
    def accuracy(arm: str) -> float:
        return 92.0 if arm.endswith("lr-0.02") else 88.0

    options = {**SMALL, "multi_exit": {}, "pairs": {"vgg": {}}, "distillation": {}}
    options["pairs"] = {"vgg": CONFIG_VGG}
    study = make_study(
        accuracy, seeds=(0, 1), noise=0.0, **options, tune={"rates": [0.05, 0.02, 0.01]}
    )
    evaluation = evaluate(study)
    # The test set prefers another rate, and must not matter.
    wrong = evaluation["arm"].str.endswith("lr-0.05") & (evaluation["split"] == "test")
    evaluation.loc[wrong, "accuracy"] = 99.0
    table = choose_rates(study, evaluation)
    chosen = table[table["chosen"]].set_index("arm")
    assert chosen.loc["students/vgg.baseline", "rate"] == 0.02
    assert (table["n"] == 2).all()
    assert "  students/vgg.baseline: 0.02\n" in rates_yaml(table)
    # 0.05 and 0.01 are equally accurate: without 0.02 the lower NLL decides.
    rest = evaluation[~evaluation["arm"].str.endswith("lr-0.02")].copy()
    validation = rest["split"] == "validation"
    rest.loc[validation, "nll"] = np.where(
        rest.loc[validation, "arm"].str.endswith("lr-0.01"), 0.1, 0.2
    )
    without = replace(study, runs=study.runs[study.runs["rate"] != 0.02])
    tied = choose_rates(without, rest)
    assert set(tied.loc[tied["chosen"], "rate"]) == {0.01}
    assert at_the_edge(table) == []
    assert "students/vgg.baseline" in at_the_edge(tied)
    with pytest.raises(UserError, match="not in the evaluation"):
        choose_rates(study, evaluation.iloc[:-2])


def test_no_tuning_study_is_a_user_error(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    with pytest.raises(UserError, match="no tuning study"):
        choose_rates(study, evaluate(study))
