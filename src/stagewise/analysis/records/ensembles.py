"""Ensembles of exits, and how much their exits differ. Pure numpy, float64.

``logits`` are (exits, images, classes), shallow to deep; answers are (images,) classes.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.analysis.records.metrics import NAN, Floats

Answers = NDArray[np.intp]


def by_logits(logits: NDArray[np.floating]) -> Answers:
    """The largest mean logit: the headline, as in the code that paper B most likely starts from."""
    return np.asarray(metrics.ensemble(logits).argmax(axis=1))


def by_probabilities(logits: NDArray[np.floating]) -> Answers:
    """The largest mean probability."""
    return np.asarray(np.exp(metrics.log_softmax(logits)).mean(axis=0).argmax(axis=1))


def by_vote(logits: NDArray[np.floating]) -> Answers:
    """The class that most exits name; of those named equally often, the one with the larger mean
    logit (and of equal ones the lower class)."""
    votes = (logits.argmax(axis=2)[:, :, None] == np.arange(logits.shape[2])).sum(axis=0)
    most = votes == votes.max(axis=1, keepdims=True)
    return np.asarray(np.where(most, metrics.ensemble(logits), -np.inf).argmax(axis=1))


WAYS = {
    "mean_logits": by_logits,
    "mean_softmax": by_probabilities,
    "vote": by_vote,
}
"""Way to answer together → its function; the first is what "ensemble" means elsewhere."""


def disagreement(logits: NDArray[np.floating]) -> float:
    """Percent of images on which two exits name different classes, mean over their pairs; NaN of
    one exit."""
    named = logits.argmax(axis=2)
    shares = [(named[a] != named[b]).mean() for a, b in combinations(range(len(named)), 2)]
    return float(100 * np.mean(shares)) if shares else NAN


def divergence(logits: NDArray[np.floating]) -> float:
    """Mean of KL(one exit ‖ another) over all ordered pairs, nats: half of Jeffreys's, mean over
    pairs; NaN of one exit."""
    log_p: Floats = metrics.log_softmax(logits)
    pairs = combinations(range(len(log_p)), 2)
    both = [
        metrics.kl_from_teacher(log_p[b], log_p[a]) + metrics.kl_from_teacher(log_p[a], log_p[b])
        for a, b in pairs
    ]
    return float(np.mean(both) / 2) if both else NAN


def prefix(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float]:
    """Accuracy, percent, of each way to answer together, and how much the exits differ.

    Where a logit is not finite (a diverged run) all is NaN.
    """
    if not np.isfinite(logits).all():
        return dict.fromkeys((*WAYS, "disagreement", "divergence"), NAN)
    right = {name: float(100 * (way(logits) == labels).mean()) for name, way in WAYS.items()}
    return {**right, "disagreement": disagreement(logits), "divergence": divergence(logits)}
