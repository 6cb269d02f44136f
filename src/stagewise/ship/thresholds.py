"""How sure an exit must be for a picture to leave there, chosen on a run's validation images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagewise.analysis.records.early_exit import POINTS, SCORES, choose, curve, thresholds
from stagewise.analysis.records.logits import ENSEMBLE, Logits
from stagewise.analysis.records.run_files import RunFiles

SCORE = "confidence"
TAKEN = "as accurate"
"""The operating point that exported files keep."""
NEVER = 2.0
"""No picture leaves early: no probability is as large."""


@dataclass(frozen=True)
class Thresholds:
    """Operating point → least probability; ``macs`` (exits,), what passing each exit takes."""

    points: dict[str, float]
    macs: list[float]

    @property
    def taken(self) -> float:
        """The one that exported files keep: of the cheapest point that is as accurate as the last
        exit, on validation; none leaves early where nothing could be chosen."""
        return self.points.get(TAKEN, NEVER)

    def found(self, test: Logits) -> list[dict[str, Any]]:
        """A row an operating point: what it gives on test images."""
        given = np.array([*self.points.values()])
        got = curve(test, SCORE, given, np.array(self.macs))
        return [
            {
                "point": name,
                "threshold": threshold,
                "test_accuracy": float(got.accuracy[row]),
                "macs": float(got.macs[row]),
                "leave": [float(share) for share in got.shares[row]],
            }
            for row, (name, threshold) in enumerate(self.points.items())
        ]


def exit_thresholds(files: RunFiles) -> Thresholds:
    """Of a run with exits; without points where it held out no images or counted no costs."""
    costs = files.record.costs
    macs = [row["cumulative_macs"] for name, row in costs.items() if name != ENSEMBLE]
    points: dict[str, float] = {}
    if np.isfinite([*macs, files.record.validation_accuracy]).all():
        validation = files.logits("validation")["validation"]
        known = thresholds(SCORES[SCORE](validation.logits))
        seen = curve(validation, SCORE, known, np.array(macs))
        chosen = {point: choose(seen, point) for point in POINTS}
        points = {
            point: float(known[number].clip(0, NEVER))
            for point, number in chosen.items()
            if number is not None
        }
    return Thresholds(points, macs)
