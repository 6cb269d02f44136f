"""Logit standardisation (Sun et al. 2024, CVPR, arXiv 2403.01427), for methods that soften logits.

Section 4: what student and teacher soften are the z-scores of their logits, so the student need
have neither the mean nor the spread of its teacher's. The gradient grows with 1 / spread: finite,
but huge where a student's logits are all but equal, as under a classifier that starts at 0.
"""

from torch import Tensor

from stagewise.methods.base import full
from stagewise.models.features import Features

EPSILON = 1e-7
"""The authors'; it keeps equal logits at 0."""


def standardise(logits: Tensor) -> Tensor:
    """Each row of logits (B, C) less its mean, over its standard deviation (unbiased, as the
    authors' code has it)."""
    logits = full(logits)
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (logits.std(dim=1, keepdim=True) + EPSILON)


def standardised(features: Features) -> Features:
    """The same features with standardised logits."""
    return features._replace(logits=standardise(features.logits))
