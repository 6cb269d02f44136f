"""What recovery gives back, and whose doing it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stagewise.analysis.claims.frontier import usable
from stagewise.analysis.claims.recovery import BETTER, DOINGS, Doing, Point, points
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired, ratio_of_means
from stagewise.analysis.tables import pruning

Make = Callable[..., Results]
RECOVER = ["bn", "ce", "kd", "two_stage_kd", "scratch_kd"]
CONFIG: dict[str, Any] = {
    "pairs": {"p": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}},
    "distillation": {"pairs": []},
    "two_stage": {"pairs": []},
    "multi_exit": {},
    "pruning": [{"pair": "p", "ratios": [2, 4], "recover": RECOVER}],
    "recovery": {"families": {"low": {"lr": 0.01}}},
}
LEVELS = {"students": 90.0, "pruning": 50.0, "teachers": 95.0}
RECOVERED = {"bn": 60.0, "ce": 70.0, "kd": 80.0, "two_stage_kd": 85.0, "scratch_kd": 74.0}


def level(arm: str) -> float:
    """With KD at the low rate 2 points more, by labels 5 fewer; the dense student with KD 92."""
    step, _, name = arm.partition("/")
    if step != "recovery":
        return LEVELS[step]
    *_, shape, recovery = name.removesuffix(".low").split(".")
    plain = 92.0 if shape == "dense" else RECOVERED[recovery]
    low = 2.0 if recovery == "kd" else -5.0
    return plain + (low if name.endswith(".low") else 0.0)


def found(make_results: Make, noise: float = 0.0) -> dict[tuple[float, str], Point]:
    results = make_results(level, noise=noise, **CONFIG)
    return {(point.ratio, point.family): point for point in points(results)}


def test_every_shape_stands_at_every_family_of_rates(make_results: Make) -> None:
    assert [*found(make_results)] == [(r, f) for r in (2, 4) for f in ("", "low", BETTER)]


def test_what_is_given_back_is_a_share_of_the_damage(make_results: Make) -> None:
    point = found(make_results)[2, ""]
    assert point.damage.mean == pytest.approx(-40)
    back = {name: point.given_back(name).mean for name in RECOVER}
    assert back == pytest.approx({name: (RECOVERED[name] - 50) / 40 for name in RECOVER})


def test_the_differences_are_those_of_their_arms(make_results: Make) -> None:
    among = found(make_results)
    own = {name: among[2, ""].effect(doing).mean for name, doing in DOINGS.items()}
    assert own == pytest.approx({"kd": 10, "two_stages": 5, "inheritance": 6, "sparsity": 85 - 92})
    low = {name: among[2, "low"].effect(doing).mean for name, doing in DOINGS.items()}
    assert low == pytest.approx(
        {"kd": 82 - 65, "two_stages": 80 - 82, "inheritance": 82 - 69, "sparsity": 80 - 94}
    )


def test_each_arm_is_taken_at_the_rates_that_validation_prefers(make_results: Make) -> None:
    point = found(make_results)[4, BETTER]
    assert {name: rows["family"].iloc[0] for name, rows in point.arms.items()} == {
        **dict.fromkeys(RECOVER, ""),
        "kd": "low",
    }
    assert point.effect(DOINGS["kd"]).mean == pytest.approx(82 - 70)
    assert point.effect(DOINGS["sparsity"]).mean == pytest.approx(85 - 94)


def test_claims_take_each_arm_at_the_rates_that_validation_prefers(make_results: Make) -> None:
    measured = make_results(level, noise=0.0, **CONFIG).contrasts.measured[
        "A4", "KD − CE after 2× pruning", "p"
    ]
    recovered = "recovery/p.baseline.l2-2x"
    assert measured.arms == (f"{recovered}.kd.low", f"{recovered}.ce")
    assert measured.effect().mean == pytest.approx(82 - 70)
    assert f"{recovered}.kd.low is the best of 2 on validation images" in measured.note


def test_fronts_take_each_arm_at_the_rates_that_validation_prefers(make_results: Make) -> None:
    main = make_results(level, **CONFIG).main
    rows = usable(main)
    arms = {*rows.loc[rows["recovery"] != "", "arm"]}
    shapes = [f"l2-{ratio}x" for ratio in (2, 4)]
    kept = [f"{shape}.{name}" for shape in shapes for name in ("ce", "two_stage_kd", "scratch_kd")]
    kept += [f"{shape}.kd.low" for shape in shapes] + ["dense.kd.low"]
    assert arms == {f"recovery/p.baseline.{name}" for name in kept}
    others = main["recovery"] == ""
    assert {*main.loc[others, "arm"]} >= {*rows["arm"]} - arms


def test_the_fair_opponent_in_the_table_has_the_same_rates(make_results: Make) -> None:
    results = make_results(level, **CONFIG)
    table = pruning.make(results).data.set_index("arm")
    fair = Doing("fair", "kd", "kd", dense=True)
    for point in points(results):
        if point.family != BETTER:
            row = table.loc[point.arms["kd"]["arm"].iloc[0]]
            effect = point.effect(fair)
            found = row[["fair_difference", "fair_low", "fair_high"]].to_list()
            assert found == pytest.approx([effect.mean, effect.low, effect.high])


def test_what_a_study_lacks_has_no_value(make_results: Make) -> None:
    block = {"pair": "p", "ratios": [2], "recover": ["kd"]}
    [point] = points(make_results(level, **{**CONFIG, "pruning": [block], "recovery": {}}))
    assert {name: point.effect(doing).n for name, doing in DOINGS.items()} == dict.fromkeys(
        DOINGS, 0
    )


def test_a_ratios_interval_holds_the_ratios_that_a_paired_test_does_not_refuse() -> None:
    """Fieller's interval by its definition: at its ends p is 0.05."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        below = rng.normal(10, 4, 6)
        above = 0.6 * below + rng.normal(0, 2, 6)
        ratio = ratio_of_means(above, below)
        assert ratio.mean == pytest.approx(above.mean() / below.mean())
        if np.isfinite(ratio.low):
            assert ratio.low < ratio.mean < ratio.high
            for end in (ratio.low, ratio.high):
                assert paired(above - end * below).p_t == pytest.approx(0.05, abs=1e-6)
        else:
            assert paired(below).p_t > 0.05


def test_without_a_shown_damage_nothing_is_said_of_its_share() -> None:
    few = ratio_of_means([1.0], [2.0])
    assert (few.n, few.mean) == (1, 0.5)
    assert np.isnan(few.low)
    uncertain = ratio_of_means([1.0, 2.0, 3.0], [-5.0, 1.0, 6.0])
    assert uncertain.mean == pytest.approx(3)
    assert np.isnan([uncertain.low, uncertain.high]).all()
    for nothing in (ratio_of_means([1.0, 1.0], [-1.0, -2.0]), ratio_of_means([], [])):
        assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
