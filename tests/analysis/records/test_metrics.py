"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from stagewise.analysis.records import metrics

# Two images, two classes: probabilities (0.75, 0.25) and (0.4, 0.6), labels 0 and 0.
LOGITS = np.log(np.array([[0.75, 0.25], [0.4, 0.6]]))
LABELS = np.array([0, 0])


def test_hand_computed_values() -> None:
    found = metrics.all_metrics(LOGITS, LABELS, bins=15)
    assert found["accuracy"] == 50.0
    assert found["nll"] == pytest.approx(-(np.log(0.75) + np.log(0.4)) / 2)
    assert found["brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.6**2) / 2)
    # Confidences 0.75 (right) and 0.6 (wrong) lie in different bins of 15.
    assert found["ece"] == pytest.approx((0.25 + 0.6) / 2)


def test_one_ece_bin_is_the_gap_of_the_means() -> None:
    log_p = metrics.log_softmax(LOGITS)
    assert metrics.ece(log_p, LABELS, bins=1) == pytest.approx((0.75 + 0.6) / 2 - 0.5)


def test_confidence_on_a_bin_edge_belongs_below() -> None:
    log_p = np.log(np.array([[0.5, 0.5], [0.51, 0.49]]))
    # Two bins: 0.5 (right) in the first, 0.51 (wrong) in the second; one bin would let them cancel.
    assert metrics.ece(log_p, np.array([0, 1]), bins=2) == pytest.approx((0.5 + 0.51) / 2)


def test_fidelity_to_the_teacher() -> None:
    teacher = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    found = metrics.all_metrics(LOGITS, LABELS, teacher)
    first = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    second = 0.9 * np.log(0.9 / 0.4) + 0.1 * np.log(0.1 / 0.6)
    assert found["kl"] == pytest.approx((first + second) / 2)
    assert found["agreement"] == 50.0
    itself = metrics.all_metrics(LOGITS, LABELS, LOGITS)
    assert itself["kl"] == pytest.approx(0)
    assert itself["agreement"] == 100.0


def test_agreement_is_told_by_whether_the_teacher_is_right() -> None:
    labels = np.array([0, 1, 0, 1, 1])
    teacher = np.eye(2)[[0, 1, 1, 0, 0]]  # right on the first two
    student = np.eye(2)[[0, 0, 1, 0, 1]]
    found = metrics.all_metrics(student, labels, teacher)
    assert found["agreement_right"] == 50.0
    assert found["agreement_wrong"] == pytest.approx(200 / 3)
    whole = 2 / 5 * found["agreement_right"] + 3 / 5 * found["agreement_wrong"]
    assert found["agreement"] == pytest.approx(whole)
    assert np.isnan(metrics.all_metrics(student, labels, np.eye(2)[labels])["agreement_wrong"])


def test_logits_of_any_offset_and_size() -> None:
    huge = np.array([[5000.0, 0.0], [-5000.0, 5000.0]], dtype=np.float32)
    found = metrics.all_metrics(huge, np.array([1, 1]), huge + 100)
    assert found["nll"] == pytest.approx(2500)
    assert found["kl"] == pytest.approx(0)


def test_top5_only_above_ten_classes() -> None:
    logits = np.tile(np.arange(11.0), (2, 1))
    found = metrics.all_metrics(logits, np.array([6, 5]))
    assert found["top5"] == 50.0
    assert np.isnan(metrics.all_metrics(logits[:, :10], np.array([6, 5]))["top5"])


def test_ensemble_is_the_mean_of_logits() -> None:
    exits = np.array([[[4.0, 0.0]], [[0.0, 3.0]]], dtype=np.float32)
    assert metrics.ensemble(exits).tolist() == [[2.0, 1.5]]


def test_diverged_run_counts_as_wrong() -> None:
    logits = np.array([[2.0, 1.0], [np.nan, 1.0]])
    found = metrics.all_metrics(logits, np.array([0, 0]))
    assert found["accuracy"] == 50.0
    assert np.isnan(found["nll"])
    sound = metrics.all_metrics(LOGITS, LABELS, LOGITS)
    assert found.keys() == sound.keys()


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]])
    labels = np.array([0, 1, 1, 0])
    images, confidence, accuracy = metrics.reliability(np.log(probabilities), labels, bins=4)
    assert images.tolist() == [0, 0, 2, 2]
    np.testing.assert_allclose(confidence, [np.nan, np.nan, 0.575, 0.85])
    np.testing.assert_allclose(accuracy, [np.nan, np.nan, 0.5, 0.5])
    gap = np.nansum(np.abs(confidence - accuracy) * images) / images.sum()
    assert metrics.ece(np.log(probabilities), labels, bins=4) == pytest.approx(gap)


@pytest.mark.parametrize("levels", [3, 1000], ids=["many ties", "few"])
def test_auroc_is_that_of_scikit_learn(levels: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, 200) / levels
    positive = rng.random(200) < 0.2 + 0.6 * scores
    assert metrics.auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_confidence_tells_errors_as_far_as_it_is_larger_where_right() -> None:
    # 0.75 is right, 0.6 wrong: of the one pair, the right one is surer.
    assert metrics.all_metrics(LOGITS, LABELS)["auroc"] == 1.0
    assert metrics.all_metrics(LOGITS, np.array([1, 1]))["auroc"] == 0.0
    assert np.isnan(metrics.all_metrics(LOGITS, np.array([0, 1]))["auroc"]), "all are right"
    equal = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert metrics.all_metrics(equal, np.array([0, 1]))["auroc"] == 0.5
