"""A sound study and weight file for tests that damage them, and how damage is refused."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stagewise.errors import UserError

MEND = re.compile(r"run `snakemake data`|run again|run the step|lower|leave at least|change")


def refused(path: Path, call: Callable[[], object], part: str = "") -> str:
    """The one line with which ``call`` refuses ``path``; it must hold ``part``."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert len(text.splitlines()) == 1, text
    assert str(path) in text
    assert part in text, text
    assert MEND.search(text), text
    return text


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


RECORD: dict[str, Any] = {
    "spec": {"seed": 0, "training": {"lr": 0.1}},
    "parents": {"teacher": {"path": "x", "sha256": "a"}},
    "model_sha256": "b",
    "data_sha256": "d",
    "code": "c",
    "costs": [{"exit": "final", "parameters": 5, "macs": 50}],
    "file_bytes": 100,
    "protocol": {"epochs": 1, "steps_per_epoch": 2, "threads": 1},
}
PLAN: dict[str, Any] = {
    "study": "toy",
    "config": {
        "pairs": {"p": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}},
        "seeds": [0],
        "data": {"source": "digits"},
        "gate": {"points": 4},
        "claims_tested": [],
        "evaluation": {"ece_bins": 15},
    },
    "runs": [
        {
            "path": "runs/toy/students/p.baseline/seed-0",
            "arm": "students/p.baseline",
            "step": "students",
            "name": "p.baseline",
            "seed": 0,
            "parents": {},
            "reference": "",
        }
    ],
}
PATH = PLAN["runs"][0]["path"]


def good_arrays() -> dict[str, Any]:
    """What a run's ``logits.npz`` holds: one exit, ten images, four classes."""
    logits = np.random.default_rng(0).normal(size=(1, 10, 4)).astype(np.float32)
    labels = np.arange(10) % 4
    return {
        "test": logits,
        "validation": logits,
        "test_labels": labels,
        "validation_labels": labels,
    }
