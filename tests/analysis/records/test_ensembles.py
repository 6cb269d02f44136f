"""Ensembles of exits, by hand."""

import numpy as np
import pytest

from stagewise.analysis.records import ensembles

# Three exits, four images, three classes: their answers are 0 0 1, 0 1 2, 2 2 0 and 1 0 1.
LOGITS = np.array(
    [
        [[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 3.0, 0.0]],
        [[1.0, 0.0, 0.5], [0.0, 2.0, 1.0], [0.5, 0.0, 1.0], [4.0, 0.0, 0.0]],
        [[0.0, 9.0, 0.0], [0.0, 0.0, 1.5], [9.0, 0.0, 0.0], [0.0, 0.5, 0.0]],
    ]
)
LABELS = np.array([0, 1, 2, 1])


def test_mean_logits_and_votes_by_hand() -> None:
    # sums: (3, 10, .5), (1, 2, 2.5), (9.5, 0, 2), (4, 3.5, 0)
    assert ensembles.by_logits(LOGITS).tolist() == [1, 2, 0, 0]
    # two of three outvote an exit that is sure; of three different answers the mean logit decides
    assert ensembles.by_vote(LOGITS).tolist() == [0, 2, 2, 1]


def test_of_classes_named_equally_often_the_one_of_the_larger_mean_logit_wins() -> None:
    even = LOGITS[:2]  # the second image: 0 and 1 with sums 1 and 2; the fourth: 1 and 0, 3 and 4
    assert ensembles.by_vote(even).tolist() == [0, 1, 2, 0]
    # class 2 has the largest mean logit of all, but nobody names it
    logits = np.array([[[5.0, 0.0, 4.9]], [[0.0, 4.0, 3.9]]])
    assert ensembles.by_logits(logits).tolist() == [2]
    assert ensembles.by_vote(logits).tolist() == [0]


def test_mean_probabilities_are_not_mean_logits() -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=2, keepdims=True)
    assert ensembles.by_probabilities(LOGITS).tolist() == p.mean(axis=0).argmax(axis=1).tolist()
    sure = np.array([[[30.0, 0.0]], [[0.0, 3.0]], [[0.0, 3.0]]])
    assert ensembles.by_logits(sure).tolist() == [0]
    assert ensembles.by_probabilities(sure).tolist() == [1]


def test_a_prefix_is_its_exits_alone() -> None:
    first = ensembles.prefix(LOGITS[:1], LABELS)
    assert first["mean_logits"] == first["mean_softmax"] == first["vote"] == 75.0
    assert np.isnan(first["disagreement"])
    assert np.isnan(first["divergence"])
    two = ensembles.prefix(LOGITS[:2], LABELS)
    assert two["mean_logits"] == 75.0  # 0 1 2 0
    assert two["disagreement"] == 50.0  # on the second image and the fourth


def test_diversity_by_hand() -> None:
    # 1-2 differ on two images, 1-3 on three, 2-3 on all four
    assert ensembles.disagreement(LOGITS) == pytest.approx(100 * (2 + 3 + 4) / 12)
    p, q = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    logits = np.log(np.stack([p, q]))[:, None]
    both = ((p - q) * np.log(p / q)).sum()
    assert ensembles.divergence(logits) == pytest.approx(both / 2)


def test_what_diverged_has_no_numbers() -> None:
    broken = LOGITS.copy()
    broken[1, 2, 0] = np.nan
    assert np.isnan([*ensembles.prefix(broken, LABELS).values()]).all()
