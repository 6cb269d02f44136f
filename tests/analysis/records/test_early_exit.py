"""Early exit: scores, thresholds and operating points, recomputed from stored logits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records import early_exit
from stagewise.analysis.records.early_exit import POINTS, SCORES, Curve, choose, curve, early_exits
from stagewise.analysis.records.logits import Logits, read_logits
from stagewise.analysis.records.study import Study, read_study

ARM = "multi_exit/resnet.oto"
TINY = {"pruning": [], "two_stage": {"pairs": []}, "seeds": (0,)}


def test_scores_by_hand() -> None:
    p = np.array([0.7, 0.2, 0.1])
    logits = np.log(p) + 3
    assert early_exit.confidence(logits) == pytest.approx(0.7)
    assert early_exit.entropy(logits) == pytest.approx((p * np.log(p)).sum())
    assert early_exit.margin(logits) == pytest.approx(0.5)


def test_an_image_leaves_at_the_first_exit_that_is_sure_enough() -> None:
    scores = np.array([[0.9, 0.4, 0.5, 0.1], [0.1, 0.8, 0.9, 0.2], [0.1, 0.1, 0.1, 0.1]])
    assert early_exit.leaves(scores, 0.5).tolist() == [0, 1, 0, 2]
    assert early_exit.leaves(scores, -np.inf).tolist() == [0, 0, 0, 0]
    assert early_exit.leaves(scores, np.inf).tolist() == [2, 2, 2, 2]


def by_hand(part: Logits, threshold: float, macs: list[float]) -> tuple[float, float, list[float]]:
    """Accuracy, MACs and shares by confidence, image by image."""
    right, cost, left = 0, 0.0, [0] * len(macs)
    for image, label in enumerate(part.labels):
        for exit, logits in enumerate(part.logits[:, image].astype(np.float64)):
            p = np.exp(logits - logits.max())
            if (p / p.sum()).max() >= threshold or exit == len(macs) - 1:
                right += logits.argmax() == label
                cost += macs[exit]
                left[exit] += 1
                break
    images = len(part.labels)
    return 100 * right / images, cost / images, [count / images for count in left]


def test_curves_are_recomputed_from_stored_logits(results: Results) -> None:
    found = [each for each in early_exits(results.study) if each.run["arm"] == ARM]
    assert len(found) == len(SCORES) * 6
    each = next(one for one in found if one.score == "confidence" and one.run["seed"] == 3)
    part = read_logits(results.study.folder(each.run["path"]))["test"]
    rows = results.summary[results.summary["path"] == each.run["path"]].set_index("exit")
    macs = [float(rows.loc[name, "cumulative_macs"]) for name in "123"]
    assert macs[0] < macs[1] < macs[2] == rows.loc["ensemble", "macs"] > rows.loc["3", "macs"]
    for place in (0, 40, 80, 100):
        accuracy, cost, shares = by_hand(part, each.test.thresholds[place], macs)
        assert each.test.accuracy[place] == pytest.approx(accuracy)
        assert each.test.macs[place] == pytest.approx(cost)
        assert each.test.shares[place] == pytest.approx(shares)
    assert each.test.accuracy[0] == pytest.approx(rows.loc["1", "test_accuracy"])
    assert each.test.accuracy[-1] == pytest.approx(rows.loc["3", "test_accuracy"])


def test_curves_go_from_the_first_exit_to_the_last(results: Results) -> None:
    for each in early_exits(results.study):
        for side in (each.validation, each.test):
            assert (np.diff(side.thresholds) >= 0).all()
            assert (np.diff(side.macs) >= 0).all(), "higher thresholds never cost less"
            assert side.shares.sum(axis=1) == pytest.approx(np.ones(len(side.shares)))
            assert side.shares[0].tolist() == [1, 0, 0]
            assert side.shares[-1].tolist() == [0, 0, 1]


def made(accuracy: list[float], macs: list[float]) -> Curve:
    steps = len(macs)
    return Curve(np.arange(steps), np.array(accuracy), np.array(macs), np.zeros((steps, 2)))


def test_operating_points_by_hand() -> None:
    validation = made([70, 75, 79, 79.5, 81, 80], [10, 20, 45, 50, 80, 100])
    assert [choose(validation, point) for point in POINTS] == [3, 3, 4]
    near = made([70, 79.6, 80, 80], [10, 60, 60, 100])
    assert choose(near, "as accurate") == 2, "of equal cost the more accurate"
    assert choose(near, "best") == 2, "of equal accuracy the cheaper"
    assert choose(made([70, 80], [60, 100]), "half") is None, "the first exit costs more"


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    return make_study(**TINY)


def chosen(study: Study) -> dict[tuple[str, str, str], float | None]:
    """The threshold of every arm, score and point."""
    return {
        (each.run["arm"], each.score, point): None
        if (place := each.chosen(point)) is None
        else float(each.test.thresholds[place])
        for each in early_exits(study)
        for point in POINTS
    }


@pytest.mark.parametrize(("split", "same"), [("test", True), ("validation", False)])
def test_thresholds_are_chosen_on_validation_alone(study: Study, split: str, same: bool) -> None:
    before = chosen(study)
    assert len(before) == 3 * len(SCORES) * len(POINTS)
    for file in study.root.rglob("logits.npz"):
        parts = dict(np.load(file))
        order = np.random.default_rng(0).permutation(len(parts[split][0]))
        parts[split] = parts[split][:, order] * 3
        np.savez(file, **parts)
    assert (chosen(read_study(study.root / "plan.json", study.root)) == before) == same


def test_what_cannot_be_chosen_is_left_out(make_study: Callable[..., Study], study: Study) -> None:
    run = study.files(next(p for p in study.runs["path"] if "oto" in p))
    parts = dict(np.load(run.folder / "logits.npz"))
    parts["validation"][0, 0, 0] = np.inf
    np.savez(run.folder / "logits.npz", **parts)
    assert ARM not in {each.run["arm"] for each in early_exits(study)}
    shutil.rmtree(study.root / "runs")
    data = {"source": "digits", "source_classes": [0, 1, 2, 3, 4], "validation": 0}
    held = make_study(**TINY, data=data)
    assert list(early_exits(held)) == []


def test_records_without_cumulative_macs_have_no_curve(study: Study, tmp_path: Path) -> None:
    for file in study.root.rglob("record.json"):
        text = file.read_text().replace('"cumulative_macs"', '"unknown"')
        file.write_text(text)
    old = read_study(study.root / "plan.json", study.root)
    assert list(early_exits(old)) == []
    path = next(p for p in old.runs["path"] if "oto" in p)
    costs = old.files(path).record.costs
    assert costs["1"]["cumulative_macs"] == costs["1"]["macs"]
    assert costs["3"]["cumulative_macs"] == costs["ensemble"]["macs"]
    assert np.isnan(costs["2"]["cumulative_macs"])


def test_margin_and_entropy_order_two_classes_as_confidence_does() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 50, 2))
    macs = np.array([1.0, 2.0, 3.0])
    part = Logits(logits.astype(np.float32), np.zeros(50, np.int64))
    curves = [
        curve(part, score, early_exit.thresholds(function(part.logits)), macs)
        for score, function in SCORES.items()
    ]
    for other in curves[1:]:
        assert other.macs == pytest.approx(curves[0].macs)
        assert other.accuracy == pytest.approx(curves[0].accuracy)
