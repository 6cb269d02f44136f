"""Which networks could reach a target: found on the clock, before anything is trained.

The speed of a network does not depend on its weights, and candidates are pruned evenly, so that the
ratio alone makes the shape. For each student and form of its file the least ratio that reaches all
goals is looked for by bisection: in the form that would ship, with the batch and threads asked for,
each measurement beside the reference's, by turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stagewise import catalogue
from stagewise.models.features import Network
from stagewise.models.store import Architecture, build
from stagewise.pruning.reach import Limits
from stagewise.runs.fits import architecture_of
from stagewise.runs.reachable import limits_of, reach_of
from stagewise.ship.engines import onnx_engine, race
from stagewise.ship.shapes import ShapeFile, thinned, write_shape
from stagewise.study.config.target import Candidate, Target
from stagewise.study.goals import amount, bound
from stagewise.study.images import DataSize
from stagewise.study.planned import Plan
from stagewise.study.spec import TrainSpec

STEP, MOST = 1.1, 16.0
"""Ratios that are tried: each so many times the one before, up to the largest."""
MARGIN = {"latency": 0.95}
"""Quantity → share of its bound that the search aims at: a clock never says the same twice, and the
shipped file is timed anew."""
RATIOS = [round(STEP**power, 2) for power in range(1, 40) if STEP**power <= MOST]


@dataclass(frozen=True)
class Probe:
    """A measurement: a student at a ratio, as a file, beside the reference.

    ``given``: quantity → what it is; ``reference``: the same of the reference.
    """

    pair: str
    form: str
    ratio: float
    given: dict[str, float]
    reference: dict[str, float]

    def reaches(self, target: Target) -> bool:
        """Whether all goals are, those of the clock with something to spare."""
        return all(
            self.given[name] <= MARGIN.get(name, 1.0) * bound(goal, self.reference[name])
            for name, goal in target.goals.items()
        )

    def row(self, target: Target) -> dict[str, Any]:
        """For ``search.csv``."""
        return {
            "pair": self.pair,
            "form": self.form,
            "ratio": self.ratio,
            **self.given,
            **{f"reference_{name}": value for name, value in self.reference.items()},
            "reaches": self.reaches(target),
        }


class Search:
    """Measures a study's students as files in a ``folder``; ``probes`` are all measurements."""

    def __init__(self, plan: Plan, data: DataSize, folder: Path) -> None:
        config = plan.config
        assert config.target is not None
        self.plan, self.data, self.folder, self.target = plan, data, folder, config.target
        self.images = torch.randn(self.target.batch, data.channels, data.size, data.size)
        self.probes: list[Probe] = []
        self.known: dict[tuple[str, float], dict[str, ShapeFile]] = {}
        first = next(iter(config.pairs))
        teacher = self.target.against == "teacher"
        arm = f"teachers/{first}" if teacher else f"students/{first}.baseline"
        shape = self._architecture(arm)
        network = build(shape, 0).eval()
        self.reference = self._written("reference", network, shape, ("float32",))["float32"]

    def candidates(self) -> Iterator[Candidate]:
        """Of every student and form the smallest cut that reaches the goals, where one does."""
        for pair in self.plan.config.pairs:
            for form in self.target.forms:
                ratio = self._least(pair, form)
                if ratio:
                    yield Candidate(pair=pair, form=form, ratio=ratio)

    def _least(self, pair: str, form: str) -> float | None:
        """The least ratio that reaches the goals; None where the largest does not."""
        ratios = [1.0, *self._reachable(pair)]
        if self._reaches(pair, form, ratios[0]):
            return ratios[0]
        if len(ratios) == 1 or not self._reaches(pair, form, ratios[-1]):
            return None
        low, high = 0, len(ratios) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._reaches(pair, form, ratios[middle]):
                high = middle
            else:
                low = middle
        return ratios[high]

    def _reaches(self, pair: str, form: str, ratio: float) -> bool:
        """Measure a student beside the reference; whether it reaches the goals."""
        files = {"given": self._files(pair, ratio)[form], "reference": self.reference}
        found = measured(files, self.images, self.target.threads, self._repeats)
        self.probes.append(Probe(pair, form, ratio, found["given"], found["reference"]))
        return self.probes[-1].reaches(self.target)

    @property
    def _repeats(self) -> int:
        return self.plan.config.evaluation.latency_repeats

    def _files(self, pair: str, ratio: float) -> dict[str, ShapeFile]:
        """Files of a student at a ratio, made once."""
        key = pair, ratio
        if key not in self.known:
            tolerance = self.plan.config.recovery.tolerance
            shape = self._architecture(f"students/{pair}.baseline")
            made = thinned(shape, ratio, self._limits(pair), tolerance)
            self.known[key] = self._written(f"{pair}-{ratio:g}", *made, self.target.forms)
        return self.known[key]

    def _written(
        self, name: str, network: Network, architecture: Architecture, forms: Sequence[str]
    ) -> dict[str, ShapeFile]:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return write_shape(network, architecture, forms, folder)

    def _reachable(self, pair: str) -> list[float]:
        """Ratios that some choice of channels reaches."""
        shape = self._architecture(f"students/{pair}.baseline")
        if catalogue.network_fact(shape.network, "UNPRUNABLE"):
            return []
        reach, tolerance = reach_of(shape, self._limits(pair)), self.plan.config.recovery.tolerance
        return [ratio for ratio in RATIOS if not reach.why_not(ratio, tolerance)]

    def _limits(self, pair: str) -> Limits:
        """What pruning leaves of a candidate's layers."""
        return limits_of(self.plan.config, self.target.pruning(pair, ()))

    def _architecture(self, arm: str) -> Architecture:
        """What the first run of an arm trains."""
        spec = next(run.spec for run in self.plan.runs.values() if run.arm == arm)
        assert isinstance(spec, TrainSpec)
        return architecture_of(spec, self.data)


def measured(
    files: Mapping[str, ShapeFile], images: Tensor, threads: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Name → quantity → value of some files, timed by turns with a batch of ``images``."""
    engines = {name: onnx_engine([file.path], threads) for name, file in files.items()}
    times = race({name: partial(engine, images) for name, engine in engines.items()}, repeats)
    return {
        name: {
            "latency": times[name].median,
            "macs": file.macs,
            "parameters": file.parameters,
            "bytes": file.bytes,
        }
        for name, file in files.items()
    }


def refusal(probes: Sequence[Probe], target: Target) -> str:
    """Why no candidate was found: what came nearest to the goals, and the mend."""

    def excess(probe: Probe) -> float:
        asked = target.goals.items()
        return max(probe.given[name] / bound(goal, probe.reference[name]) for name, goal in asked)

    best = min(probes, key=excess)
    missed = [
        f"{name} {amount(best.given[name])}, where {amount(bound(goal, best.reference[name]))} is"
        " asked"
        for name, goal in target.goals.items()
    ]
    return (
        f"out of reach on this machine; nearest comes {best.pair} in {best.form} with"
        f" {best.ratio:g} times fewer multiply-adds: {', '.join(missed)}; ask for less, let fewer"
        " channels stay (recovery.min_share, target.round_to), or add a smaller student"
    )
