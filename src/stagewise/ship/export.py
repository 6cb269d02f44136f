"""A run becomes files that run anywhere, each checked against the run's own network on all test
images, with its accuracy, its size and its speed on this machine."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from stagewise.analysis.records.logits import Logits
from stagewise.analysis.records.run_files import Record, RunFiles
from stagewise.data.batches import TaskData, load_task
from stagewise.data.pixels import fitted
from stagewise.errors import UserError
from stagewise.files import sha256_file, write_json, write_text
from stagewise.models.exits import MultiExit
from stagewise.ship.card import card, predict_script
from stagewise.ship.classifier import Classifier, coloured, load
from stagewise.ship.engines import BATCH, Engine, answers, onnx_engine, race, torch_engine
from stagewise.ship.files import traced, write_int8, write_onnx, write_torch
from stagewise.ship.parts import Frame, Scale, Whole, chain
from stagewise.ship.thresholds import NEVER, Thresholds, exit_thresholds
from stagewise.study.spec import Images
from stagewise.training.trainer import predict

CPU = torch.device("cpu")
SHOWN = 512
"""Training images on which ranges for eight bits are measured."""
RESIZE = "upright by EXIF, RGB, scaled and cropped to the centre (Pillow's ImageOps.fit, bilinear)"
FRAME = "frame.onnx"
"""Takes a camera's pictures as they are."""
FRAMES = 20_000_000
"""Pixels of the frames on which that is checked."""
SHEET = "ship.json"
"""All numbers; written last."""


@dataclass(frozen=True)
class Wanted:
    """``int8``: files in eight bits too. ``pixels``: graphs start from uint8, and normalise
    themselves. ``batch``: images of a call whose time is measured, beside 1; ``repeats`` calls.
    ``frame``: height and width of a camera's pictures, for a graph that scales them itself.
    ``licence``: of the weights, in words. ``kind``: ending of the files that ``predict.py`` uses.
    ``verdict``: on the target that the network was chosen for, if any."""

    int8: bool = False
    pixels: bool = False
    batch: int = 32
    repeats: int = 30
    frame: tuple[int, int] | None = None
    licence: str = ""
    kind: str = "onnx"
    verdict: str = ""


def export_run(run: Path, out: Path, data_file: Path | None, wanted: Wanted) -> dict[str, Any]:
    """Write the folder ``out``; returns what its ``ship.json`` holds.

    ``data_file``: the run's prepared data; None looks for it above the run's folder.

    Raises:
        UserError: the run is not whole, its data are not there, or ``out`` holds something else.
    """
    classifier, record = load(run), RunFiles(run).record
    data = load_task(_prepared(run, record, data_file), Images.read(record.spec["data"]), CPU)
    _empty(out)
    return _Shipment(run, out, classifier, data, wanted).made()


def _prepared(run: Path, record: Record, given: Path | None) -> Path:
    """The prepared data of a run."""
    above = [] if given else [*run.resolve().parents]
    found = [given] if given else [f for folder in above for f in _sets(folder)]
    for file in found:
        if file.is_file() and sha256_file(file) == record.data_sha256:
            return file
    raise UserError(
        f"--data: {given or 'none above ' + str(run)} is not the prepared data of this run (SHA-256"
        f" {record.data_sha256:.12}…); name its data/<study>/prepared.safetensors"
    )


def _sets(folder: Path) -> list[Path]:
    return sorted(folder.glob("data/*/prepared.safetensors"))


def _empty(out: Path) -> None:
    """``out`` as a folder without an earlier export.

    Raises:
        UserError: it holds something else.
    """
    if out.exists() and not (out.is_dir() and ((out / SHEET).is_file() or not any(out.iterdir()))):
        raise UserError(f"--out: {out} is there already, and no export; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    for file in [out / SHEET, *out.glob("*.onnx"), *out.glob("*.pt2")]:
        file.unlink(missing_ok=True)


def calibrating(images: Tensor) -> Tensor:
    """Those of the training images on which ranges for eight bits are measured."""
    return images[torch.linspace(0, len(images) - 1, min(SHOWN, len(images))).long()]


def _as_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(C, H, W) as Pillow takes it."""
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


class _Shipment:
    """One export on its way."""

    def __init__(
        self, run: Path, out: Path, classifier: Classifier, data: TaskData, wanted: Wanted
    ) -> None:
        self.files, self.out, self.wanted, self.data = RunFiles(run), out, wanted, data
        self.record, self.classifier, network = self.files.record, classifier, classifier.network
        taken = classifier.taken
        self.scale = Scale(taken.mean, taken.std) if wanted.pixels else nn.Identity()
        self.whole = Whole(network, self.scale).eval()
        self.parts = chain(network, self.scale) if isinstance(network, MultiExit) else []
        self.thresholds = exit_thresholds(self.files) if self.parts else Thresholds({}, [])
        self.threads = len(os.sched_getaffinity(0))

    def made(self) -> dict[str, Any]:
        """Write all files; the sheet."""
        self._write()
        names = [f"exit-{number}" for number, _ in enumerate(self.parts, 1)]
        self.kinds = ["onnx", *(["int8.onnx"] if self.wanted.int8 else [])]
        checks = [*self._checks(names)]
        sheet = {
            "stagewise": version("stagewise"),
            "classes": self.classifier.classes,
            "input": self._told()["input"],
            "run": {
                key: getattr(self.record, key)
                for key in ("spec", "model_sha256", "data_sha256", "code", "parents", "pruning")
            },
            "costs": self.record.costs,
            "test_images": len(self.data.test.labels),
            "train_images": len(self.data.train.labels),
            "pytorch": {"test_accuracy": self.record.test_accuracy},
            "files": checks,
            "latency": [*self._times(names)],
            "exits": self.exits,
            "licence": self.wanted.licence,
            **({"verdict": self.wanted.verdict} if self.wanted.verdict else {}),
        }
        shown = [f"{name}.{self.wanted.kind}" for name in names or ["model"]]
        write_text(self.out / "predict.py", predict_script(shown))
        write_text(self.out / "README.md", card(sheet, self.classifier.taken))
        write_json(self.out / SHEET, sheet)
        return sheet

    def _told(self, number: int | None = None) -> dict[str, Any]:
        """The metadata of a file; ``number``: of the exit, where it is a part."""
        taken = self.classifier.taken
        return {
            "classes": self.classifier.classes,
            "size": taken.size,
            "mode": "L" if taken.channels == 1 else "RGB",
            "mean": taken.mean,
            "std": taken.std,
            "resize": RESIZE,
            "input": "pixels" if self.wanted.pixels else "normalised",
            "exit": number,
            "threshold": self.thresholds.taken if self.parts else NEVER,
            "model_sha256": self.record.model_sha256,
        }

    def _given(self, images: Tensor) -> Tensor:
        """uint8 images as files and modules take them."""
        return images if self.wanted.pixels else self.classifier.normalise(images)

    @torch.no_grad()
    def _write(self) -> None:
        """The whole network, then a file an exit."""
        shown: list[tuple[Tensor, ...]] = [
            (part,) for part in self._given(calibrating(self.data.train.images)).split(BATCH)
        ]
        if self.wanted.frame:
            self._write_frame(*self.wanted.frame)
        program = traced(self.whole, (shown[0][0][:2],))
        write_torch(program, self.out / "model.pt2", self._told())
        self._write_onnx(self.whole, "model", shown, None)
        seen = shown
        for number, part in enumerate(self.parts, 1):
            self._write_onnx(part.eval(), f"exit-{number}", seen, number)
            seen = [part(*given)[1:] for given in seen]

    def _write_frame(self, height: int, width: int) -> None:
        """The whole network behind a first node that takes a camera's frames."""
        taken = self.classifier.taken
        scale = Frame(height, width, taken.size, Scale(taken.mean, taken.std))
        module = Whole(self.classifier.network, scale).eval()
        frames = torch.zeros(2, taken.channels, height, width, dtype=torch.uint8)
        told = {**self._told(), "input": "frames", "frame": [height, width]}
        write_onnx(traced(module, (frames,)), self.out / FRAME, told)

    def _write_onnx(
        self, module: nn.Module, name: str, shown: list[tuple[Tensor, ...]], number: int | None
    ) -> None:
        told, path = self._told(number), self.out / f"{name}.onnx"
        write_onnx(traced(module, [given[:2] for given in shown[0]]), path, told)
        if self.wanted.int8:
            write_int8(path, self.out / f"{name}.int8.onnx", shown, told)

    # -- checks ------------------------------------------------------------------------------

    def _checks(self, exits: list[str]) -> Iterator[dict[str, Any]]:
        """A row a file: how it answers beside the run's network, on all test images."""
        test = self._given(self.data.test.images)
        reference = predict(self.classifier.network, self.data, self.data.test).numpy()
        loaded = torch.export.load(self.out / "model.pt2").module()
        found = answers(torch_engine(loaded, self.threads), test)
        yield self._check("model.pt2", found[0], reference.mean(0))
        if self.wanted.frame:
            yield self._check_frame(*self.wanted.frame)
        self.exits: dict[str, Any] = {}
        for kind in self.kinds:
            (found,) = answers(self._engine([f"model.{kind}"]), test)
            yield self._check(f"model.{kind}", found, reference.mean(0))
            if exits:
                found = answers(self._engine([f"{name}.{kind}" for name in exits]), test)
                labels = self.data.test.labels.numpy()
                self.exits[kind] = self.thresholds.found(Logits(found, labels))
                for name, own, theirs in zip(exits, found, reference, strict=True):
                    yield self._check(f"{name}.{kind}", own, theirs)

    def _check_frame(self, height: int, width: int) -> dict[str, Any]:
        """The same of test images enlarged to frames, beside Pillow's scaling of these."""
        side, taken = min(height, width), self.classifier.taken
        pictures = self.data.test.images[: FRAMES // (height * width) + 1]
        large = interpolate(pictures.float(), (side, side), mode="nearest").to(torch.uint8)
        left, top = (width - side) // 2, (height - side) // 2
        around = (left, width - side - left, top, height - side - top)
        frames = pad(large, around)
        pixels = [
            fitted(Image.fromarray(_as_picture(frame)), taken.size) for frame in frames.numpy()
        ]
        seen = torch.from_numpy(np.stack([coloured(p, taken.channels) for p in pixels]))
        with torch.inference_mode():
            reference = self.classifier.network(self.classifier.normalise(seen)).answer.numpy()
        (found,) = answers(self._engine([FRAME]), frames)
        return self._check(FRAME, found, reference)

    def _engine(self, files: list[str], threads: int | None = None) -> Engine:
        return onnx_engine([self.out / file for file in files], threads or self.threads)

    def _check(
        self, file: str, found: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> dict[str, Any]:
        """``difference``: the largest of all logits. ``same``: percent of the images that get the
        same answer."""
        said, path, labels = found.argmax(1), self.out / file, self.data.test.labels.numpy()
        return {
            "file": file,
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            "test_accuracy": 100 * float((said == labels[: len(said)]).mean()),
            "same": 100 * float((said == reference.argmax(1)).mean()),
            "difference": float(np.abs(found - reference).max()),
        }

    def _times(self, exits: list[str]) -> Iterator[dict[str, Any]]:
        """A row a file, batch and number of threads; the file of an exit with those before it."""
        chains = {f"{name}": exits[: place + 1] for place, name in enumerate(exits)}
        chains = {"model": ["model"], **chains}
        loaded = torch.export.load(self.out / "model.pt2").module()
        for threads in sorted({1, self.threads}):
            engines = {
                "PyTorch": torch_engine(self.whole, threads),
                "model.pt2": torch_engine(loaded, threads),
            } | {
                f"{name}.{kind}": self._engine([f"{part}.{kind}" for part in parts], threads)
                for name, parts in chains.items()
                for kind in self.kinds
            }
            for batch in sorted({1, self.wanted.batch}):
                count = torch.arange(batch) % len(self.data.test.images)
                images = self._given(self.data.test.images[count])
                calls = {name: partial(engine, images) for name, engine in engines.items()}
                for name, passed in race(calls, self.wanted.repeats).items():
                    row = {"file": name, "batch": batch, "threads": threads}
                    yield {**row, **asdict(passed), "repeats": self.wanted.repeats}
