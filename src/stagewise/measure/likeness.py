"""How alike two maps are: Spearman's ρ of their pixels, and how much their tops overlap."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Maps = NDArray[np.floating]
"""(images, pixels)."""
TOP = 0.2
"""Share of the pixels that is a map's top."""


def spearman(first: Maps, second: Maps) -> NDArray[np.float64]:
    """(images,) Spearman's ρ over pixels, equal ones sharing their mean rank; NaN where a map has
    one value only."""
    ranks = [rankdata(maps, axis=1) for maps in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def top_overlap(first: Maps, second: Maps) -> NDArray[np.float64]:
    """(images,) intersection over union of the tops, from 0 to 1; NaN where a map has one value
    only."""
    a, b = _top(first), _top(second)
    union = (a | b).sum(axis=1)
    with np.errstate(invalid="ignore"):
        found = (a & b).sum(axis=1) / union
    return np.where(a.any(axis=1) & b.any(axis=1), found, np.nan)


def _top(maps: Maps) -> NDArray[np.bool_]:
    """The pixels from the quantile of ``1 - TOP`` on, without those of a map's least value, which
    is often that of most pixels."""
    bound = np.quantile(maps, 1 - TOP, axis=1, keepdims=True)
    return np.asarray((maps >= bound) & (maps > maps.min(axis=1, keepdims=True)))
