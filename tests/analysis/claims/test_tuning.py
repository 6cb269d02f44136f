"""Learning rates are chosen on validation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from stagewise.analysis.claims.tuning import at_the_edge, choose_rates, rates_yaml, wider_yaml
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError

NAN = float("nan")
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
    assert "teachers/vgg" in chosen.index
    assert chosen.loc["students/vgg.baseline", "rate"] == 0.02
    taught = table[~table["arm"].str.startswith("teachers/")]
    assert (taught["n"] == 2).all()
    assert (table["n"] == 2).sum() < len(table)  # one teacher serves both seeds
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
    assert "students/vgg.baseline" not in at_the_edge(table)
    assert at_the_edge(tied)["students/vgg.baseline"] == {"rate": 0.002}
    with pytest.raises(UserError, match="not in the evaluation"):
        choose_rates(study, evaluation.iloc[:-2])


def test_no_tuning_study_is_a_user_error(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    with pytest.raises(UserError, match="no tuning study"):
        choose_rates(study, evaluate(study))


def tried(*rows: tuple[float, float, bool], arm: str = "two_stage/resnet.kd") -> pd.DataFrame:
    """A table of (rate, rate of stage 1, chosen)."""
    table = pd.DataFrame(rows, columns=["rate", "stage1_rate", "chosen"])
    return table.assign(arm=arm, strength=NAN)


def test_an_edge_asks_for_a_rate_as_far_beyond_as_its_neighbour_is_within() -> None:
    rates = (0.2, 0.1, 0.05)
    grid = [(rate, first, (rate, first) == (0.2, 0.05)) for rate in rates for first in rates]
    assert at_the_edge(tried(*grid)) == {"two_stage/resnet.kd": {"rate": 0.4, "stage1_rate": 0.025}}
    inside = [(rate, first, (rate, first) == (0.1, 0.1)) for rate in rates for first in rates]
    assert at_the_edge(tried(*inside)) == {}


def test_strengths_are_chosen_and_widened_as_rates_are() -> None:
    rows = [(0.1, 0.1, False), (0.1, 1.0, False), (0.1, 10.0, True)]
    table = pd.DataFrame(rows, columns=["rate", "strength", "chosen"])
    table = table.assign(arm="distillation/a.pkt", stage1_rate=NAN)
    assert at_the_edge(table) == {"distillation/a.pkt": {"strength": 100.0}}
    assert yaml.safe_load(rates_yaml(table)) == {
        "learning_rates": {"distillation/a.pkt": 0.1},
        "strengths": {"distillation/a.pkt": 10},
    }
    wider = yaml.safe_load(wider_yaml(table, {}))
    assert wider == {"tune": {"wider": {"distillation/a.pkt": {"strengths": [100.0]}}}}


def test_no_grid_is_widened_without_end() -> None:
    assert at_the_edge(tried((10.0, NAN, True), (5.0, NAN, False))) == {}
    assert at_the_edge(tried((1.5e-5, NAN, True), (3e-5, NAN, False))) == {}


def test_further_rates_join_those_that_were_asked_for_before() -> None:
    table = tried((0.2, NAN, True), (0.1, NAN, False), arm="students/a.baseline")
    given = {"students/a.baseline": {"rates": [0.3]}, "students/b.baseline": {"rates": [0.4]}}
    assert yaml.safe_load(wider_yaml(table, given)) == {
        "tune": {
            "wider": {
                "students/a.baseline": {"rates": [0.3, 0.4]},
                "students/b.baseline": {"rates": [0.4]},
            }
        }
    }


def test_a_rate_that_diverged_costs_the_others_nothing(make_study: MakeStudy) -> None:
    options = {**SMALL, "multi_exit": {}, "pairs": {"vgg": CONFIG_VGG}, "distillation": {}}
    tune = {"rates": [0.05, 0.02, 0.01]}
    study = make_study(lambda arm: 90.0, seeds=(0, 1), noise=0.0, **options, tune=tune)
    evaluation = evaluate(study)
    lost = evaluation["arm"].str.endswith("lr-0.05") & (evaluation["seed"] == 1)
    evaluation.loc[lost, ["accuracy", "nll"]] = (0.0, NAN)
    table = choose_rates(study, evaluation).set_index(["arm", "rate"])
    row = table.loc[("students/vgg.baseline", 0.05)]
    assert row["n"] == 2
    assert row["validation_accuracy"] == pytest.approx(45.0, abs=0.5)
    assert np.isnan(row["validation_nll"])
    assert not row["chosen"]
    assert table.loc["students/vgg.baseline"]["chosen"].sum() == 1
