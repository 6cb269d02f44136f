"""The answer of a study, made by rule from its tables."""

from typing import Any, get_args

import pandas as pd
import pytest

from stagewise.analysis.records.labels import RECOVERED
from stagewise.analysis.report.answer import WAYS, advise
from stagewise.study.config.compression import Recovered

ALONE, KD, OTO, CE = (
    "students/p.baseline",
    "distillation/p.kd",
    "multi_exit/p.oto",
    "multi_exit/p.ce",
)
Rows = dict[str, dict[str, Any]]


def test_every_recovery_has_its_words() -> None:
    """One without would never be advised."""
    ways = {*get_args(Recovered)}
    assert {*WAYS} == ways - {"bn"}
    assert ways <= {*RECOVERED}


def compared(gains: dict[str, tuple[float, float, float, float]], n: int = 6) -> pd.DataFrame:
    """A comparison: arm → gain over the student alone with its p, the same over KD."""
    rows = [
        {
            **{"pair": "p", "task": "all", "arm": arm, "mean": 80 + alone, "n": n},
            **{"baseline_mean": alone, "baseline_p_adjusted": p_alone},
            **{"kd_mean": kd, "kd_low": kd - 1, "kd_high": kd + 1, "kd_p_adjusted": p_kd},
        }
        for arm, (alone, p_alone, kd, p_kd) in gains.items()
    ]
    return pd.DataFrame([*rows, {"pair": "p", "task": "all", "arm": ALONE, "mean": 80, "n": n}])


def accuracy(means: dict[str, float], n: int = 6) -> pd.DataFrame:
    rows = [
        {"pair": "p", "task": "all", "arm": arm, "mean": mean, "sd": 1.0, "n": n, "macs": 1e6}
        for arm, mean in means.items()
    ]
    return pd.DataFrame(rows).assign(**dict.fromkeys(("difference", "low", "high"), float("nan")))


def pruned(levels: dict[str, tuple[float, float]], n: int = 6) -> pd.DataFrame:
    """A chain: ``3× kd`` → mean on test and on validation; ``dense kd`` and the student, too."""
    rows = []
    for name, (test, validation) in levels.items():
        shape, _, recovery = name.partition(" ")
        dense = shape in ("dense", "student")
        rows.append(
            {
                **{"pair": "p", "chain": "baseline", "arm": f"recovery/{name}", "mean": test},
                "criterion": {"dense": "dense", "student": ""}.get(shape, "l2"),
                "ratio": 1.0 if dense else float(shape[0]),
                "recovery": "" if shape == "student" else recovery,
                **{"validation_mean": validation, "sd": 1.0, "n": n, "macs": 1e6},
            }
        )
    return pd.DataFrame(rows)


def told(comparison: pd.DataFrame, pruning: pd.DataFrame | None = None, n: int = 6) -> str:
    means = dict(zip(comparison["arm"], comparison["mean"], strict=True)) if len(comparison) else {}
    tables = {
        "accuracy": accuracy({"teachers/p": 90.0, ALONE: 80.0, **means}, n),
        "comparison": comparison,
        "pruning": pd.DataFrame() if pruning is None else pruning,
    }
    return " ".join(advise(tables, ["p"]).sentences)


@pytest.mark.parametrize(
    ("gains", "answer"),
    [
        ({KD: (3, 0.03, 0, 1), OTO: (4, 0.03, 1, 0.2)}, "Use KD: 3.0 points above the student"),
        ({KD: (3, 0.03, 0, 1), OTO: (5, 0.03, 2, 0.03)}, "Use OtO: 5.0 points above"),
        ({KD: (1, 0.2, 0, 1), OTO: (4, 0.03, 3, 0.06)}, "Use OtO: 4.0 points above"),
        ({KD: (1, 0.2, 0, 1)}, "No method is shown to beat the student alone; KD leads by 1.0"),
        # Better than KD, which is worse than nothing.
        ({KD: (-9, 0.03, 0, 1), OTO: (0.1, 0.9, 9.1, 0.03)}, "No method is shown to beat the"),
    ],
)
def test_a_method_is_advised_where_it_is_shown_to_help(gains: Any, answer: str) -> None:
    assert told(compared(gains)).startswith(answer)


def test_the_best_is_chosen_on_validation_and_told_by_test() -> None:
    """Among those shown to help; where one has no validation accuracy, all go by test images."""
    other = "distillation/p.dkd"
    gains = {KD: (1.0, 0.01, 0.0, 1.0), OTO: (2.0, 0.01, 1.0, 0.01), other: (3.0, 0.01, 2.0, 0.01)}
    tables = {"comparison": compared(gains), "pruning": pd.DataFrame()}
    table = accuracy({ALONE: 80.0, KD: 81.0, OTO: 82.0, other: 83.0})

    def first(validation: dict[str, float]) -> str:
        known = table.assign(validation_mean=table["arm"].map(validation))
        return advise({**tables, "accuracy": known}, ["p"]).sentences[0]

    chosen = {ALONE: 80.0, KD: 81.0, OTO: 90.0, other: 70.0}
    assert first(chosen) == "Use OtO: 2.0 points above the student alone."
    assert first({**chosen, KD: float("nan")}) == "Use DKD: 3.0 points above the student alone."


def test_on_the_target_classes_the_opponent_is_standard_training() -> None:
    """And where two opponents stand in one sentence, each is named."""
    table = pd.concat(
        [
            compared({KD: (1.0, 0.01, 0.0, 1.0)}),
            compared({"two_stage/p.one-stage.kd": (4.0, 0.01, 0.0, 1.0)}).assign(task="target"),
        ]
    )
    tables = {"accuracy": accuracy({KD: 81.0}), "comparison": table, "pruning": pd.DataFrame()}
    assert advise(tables, ["p"]).sentences[0] == (
        "Use KD: 1.0 points above the student alone (p), 4.0 points above standard training"
        " (p, target classes)."
    )


def test_exits_that_add_nothing_are_named_and_those_without_a_teacher_are_no_method() -> None:
    vain = "Exits are not shown to add anything to KD."
    gains = {KD: (3, 0.03, 0, 1), OTO: (4, 0.03, 1, 0.2), CE: (-1, 0.2, -4, 0.03)}
    assert vain in told(compared(gains))
    assert vain not in told(compared({**gains, OTO: (6, 0.03, 3, 0.03)}))
    assert vain not in told(compared({KD: gains[KD], CE: gains[CE]}))
    assert vain not in told(compared(gains, n=3)), "three seeds show nothing, so not this either"


@pytest.mark.parametrize(
    ("levels", "answer"),
    [
        (
            {"2× kd": (91, 91), "3× kd": (90, 89.1)},
            "Prune 3× and recover with KD: 0.0 points",
        ),
        (
            {"2× kd": (91, 91), "3× kd": (90, 88.9)},
            "Prune 2× and recover with KD: 1.0 points",
        ),
        # Validation images choose what test images tell.
        ({"2× kd": (91, 89.2), "2× scratch_kd": (80, 89.9)}, "Prune 2× and train that shape from"),
        ({"2× kd": (70, 70), "4× kd": (60, 60)}, "Prune 2× and recover with KD: 20.0 points below"),
        ({"2× ce": (92, 92)}, "Prune 2× and recover with the labels alone"),
    ],
)
def test_the_smallest_shape_that_lies_near_is_advised(levels: Any, answer: str) -> None:
    chain = pruned({"student": (85, 85), "dense kd": (90, 90), **levels})
    assert told(pd.DataFrame(), chain).startswith(answer)


def test_a_shape_that_no_criterion_chose_is_not_called_pruned() -> None:
    chain = pruned({"student": (85, 85), "dense kd": (90, 90), "2× kd": (70, 70)})
    thin = pruned({"2× scratch_kd": (91, 91)}).assign(criterion="uniform")
    pruning = pd.concat([chain, thin], ignore_index=True)
    advice = advise({"accuracy": accuracy({ALONE: 85.0}), "pruning": pruning}, ["p"])
    assert advice.sentences[0].startswith(
        "Thin all layers alike 2× and train that shape from scratch with KD: 1.0 points above the"
        " unpruned student with KD in its last epochs."
    )
    assert advice.tiles[0].lines[0][0] == "thinned 2×, from scratch"


def test_what_had_kd_in_all_epochs_stands_beside_the_dense_student_that_had() -> None:
    dense = {"student": (85, 85), "dense kd": (90, 90), "dense kd_throughout": (93, 93)}
    anew = pruned({**dense, "2× kd": (80, 80), "2× scratch_kd": (90.5, 90.5)})
    assert told(pd.DataFrame(), anew).startswith(
        "Prune 2× and train that shape from scratch with KD: 2.5 points below the unpruned student"
        " with KD in all epochs."
    )
    recovered = pruned({**dense, "2× kd": (90.5, 90.5), "4× scratch_kd": (90.5, 90.5)})
    assert told(pd.DataFrame(), recovered).startswith(
        "Prune 2× and recover with KD: 0.5 points above the unpruned student with the same KD."
    ), "4× lies near the dense student that had fewer epochs of KD, and not near its own opponent"


def test_of_several_rates_of_the_dense_student_validation_chooses() -> None:
    two = pruned({"student": (85, 85), "dense kd": (89, 88), "2× kd": (90, 90)})
    better = pruned({"dense kd": (91, 91)})
    assert told(pd.DataFrame(), pd.concat([two, better], ignore_index=True)).startswith(
        "Prune 2× and recover with KD: 1.0 points below the unpruned student with the same KD."
    )


def test_pairs_with_the_same_advice_share_a_sentence() -> None:
    dense = {"student": (85, 85), "dense kd": (90, 90)}
    chains = [pruned({**dense, "2× kd": (level, 90)}) for level in (91, 89)]
    chains += [
        pruned({**dense, "3× ce": (90.5, 90)}),
        pruned({"student": (85, 85), "2× kd": (84, 84)}),
    ]
    pruning = pd.concat([c.assign(pair=pair) for c, pair in zip(chains, "pqrs", strict=True)])
    tables = {"accuracy": accuracy({ALONE: 85.0}), "pruning": pruning}
    assert advise(tables, [*"pqrs"]).sentences[:3] == [
        "Prune 2× and recover with KD: 1.0 points above the unpruned student with the same KD (p),"
        " 1.0 below (q).",
        "Prune 3× and recover with the labels alone: 0.5 points above the unpruned student with the"
        " same KD (r).",
        "Prune 2× and recover with KD: 1.0 points below the unpruned student (s).",
    ]


def test_a_method_on_the_target_classes_is_not_mixed_with_networks_of_all() -> None:
    part = compared({"two_stage/p.one-stage.kd": (4.0, 0.01, 0.0, 1.0)}).assign(task="target")
    chain = pruned({"student": (85, 85), "dense kd": (90, 90), "2× kd": (89, 89)})
    tables = {"accuracy": accuracy({KD: 81.0}), "comparison": part, "pruning": chain}
    first, second, *_ = advise(tables, ["p"]).sentences
    assert first == "Use KD: 4.0 points above standard training (p, target classes)."
    assert second.startswith("Prune 2× and recover with KD: 1.0 points below")
    of_target = chain.assign(chain="two_stage")
    plain = advise({**tables, "pruning": of_target}, ["p"]).sentences[0]
    assert plain == "Use KD: 4.0 points above standard training."


def test_controls_and_what_was_not_trained_again_are_not_advised() -> None:
    chain = pruned({"student": (85, 85), "2× kd": (84, 84), "4× none": (99, 99)})
    random = pruned({"4× kd": (99, 99)}).assign(criterion="random")
    sentence = told(pd.DataFrame(), pd.concat([chain, random]))
    assert sentence == "Prune 2× and recover with KD: 1.0 points below the unpruned student."


def test_few_seeds_are_called_a_hint() -> None:
    assert "2 seeds give a hint" in told(compared({KD: (3, 0.5, 0, 1)}, n=2), n=2)
    assert "hint" not in told(compared({KD: (3, 0.03, 0, 1)}))
    assert told(pd.DataFrame()).startswith("This study compares no methods")


def test_the_tiles_are_of_the_network_that_is_advised() -> None:
    chain = pruned({"student": (85, 85), "dense kd": (90, 90), "3× kd": (90, 90)})
    tables = {"accuracy": accuracy({"teachers/p": 95.0, ALONE: 85.0}), "pruning": chain}
    tables["accuracy"].loc[0, "macs"] = 6e6
    tables["latency"] = pd.DataFrame(
        {"arm": ["teachers/p", "recovery/3× kd"] * 2, "batch": [1, 1, 128, 128]}
    ).assign(milliseconds=[2.0, 0.5, 90.0, 70.0])
    accurate, cheap, fast = advise(tables, ["p"]).tiles
    half = 2.5705818 / 6**0.5  # t of 5 degrees of freedom
    interval = f"95 % interval {90 - half:.1f} to {90 + half:.1f}; teacher 95.0"
    assert accurate.lines == [("pruned 3×", "90.0 %", interval)]
    assert cheap.lines == [("pruned 3×", "1.0 M", "6.0× fewer than the teacher")]
    assert fast.lines == [("pruned 3×", "0.50 ms", "teacher 2.00 ms")]
    dense = pd.DataFrame({"arm": ["recovery/dense kd"], "batch": [1], "milliseconds": [0.9]})
    beside = {**tables, "latency": pd.concat([tables["latency"], dense], ignore_index=True)}
    assert advise(beside, ["p"]).tiles[-1].lines == [
        ("pruned 3×", "0.50 ms", "teacher 2.00 ms; unpruned student 0.90 ms")
    ]
    loads = {"neither": [0.1, 0.1, 4, 4], "the teacher": [0.9, 0.1, 0, 0], "itself": [0, 0.9, 0, 0]}
    for who, others in loads.items():
        tables["latency"] = tables["latency"].assign(others=others)
        [[_, _, beside]] = advise(tables, ["p"]).tiles[-1].lines
        assert beside.endswith("; on a busy machine") == (who != "neither"), who


def test_results_of_before_the_comparison_are_read_by_their_intervals() -> None:
    table = accuracy({"teachers/p": 95.0, ALONE: 85.0, KD: 88.0, OTO: 87.0})
    table["difference"] = [float("nan"), float("nan"), 3.0, 2.0]
    table["low"], table["high"] = table["difference"] - 1, table["difference"] + 1
    found = advise({"accuracy": table, "pruning": pd.DataFrame()}, ["p"])
    assert found.sentences[0].startswith("Use KD: 3.0 points")
    assert found.sentences[1] == "Exits are not shown to add anything to KD."
    wide = table.assign(low=-9.0)
    assert (
        advise({"accuracy": wide, "pruning": pd.DataFrame()}, ["p"]).sentences[0].startswith("No ")
    )


def test_a_method_is_called_what_its_table_calls_it() -> None:
    table = compared({KD: (3, 0.03, 0, 1)}).assign(display="KD, clipped gradients")
    assert told(table).startswith("Use KD, clipped gradients: 3.0 points above")
    one_stage = compared({KD: (3, 0.03, 0, 1)}).assign(display="one-stage KD")
    assert told(one_stage).startswith("Use KD: 3.0 points above")


@pytest.mark.parametrize(("times", "said"), [(11.48, "11.5"), (1.5, "1.5"), (1.4, ""), (None, "")])
def test_a_method_whose_training_takes_much_is_advised_with_its_price(
    times: float | None, said: str
) -> None:
    comparison = compared({KD: (3, 0.03, 0, 1), OTO: (5, 0.03, 2, 0.03)})
    table = accuracy({ALONE: 80.0, KD: 83.0, OTO: 85.0})
    if times is not None:
        table["training_macs_to_kd"] = [0.4, 1.0, times]
    tables = {"accuracy": table, "comparison": comparison, "pruning": pd.DataFrame()}
    use, *more = advise(tables, ["p"]).sentences
    assert use.startswith("Use OtO")
    price = f"Its training takes {said} times the multiply-adds of KD’s."
    assert more == ([price] if said else [])
