"""How exported files are run: each engine is a function from images to the logits of every part."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

Logits = list[NDArray[np.float32]]
"""(B, classes) of each part."""

Engine = Callable[[Tensor], Logits]

BATCH = 256
"""Images that are answered at a time where it is not time that is measured."""


def onnx_engine(files: Sequence[Path], threads: int) -> Engine:
    """A chain of ONNX files, each of which gets what the one before left behind its logits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    # Threads that wait spin, which would slow down whatever else is measured by turns.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions = [onnxruntime.InferenceSession(str(file), options) for file in files]
    names = [[given.name for given in session.get_inputs()] for session in sessions]

    def answer(images: Tensor) -> Logits:
        left, found = [images.contiguous().numpy()], []
        for session, taken in zip(sessions, names, strict=True):
            logits, *left = session.run(None, dict(zip(taken, left, strict=True)))
            found.append(logits)
        return found

    return answer


def torch_engine(module: Callable[[Tensor], Sequence[Tensor]], threads: int) -> Engine:
    """A module of torch that gives one tensor of logits."""

    @torch.inference_mode()
    def answer(images: Tensor) -> Logits:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return [module(images)[0].numpy()]

    return answer


def answers(engine: Engine, images: Tensor) -> NDArray[np.float32]:
    """Logits (parts, N, classes)."""
    return np.concatenate([np.stack(engine(part)) for part in images.split(BATCH)], axis=1)


@dataclass(frozen=True)
class Time:
    """Milliseconds of one call: the median, and the quartiles."""

    median: float
    low: float
    high: float


def race(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Time]:
    """How long each call takes: all take turns in every round, so that a slow spell hits all of
    them, and the first round is for warming up."""
    passed: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            passed[name].append(1000 * (time.perf_counter() - start))
    quartiles = {name: np.percentile(times[1:], [50, 25, 75]) for name, times in passed.items()}
    return {name: Time(*(round(float(t), 4) for t in times)) for name, times in quartiles.items()}
