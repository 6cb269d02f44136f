"""bfloat16 changes the forward pass and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from helpers import KD, network, run_spec, train
from safetensors.torch import load_file

from stagewise.models.features import Features
from stagewise.training.precision import precision
from stagewise.training.trainer import OutOfTime

CPU = torch.device("cpu")


def test_a_forward_pass_gives_float32_answers_near_those_of_float32() -> None:
    student, images = network().eval(), torch.randn(8, 1, 8, 8)
    exact: Features = student(images)
    with precision("bfloat16", CPU):
        features: Features = student(images)
    assert features.logits.dtype == features.taps["stage2"].dtype == torch.bfloat16
    given = features.float()
    assert given.logits.dtype == given.pooled.dtype == torch.float32
    assert torch.allclose(given.logits, exact.logits, atol=0.05)
    assert not torch.equal(given.logits, exact.logits)
    with precision("float32", CPU):
        assert torch.equal(student(images).logits, exact.logits)


def test_a_run_in_bfloat16_is_its_own_run_with_float32_weights(
    tmp_path: Path, prepared: Path, parents: dict[str, Path]
) -> None:
    weights = {}
    for dtype in ("float32", "bfloat16"):
        out = tmp_path / dtype
        spec = run_spec({"dtype": dtype, "epochs": 2}, **KD)
        weights[dtype] = load_file(train(spec, prepared, out, teacher=parents["teacher"]))
        assert json.loads((out / "record.json").read_text())["protocol"]["dtype"] == dtype
    for name, exact in weights["float32"].items():
        other = weights["bfloat16"][name]
        assert other.dtype == exact.dtype
        assert torch.allclose(other.float(), exact.float(), atol=0.3)
    assert any(not torch.equal(a, weights["float32"][n]) for n, a in weights["bfloat16"].items())


def test_a_stopped_run_in_bfloat16_with_every_augmentation_ends_with_the_same_bytes(
    tmp_path: Path, prepared: Path, parents: dict[str, Path]
) -> None:
    augmentation = {"rotation": 20, "auto_augment": True, "mixup": 0.5, "cutmix": 1}
    update = {"nesterov": True, "schedule": "steps", "milestones": [1, 0.7]}
    spec = run_spec({"dtype": "bfloat16", **augmentation, **update}, **KD)
    teacher = parents["teacher"]
    whole = train(spec, prepared, tmp_path / "whole", teacher=teacher)
    out, work = tmp_path / "out", tmp_path / "work"
    with pytest.raises(OutOfTime):
        train(spec, prepared, out, work=work, budget=1e-9, teacher=teacher)
    assert train(spec, prepared, out, work=work, teacher=teacher).read_bytes() == whole.read_bytes()
    recorded = json.loads((out / "record.json").read_text())
    for part in ("spec", "settings"):
        assert {**augmentation, **update}.items() <= recorded[part]["training"].items()
    rates = [row.split(",")[2] for row in (out / "history.csv").read_text().splitlines()]
    assert rates[0] == "lr"
    assert [float(rate) for rate in rates[1:]] == pytest.approx([0.05, 0.005, 0.0005])
