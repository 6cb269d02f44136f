"""Early exit: an image leaves at the first exit that is sure enough. Pure numpy, float64.

Exits answer one after the other, so an image that leaves at exit k has paid for the exits before it
too: MACs are cumulative. One threshold serves all exits; what reaches the last one leaves there.
Thresholds are numbers that validation images have, and operating points are chosen on these alone.

``logits`` are (exits, images, classes), shallow to deep; ``scores`` (exits, images), the larger the
surer; ``macs`` (exits,), cumulative, or any other cost that grows with the exits passed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.analysis.records.logits import ENSEMBLE, Logits
from stagewise.analysis.records.metrics import Floats
from stagewise.analysis.records.study import Study

STEPS = 101
"""Thresholds that are tried: as many quantiles of the validation scores, ends included."""
WITHIN = 0.5
"""Points below the last exit's accuracy that count as equally accurate."""


def confidence(logits: NDArray[np.floating]) -> Floats:
    """The largest probability."""
    return np.asarray(np.exp(metrics.log_softmax(logits).max(axis=-1)))


def entropy(logits: NDArray[np.floating]) -> Floats:
    """Minus the entropy of the probabilities, nats."""
    log_p = metrics.log_softmax(logits)
    return np.asarray((np.exp(log_p) * log_p).sum(axis=-1))


def margin(logits: NDArray[np.floating]) -> Floats:
    """The largest probability minus the second."""
    top = np.partition(np.exp(metrics.log_softmax(logits)), -2, axis=-1)[..., -2:]
    return np.asarray(top[..., 1] - top[..., 0])


SCORES: dict[str, Callable[[NDArray[np.floating]], Floats]] = {
    "confidence": confidence,
    "entropy": entropy,
    "margin": margin,
}
"""Score → its function."""


def thresholds(scores: Floats) -> Floats:
    """(STEPS,) rising thresholds: from one that every image passes at the first exit to one that
    none passes before the last."""
    found: Floats = np.quantile(scores[:-1], np.linspace(0, 1, STEPS), method="lower")
    found[0], found[-1] = -np.inf, np.inf
    return found


def leaves(scores: Floats, threshold: float) -> NDArray[np.intp]:
    """(images,) the exit, from 0, at which each image leaves."""
    sure = scores >= threshold
    sure[-1] = True
    return np.asarray(sure.argmax(axis=0))


@dataclass(frozen=True)
class Curve:
    """What each threshold gives on some images: ``accuracy`` in percent, mean ``macs`` an image,
    ``shares`` (thresholds, exits) of the images that leave at each exit."""

    thresholds: Floats
    accuracy: Floats
    macs: Floats
    shares: Floats


def curve(split: Logits, score: str, given: Floats, macs: Floats) -> Curve:
    """The curve of a split at thresholds that were found elsewhere."""
    scores, right = SCORES[score](split.logits), split.logits.argmax(axis=2) == split.labels
    images, exits = np.arange(right.shape[1]), len(right)
    left = [leaves(scores, threshold) for threshold in given]
    accuracy = np.array([100 * right[exit, images].mean() for exit in left])
    shares = np.array([np.bincount(exit, minlength=exits) for exit in left]) / len(images)
    return Curve(given, accuracy, shares @ macs, shares)


def _as_accurate(validation: Curve) -> NDArray[np.bool_]:
    """Within ``WITHIN`` points of the last exit."""
    return np.asarray(validation.accuracy >= validation.accuracy[-1] - WITHIN)


def _half(validation: Curve) -> NDArray[np.bool_]:
    """At no more than half of what passing all exits takes."""
    return np.asarray(validation.macs <= validation.macs[-1] / 2)


def _any(validation: Curve) -> NDArray[np.bool_]:
    return np.full(len(validation.macs), True)


POINTS: dict[str, tuple[Callable[[Curve], NDArray[np.bool_]], bool]] = {
    "as accurate": (_as_accurate, True),
    "half": (_half, False),
    "best": (_any, False),
}
"""Operating point → which thresholds are allowed, and whether the cheapest of them is taken rather
than the most accurate; of equal ones the cheaper, or the more accurate."""


def choose(validation: Curve, point: str) -> int | None:
    """Number of the threshold of an operating point, by validation; None where none is allowed."""
    allowed, cheapest = POINTS[point]
    places = np.flatnonzero(allowed(validation))
    if not len(places):
        return None
    cost, error = validation.macs[places], -validation.accuracy[places]
    order = np.lexsort((error, cost) if cheapest else (cost, error))
    return int(places[order[0]])


@dataclass(frozen=True)
class EarlyExit:
    """A run's curves by one score on validation and on test images, at the thresholds of
    validation. ``run``: its row of the plan."""

    run: dict[str, Any]
    score: str
    validation: Curve
    test: Curve

    def chosen(self, point: str) -> int | None:
        """Number of the threshold of an operating point."""
        return choose(self.validation, point)


def students_with_exits(study: Study) -> Iterator[tuple[dict[str, Any], dict[str, Logits]]]:
    """The plan's row and the logits of every student that has exits."""
    students = study.runs[study.runs["network"] == "student"]
    for row in students.to_dict("records"):
        run = {str(name): value for name, value in row.items()}
        files = study.files(run["path"])
        if ENSEMBLE in files.record.costs:
            yield run, files.logits(*study.splits)


def early_exits(study: Study) -> Iterator[EarlyExit]:
    """Every student with exits, by every score. What diverged, and what recorded no cumulative
    MACs, is left out; where no images were held out, nothing can be chosen, and all is."""
    for run, splits in students_with_exits(study) if study.holds_out else ():
        costs = study.files(str(run["path"])).record.costs
        macs = np.array([row["cumulative_macs"] for name, row in costs.items() if name != ENSEMBLE])
        sound = all(np.isfinite(part.logits).all() for part in splits.values())
        if not (sound and np.isfinite(macs).all()):
            continue
        for score, function in SCORES.items():
            given = thresholds(function(splits["validation"].logits))
            validation, test = (
                curve(splits[split], score, given, macs) for split in ("validation", "test")
            )
            yield EarlyExit(run, score, validation, test)
