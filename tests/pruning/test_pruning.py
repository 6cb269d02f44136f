"""Pruning: the ratio that is asked for, minima kept, and a plain history that rebuilds it all."""

import json
import math
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch_pruning as tp
from helpers import CPU, ROOT, task_data, train
from helpers import run_spec as training_spec
from torch import nn

from stagewise.catalogue import criteria, heads, network_fact, networks
from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file
from stagewise.models.cost import total_macs
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, build, cut_at, load_network, save_network
from stagewise.pruning.prune import prune
from stagewise.pruning.reach import Limits
from stagewise.pruning.scores import Scores, loss_gradients

LIMITS = Limits(min_channels=4, min_share=0.25)


class Pruned(NamedTuple):
    dense: Network
    network: Network
    before: Architecture
    after: Architecture
    measured: dict[str, float]


def architecture(name: str = "resnet8", exits: str | None = None) -> Architecture:
    return Architecture(name, {"width": 16}, 10, 1, 16, exits)


def small(exits: str | None = None) -> Architecture:
    return Architecture("resnet8", {"width": 8}, 4, 1, 8, exits)


def pruned(
    shape: Architecture,
    ratio: float = 2,
    criterion: str = "random",
    limits: Limits = LIMITS,
    tolerance: float = 0.05,
    seed: int = 0,
    network: Network | None = None,
    one_shot: bool = False,
) -> Pruned:
    dense = build(shape, seed=3)
    network = network or build(shape, seed=3)
    after, measured = prune(
        network,
        shape,
        criterion=criterion,
        ratio=ratio,
        limits=limits,
        tolerance=tolerance,
        seed=seed,
        one_shot=one_shot,
        data=task_data(),
    )
    return Pruned(dense, network, shape, after, measured)


def images(shape: Architecture) -> torch.Tensor:
    return torch.randn(4, shape.channels, shape.image_size, shape.image_size)


@pytest.fixture(
    scope="module",
    params=[(n, c, r) for n in ("resnet8", "vgg8") for c in ("l2", "random") for r in (2, 4)],
    ids=lambda param: "-".join(map(str, param)),
)
def case(request: pytest.FixtureRequest) -> tuple[Pruned, float]:
    name, criterion, ratio = request.param
    return pruned(architecture(name), ratio, criterion), ratio


def test_the_ratio_is_reached(case: tuple[Pruned, float]) -> None:
    done, ratio = case
    macs = total_macs(done.network, done.after)
    target = total_macs(done.dense, done.before) / ratio
    assert abs(macs - target) <= 0.05 * target
    assert done.measured == {
        "macs_before": total_macs(done.dense, done.before),
        "macs_after": macs,
        "ratio_reached": pytest.approx(total_macs(done.dense, done.before) / macs),
    }


def test_every_layer_keeps_its_minimum(case: tuple[Pruned, float]) -> None:
    done, _ = case
    before = dict(done.dense.named_modules())
    fewer = 0
    for name, layer in done.network.named_modules():
        if isinstance(layer, nn.Conv2d):
            dense = before[name]
            assert isinstance(dense, nn.Conv2d)
            least = max(4, math.ceil(0.25 * dense.out_channels))
            assert least <= layer.out_channels <= dense.out_channels, name
            assert layer.weight.shape[0] == layer.out_channels, name
            fewer += layer.out_channels < dense.out_channels
    assert fewer > 0


def test_classes_and_input_stay_whole(case: tuple[Pruned, float]) -> None:
    done, _ = case
    assert done.network.classifier.out_features == 10
    first = next(m for m in done.network.modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == 1
    assert done.network.eval()(images(done.after)).logits.shape == (4, 10)


def test_the_file_rebuilds_the_same_network(case: tuple[Pruned, float], tmp_path: Path) -> None:
    done, _ = case
    done.network.train()(images(done.after))  # statistics of its own
    save_network(done.network, done.after, tmp_path / "model")
    back, shape = load_network(tmp_path / "model")
    x = images(shape)
    assert torch.equal(back.eval()(x).logits, done.network.eval()(x).logits)
    assert total_macs(back, shape) == done.measured["macs_after"]
    save_network(done.dense, done.before, tmp_path / "dense")
    assert (tmp_path / "model").stat().st_size < (tmp_path / "dense").stat().st_size


def test_the_history_is_plain_json(case: tuple[Pruned, float]) -> None:
    done, _ = case
    history = [list(entry) for entry in done.after.pruned]
    assert json.loads(json.dumps(history)) == history
    layers = dict(done.dense.named_modules())
    for name, output, numbers in history:
        assert name in layers
        assert isinstance(output, bool)
        assert all(type(number) is int for number in numbers)


def test_pruned_weights_are_those_of_the_dense_network() -> None:
    done = pruned(small(), 2, "l2", Limits(2, 0.25))
    stem = done.network.get_submodule("stem.0").get_parameter("weight").flatten(1)
    dense = done.dense.get_submodule("stem.0").get_parameter("weight").flatten(1)
    for row in stem:
        assert (dense == row).all(1).any()


def test_l2_removes_weak_channels_first() -> None:
    shape = small()
    network = build(shape, seed=3)
    weak = [1, 4, 6]
    with torch.no_grad():
        for name in ("first.0", "first.1"):
            network.get_submodule(f"stage3.0.{name}").get_parameter("weight")[weak] *= 1e-4
        network.get_submodule("stage3.0.second.0").get_parameter("weight")[:, weak] *= 1e-4
    done = pruned(shape, 1.1, "l2", Limits(2, 0.25), network=network, tolerance=0.2)
    kept = done.network.get_submodule("stage3.0.first.0").get_parameter("weight")
    strength = kept.flatten(1).norm(dim=1)
    assert strength.min() > 1e-2
    assert len(kept) <= 32 - len(weak)


def test_random_pruning_follows_its_seed() -> None:
    first, second, other = (pruned(small(), tolerance=0.2, seed=seed) for seed in (1, 1, 2))
    assert first.after.pruned == second.after.pruned
    assert first.after.pruned != other.after.pruned


@pytest.mark.parametrize(
    ("name", "width", "ratio", "seed"),
    [("resnet8", 16, 4, 0), ("resnet8", 8, 2, 1), ("vgg8", 16, 8, 0)],
)
def test_the_last_channel_does_not_overshoot(
    name: str, width: int, ratio: float, seed: int
) -> None:
    """Each of these failed when a channel went without a look at where it led."""
    done = pruned(Architecture(name, {"width": width}, 100, 3, 32), ratio, seed=seed)
    assert done.measured["ratio_reached"] == pytest.approx(ratio, rel=0.06)


@pytest.mark.parametrize("criterion", sorted(criteria()))
@pytest.mark.parametrize("one_shot", [False, True])
def test_every_criterion_reaches_its_ratio_and_is_rebuilt(
    criterion: str, one_shot: bool, tmp_path: Path
) -> None:
    """Batch norms are all alike in a new network: Torch-Pruning offers nothing to ``bn_scale``."""
    done = pruned(small(), 2, criterion, Limits(2, 0.25), one_shot=one_shot)
    assert done.measured["ratio_reached"] == pytest.approx(2, rel=0.06)
    save_network(done.network, done.after, tmp_path / "model")
    back, shape = load_network(tmp_path / "model")
    x = images(shape)
    assert torch.equal(back.eval()(x).logits, done.network.eval()(x).logits)
    assert all(parameter.grad is None for parameter in done.network.parameters())


def removed_from(done: Pruned, layer: str) -> set[int]:
    """Channels of a layer's dense form that are gone."""
    left = [*range(done.dense.get_submodule(layer).get_parameter("weight").shape[0])]
    gone: set[int] = set()
    for name, _, numbers in done.after.pruned:
        if name == layer:
            gone |= {left[number] for number in numbers}
            left = [channel for place, channel in enumerate(left) if place not in numbers]
    return gone


@pytest.mark.parametrize("criterion", ["l1", "l2", "taylor", "lamp"])
def test_one_shot_keeps_the_order_of_the_dense_network(criterion: str) -> None:
    shape = small()
    done = pruned(shape, 3, criterion, Limits(2, 0.25), one_shot=True)
    if criterion == "taylor":
        loss_gradients(done.dense, task_data(), 0)
    graph = tp.DependencyGraph().build_dependency(
        done.dense.requires_grad_(True), shape.example(), output_transform=outputs
    )
    lost = 0
    for group in graph.get_all_groups(done.dense.classifiers()):
        root = group[0].dep.target.module
        name = next(n for n, m in done.dense.named_modules() if m is root)
        scores = Scores(criterion)(group)
        gone = removed_from(done, name)
        lost += len(gone)
        assert gone == {*scores.argsort(stable=True)[: len(gone)].tolist()}, name
    assert lost > 4


@pytest.mark.parametrize(("multiple", "width"), [(4, 12), (8, 12), (16, 24)])
def test_layers_keep_multiples(multiple: int, width: int) -> None:
    limits = Limits(4, 0.25, round_to=multiple)
    done = pruned(Architecture("vgg8", {"width": width}, 10, 1, 16), 2, "l2", limits, 0.1)
    before = dict(done.dense.named_modules())
    fewer = 0
    for name, layer in done.network.named_modules():
        if isinstance(layer, nn.Conv2d):
            dense = before[name]
            assert isinstance(dense, nn.Conv2d)
            same = layer.out_channels == dense.out_channels
            assert same or layer.out_channels % multiple == 0, name
            fewer += not same
    assert fewer > 1


def test_layers_are_left_alone_by_name() -> None:
    limits = Limits(2, 0.25, keep=("stem*", "stage1.0.second.*", "stage3.0.first.0"))
    done = pruned(small(), 1.5, "random", limits, 0.1)
    before = dict(done.dense.named_modules())
    whole = {
        name
        for name, layer in done.network.named_modules()
        if isinstance(layer, nn.Conv2d)
        and layer.weight.shape[0] == before[name].get_parameter("weight").shape[0]
    }
    assert whole == {"stem.0", "stage1.0.second.0", "stage3.0.first.0"}
    with pytest.raises(UserError, match=r"keep: 'stem1\*' fits no layer; names begin with stem, "):
        pruned(small(), 1.5, limits=Limits(2, 0.25, keep=("stem1*",)))


def test_an_impossible_ratio_names_the_value_reached() -> None:
    said = r"50x fewer MACs cannot be reached, as .*recovery.min_share.* by \d+\.\d\d at most; let"
    with pytest.raises(UserError, match=said):
        pruned(small(), 50)


def test_a_wide_resnet_is_pruned_and_rebuilt(tmp_path: Path) -> None:
    shape = Architecture("wrn16-1", {"width": 4}, 4, 1, 16)
    done = pruned(shape, 1.5, limits=Limits(1, 0.2), tolerance=0.2)
    save_network(done.network, done.after, tmp_path / "model")
    back, shape = load_network(tmp_path / "model")
    x = images(shape)
    assert torch.equal(back.eval()(x).logits, done.network.eval()(x).logits)


PRUNABLE = [name for name in networks() if not network_fact(name, "UNPRUNABLE")]
FAMILIES = sorted({networks()[name]: name for name in reversed(PRUNABLE)}.values())


@pytest.mark.parametrize("name", [*FAMILIES, "resnet50"])
@pytest.mark.parametrize("exits", [None, "sepatt", "scala", "deepcopy"])
def test_every_family_loses_channels_and_is_rebuilt(
    name: str, exits: str | None, tmp_path: Path
) -> None:
    dense = Architecture(name, {"width": 4}, 4, 1, 16, exits)
    prefix = "backbone." if exits else ""
    first = next(
        layer
        for layer, module in build(dense, 0).named_modules()
        if layer.startswith(f"{prefix}stage2.") and isinstance(module, nn.Conv2d)
    )
    history = [(f"{prefix}classifier", False, [3, 4]), (first, True, [0, 2])]
    shape = replace(dense, pruned=history)
    network = build(shape, 0)
    network.train()(images(shape)).answer.square().sum().backward()
    assert total_macs(network, shape) < total_macs(build(dense, 0), dense)
    assert (
        network.classifiers()[-1].in_features == build(dense, 0).classifiers()[-1].in_features - 2
    )
    save_network(network, shape, tmp_path / "model")
    x = images(shape)
    assert torch.equal(
        load_network(tmp_path / "model")[0].eval()(x).answer, network.eval()(x).answer
    )


@pytest.mark.parametrize("name", ["shufflenetv1-crd", "shufflenetv2-crd"])
def test_a_network_that_shuffles_channels_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' cannot be pruned, as its channel shuffles"):
        pruned(Architecture(name, {"width": 1}, 4, 1, 16))


@pytest.mark.parametrize("head", sorted(heads()))
def test_a_multi_exit_network_can_be_pruned(head: str, tmp_path: Path) -> None:
    done = pruned(small(head), 2, limits=Limits(2, 0.25), tolerance=0.2)
    assert done.measured["ratio_reached"] == pytest.approx(2, rel=0.2)
    save_network(done.network, done.after, tmp_path / "model")
    back, shape = load_network(tmp_path / "model")
    x = images(shape)
    exits = back.eval()(x).exits
    assert len(exits) == 3
    expected = done.network.eval()(x).exits
    assert all(torch.equal(a, b) for a, b in zip(exits, expected, strict=True))


def test_a_pruned_network_is_cut_at_an_exit(tmp_path: Path) -> None:
    done = pruned(small("sepatt"), 1.5, limits=Limits(2, 0.25), tolerance=0.1)
    x = images(done.after)
    expected = done.network.eval()(x).exits[1]
    save_network(cut_at(done.network, 2), replace(done.after, cut=2), tmp_path / "model")
    back, _ = load_network(tmp_path / "model")
    assert torch.equal(back.eval()(x).answer, expected)


def test_a_pruned_network_can_be_pruned_again(tmp_path: Path) -> None:
    limits = Limits(2, 0.25)
    once = pruned(small(), 1.5, limits=limits, tolerance=0.1)
    twice = pruned(once.after, 1.5, limits=limits, tolerance=0.1, network=once.network, seed=1)
    assert twice.after.pruned[: len(once.after.pruned)] == once.after.pruned
    assert len(twice.after.pruned) > len(once.after.pruned)
    dense = total_macs(build(small(), 0), small())
    assert dense / twice.measured["macs_after"] == pytest.approx(1.5**2, rel=0.25)
    save_network(twice.network, twice.after, tmp_path / "model")
    back, shape = load_network(tmp_path / "model")
    x = images(shape)
    assert torch.equal(back.eval()(x).logits, twice.network.eval()(x).logits)


def test_a_pruned_network_trains() -> None:
    done = pruned(small(), 2, tolerance=0.2)
    out = done.network.train()(images(done.after))
    out.logits.square().sum().backward()
    absorbed = {"classifier.bias"}
    for name, p in done.network.named_parameters():
        assert p.grad is not None or name in absorbed, name
        assert p.grad is None or p.grad.shape == p.shape


# -- the script ----------------------------------------------------------------------------------


def spec(**changes: object) -> dict[str, object]:
    return {
        "network": {"network": "resnet8", "width": 4},
        "seed": 0,
        "data": {"task": "all", "images": "few"},
        "criterion": "l2",
        "ratio": 1.5,
        "min_channels": 1,
        "min_share": 0.2,
        "tolerance": 0.1,
        "threads": 1,
        **changes,
    }


def script(
    monkeypatch: pytest.MonkeyPatch, data: Path, init: Path, out: Path, **changes: object
) -> int | str | None:
    path = str(ROOT / "scripts/prune.py")
    arguments = ["--spec", json.dumps(spec(**changes)), "--data", str(data)]
    arguments += ["--init", str(init), "--out", str(out), "--code", "abc"]
    monkeypatch.setattr(sys, "argv", [path, *arguments])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(path, run_name="__main__")
    return done.value.code


def test_the_script_leaves_a_run_folder_that_recovery_starts_from(
    tmp_path: Path,
    prepared: Path,
    parents: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "pruned"
    assert not script(monkeypatch, prepared, parents["student"], out)
    record = read_json(out / "record.json")
    network, shape = load_network(out / "model.safetensors")
    assert record["code"] == "abc"
    assert record["parents"]["init"]["sha256"] == sha256_file(parents["student"])
    assert record["model_sha256"] == sha256_file(out / "model.safetensors")
    assert record["costs"][0]["macs"] == record["pruning"]["macs_after"]
    assert record["costs"][0]["macs"] == total_macs(network.to(CPU), shape)
    assert record["pruning"]["ratio_reached"] == pytest.approx(1.5, rel=0.12)
    assert read_json(out / "pruning.json") == [list(entry) for entry in shape.pruned]
    with np.load(out / "logits.npz") as logits:
        assert logits["test"].shape == (1, 12, 4)
    again = tmp_path / "again"
    assert not script(monkeypatch, prepared, parents["student"], again)
    for name in ("model.safetensors", "record.json", "pruning.json", "logits.npz"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    for init in ("parent", "shape"):
        recovered = train(
            training_spec(init=init), prepared, tmp_path / init, init=out / "model.safetensors"
        )
        assert load_network(recovered)[1] == shape


def test_arms_from_scratch_share_the_shape_and_no_weight(
    tmp_path: Path,
    prepared: Path,
    parents: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "pruned"
    assert not script(monkeypatch, prepared, parents["student"], out)
    weights = out / "model.safetensors"
    left = dict(load_network(weights)[0].named_parameters())
    still = {"lr": 1e-30, "weight_decay": 0.0}  # as each is before its first step
    for init, shared in (("parent", {*left}), ("shape", set[str]())):
        spec = training_spec(still, init=init)
        started = load_network(train(spec, prepared, tmp_path / init, init=weights))[0]
        parameters = dict(started.named_parameters())
        assert {n: p.shape for n, p in parameters.items()} == {n: p.shape for n, p in left.items()}
        drawn = {name for name, p in left.items() if p.dim() > 1}
        same = {name for name, p in parameters.items() if torch.equal(p, left[name])}
        assert same & drawn == shared & drawn


def test_the_script_says_what_was_reached(
    tmp_path: Path,
    prepared: Path,
    parents: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = script(monkeypatch, prepared, parents["student"], tmp_path / "out", ratio=60)
    assert str(code).startswith("error: pruning: ")
    assert "60x fewer MACs cannot be reached" in str(code)
    assert not (tmp_path / "out").exists()
