"""Candidates for a target as the files that would ship: how right they are, how large, how fast.

All files are timed in one race with the reference's, because clocks differ from hour to hour. Eight
bits are calibrated on training images; the answers to validation and test images are those of ONNX
Runtime.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stagewise.analysis.records.candidates import CANDIDATE, REFERENCE
from stagewise.analysis.records.logits import FINAL
from stagewise.analysis.records.run_files import RunFiles
from stagewise.data.batches import Split, load_task
from stagewise.measure.latency import others_between, work_so_far
from stagewise.ship.classifier import load
from stagewise.ship.engines import BATCH, Engine, answers, onnx_engine, race
from stagewise.ship.export import calibrating
from stagewise.ship.files import traced, write_int8, write_onnx
from stagewise.ship.parts import Whole
from stagewise.ship.shapes import UNTOLD
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import Images


@dataclass(frozen=True)
class Entry:
    """A run as a file in a form, and what it is here: a candidate, or the reference."""

    role: str
    form: str
    ratio: float
    run: PlannedRun


def entries(plan: Plan) -> Iterator[Entry]:
    """All candidates of a study's target, and what they are measured against, over all seeds."""
    target = plan.config.target
    assert target is not None
    first = next(iter(plan.config.pairs))
    arm = f"teachers/{first}" if target.against == "teacher" else target.whole(first)
    yield from (Entry(REFERENCE, "float32", 1.0, run) for run in _runs(plan, arm))
    for candidate in target.candidates:
        for arm in target.arms(candidate):
            for run in _runs(plan, arm):
                yield Entry(CANDIDATE, candidate.form, candidate.ratio, run)


def _runs(plan: Plan, arm: str) -> list[PlannedRun]:
    return [run for run in plan.runs.values() if run.arm == arm]


class Contest:
    """The files of all entries, made in a ``folder``, and what they are on prepared data."""

    def __init__(self, plan: Plan, root: Path, prepared: Path, folder: Path) -> None:
        config = plan.config
        assert config.target is not None
        self.root, self.folder, self.target = root, folder, config.target
        self.repeats, self.entries = config.evaluation.latency_repeats, [*entries(plan)]
        images = Images(task="all", images="full")
        self.data = load_task(prepared, images, torch.device("cpu"))
        self.shown = calibrating(self.data.train.images)

    def rows(self) -> list[dict[str, Any]]:
        """A row an entry, in the columns of ``candidates.csv``."""
        forms: dict[str, set[str]] = {}
        for entry in self.entries:
            forms.setdefault(entry.run.path, set()).add(entry.form)
        made = {path: self._made(path, asked) for path, asked in forms.items()}
        times = self._times([made[entry.run.path][entry.form] for entry in self.entries])
        return [
            {
                "role": entry.role,
                "pair": entry.run.labels["pair"],
                "network": entry.run.spec.network["network"],
                "form": entry.form,
                "ratio": entry.ratio,
                "arm": entry.run.arm,
                "seed": entry.run.seed,
                "path": entry.run.path,
                **self._right(made[entry.run.path][entry.form]),
                **self._sizes(entry.run.path),
                "bytes": made[entry.run.path][entry.form].stat().st_size,
                **times[made[entry.run.path][entry.form]],
            }
            for entry in self.entries
        ]

    def _made(self, path: str, forms: set[str]) -> dict[str, Path]:
        """The files of a run by form."""
        classifier = load(self.root / path)
        folder = self.folder / path.replace("/", "_")
        folder.mkdir(parents=True)
        module = Whole(classifier.network, torch.nn.Identity()).eval()
        shown = classifier.normalise(self.shown)
        files = {"float32": folder / "model.onnx"}
        write_onnx(traced(module, (shown[:2],)), files["float32"], UNTOLD)
        if "int8" in forms:
            files["int8"] = folder / "model.int8.onnx"
            batches = [(part,) for part in shown.split(BATCH)]
            write_int8(files["float32"], files["int8"], batches, UNTOLD)
        return files

    def _right(self, file: Path) -> dict[str, float]:
        """Percent of the validation and of the test images that a file answers rightly."""
        engine = onnx_engine([file], torch.get_num_threads())
        return {
            f"{name}_accuracy": _percent_right(engine, self.data.normalise(split.images), split)
            for name, split in (("validation", self.data.validation), ("test", self.data.test))
        }

    def _sizes(self, path: str) -> dict[str, float]:
        """Multiply-adds and weights of a run's network."""
        costs = RunFiles(self.root / path).record.costs[FINAL]
        return {name: costs[name] for name in ("macs", "parameters")}

    def _times(self, files: Sequence[Path]) -> dict[Path, dict[str, float]]:
        """Milliseconds of each file: the median and the quartiles; the cores that other processes
        took meanwhile."""
        count = torch.arange(self.target.batch) % len(self.data.test.images)
        images = self.data.normalise(self.data.test.images[count])
        engines = {file: onnx_engine([file], self.target.threads) for file in files}
        calls = {str(file): partial(engine, images) for file, engine in engines.items()}
        before = work_so_far()
        times = race(calls, self.repeats)
        others = round(others_between(before, work_so_far()), 2)
        return {
            file: {
                "latency": times[str(file)].median,
                "latency_low": times[str(file)].low,
                "latency_high": times[str(file)].high,
                "others": others,
            }
            for file in engines
        }


def _percent_right(engine: Engine, images: Tensor, split: Split) -> float:
    (logits,) = answers(engine, images)
    return 100 * float((logits.argmax(1) == split.labels.numpy()).mean())
