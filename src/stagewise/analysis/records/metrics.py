"""Metrics on logits (science §7.1). Pure numpy, float64, log space.

``logits`` are (images, classes), ``labels`` (images,). Accuracies and agreement are in percent,
NLL and KL in nats; ECE and AUROC lie in [0, 1], Brier in [0, 2].
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NAN = float("nan")
FIDELITY = ("agreement", "agreement_right", "agreement_wrong", "kl")
"""The metrics that take a teacher."""


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """Log probabilities over the last axis, float64."""
    shifted = logits.astype(np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def ensemble(logits: NDArray[np.floating]) -> Floats:
    """Mean of the exits' logits: (exits, images, classes) to (images, classes)."""
    return np.asarray(logits.astype(np.float64).mean(axis=0))


def top_k(logits: NDArray[np.floating], labels: NDArray[np.integer], k: int = 1) -> float:
    """Percent of images whose label is among the ``k`` largest logits (ties: lower class first)."""
    order = np.argsort(-logits.astype(np.float64), axis=-1, kind="stable")[:, :k]
    return float(100 * (order == labels[:, None]).any(axis=1).mean())


def nll(log_p: Floats, labels: NDArray[np.integer]) -> float:
    """Mean negative log probability of the label, nats."""
    return float(-log_p[np.arange(len(labels)), labels].mean())


def brier(log_p: Floats, labels: NDArray[np.integer]) -> float:
    """Mean squared distance between the probabilities and the one-hot label."""
    target = np.zeros_like(log_p)
    target[np.arange(len(labels)), labels] = 1
    return float(((np.exp(log_p) - target) ** 2).sum(axis=1).mean())


def confidence_bins(log_p: Floats, bins: int) -> tuple[Floats, NDArray[np.intp]]:
    """Each image's confidence, and which of the equal-width bins (low, high] it falls in."""
    confidence = np.exp(log_p.max(axis=1))
    index = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    return confidence, index


def ece(log_p: Floats, labels: NDArray[np.integer], bins: int = 15) -> float:
    """Expected calibration error: confidence against accuracy in equal-width bins (low, high]."""
    confidence, index = confidence_bins(log_p, bins)
    correct = log_p.argmax(axis=1) == labels
    gap = np.bincount(index, weights=confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Probability that a positive image has the larger score than another, ties counting half (the
    area under the ROC curve, as Mann and Whitney's U); NaN where all are of one kind."""
    kinds = int(positive.sum()), int((~positive).sum())
    if not all(kinds):
        return NAN
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    return float((ranks[positive].sum() - kinds[0] * (kinds[0] + 1) / 2) / (kinds[0] * kinds[1]))


def error_auroc(log_p: Floats, labels: NDArray[np.integer]) -> float:
    """How well confidence tells right answers from wrong ones: the AUROC of the largest
    probability (Hendrycks & Gimpel 2017); 0.5 is blind."""
    return auroc(log_p.max(axis=1), log_p.argmax(axis=1) == labels)


def reliability(log_p: Floats, labels: NDArray[np.integer], bins: int = 15) -> Floats:
    """(3, bins): images, mean confidence and accuracy of each bin; NaN where a bin is empty."""
    confidence, index = confidence_bins(log_p, bins)
    correct = log_p.argmax(axis=1) == labels
    images = np.bincount(index, minlength=bins).astype(np.float64)
    filled = np.where(images > 0, images, np.nan)
    sums = [np.bincount(index, weights=part, minlength=bins) for part in (confidence, correct)]
    return np.stack([images, *(part / filled for part in sums)])


def agreement(logits: NDArray[np.floating], teacher: NDArray[np.floating]) -> float:
    """Percent of images on which both networks name the same class."""
    return float(100 * (logits.argmax(axis=1) == teacher.argmax(axis=1)).mean())


def inheritance(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    teacher: NDArray[np.floating],
) -> tuple[float, float]:
    """Percent of agreement on the images where the teacher is right, and on those where it is
    wrong: the latter are errors that the student shares. NaN where there are no such images."""
    named = teacher.argmax(axis=1)
    same, right = logits.argmax(axis=1) == named, named == labels
    shares = [float(100 * same[part].mean()) if part.any() else NAN for part in (right, ~right)]
    return shares[0], shares[1]


def kl_from_teacher(log_p: Floats, teacher_log_p: Floats) -> float:
    """Mean KL(teacher ‖ student) at temperature 1, nats."""
    # A class that the teacher rules out in float64 adds nothing: exp gives 0 and 0·finite is 0.
    return float((np.exp(teacher_log_p) * (teacher_log_p - log_p)).sum(axis=1).mean())


def all_metrics(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    teacher: NDArray[np.floating] | None = None,
    bins: int = 15,
) -> dict[str, float]:
    """Every metric of one output on one split.

    ``top5`` is NaN at 10 classes or fewer, fidelity is NaN without a teacher. Where a logit is not
    finite (a diverged run) the network counts as wrong on that image and all else is NaN.
    """
    finite = bool(np.isfinite(logits).all())
    if not finite:
        sound = np.isfinite(logits).all(axis=1)
        hit = top_k(np.nan_to_num(logits[sound]), labels[sound]) if sound.any() else 0.0
        names = ("top5", "nll", "brier", "ece", "auroc", *FIDELITY)
        return {"accuracy": hit * float(sound.mean()), **dict.fromkeys(names, NAN)}
    log_p = log_softmax(logits)
    many_classes = logits.shape[1] > 10
    return {
        "accuracy": top_k(logits, labels),
        "top5": top_k(logits, labels, 5) if many_classes else NAN,
        "nll": nll(log_p, labels),
        "brier": brier(log_p, labels),
        "ece": ece(log_p, labels, bins),
        "auroc": error_auroc(log_p, labels),
        **_fidelity(logits, log_p, labels, teacher),
    }


def _fidelity(
    logits: NDArray[np.floating],
    log_p: Floats,
    labels: NDArray[np.integer],
    teacher: NDArray[np.floating] | None,
) -> dict[str, float]:
    if teacher is None:
        return dict.fromkeys(FIDELITY, NAN)
    shared = inheritance(logits, labels, teacher)
    values = (agreement(logits, teacher), *shared, kl_from_teacher(log_p, log_softmax(teacher)))
    return dict(zip(FIDELITY, values, strict=True))
