"""Grad-CAM against closed forms, what it must not depend on, and what it must leave alone."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT, SIZE, architecture, changed, copied, loaded, network, task_data
from hostile import places
from scipy.stats import spearmanr
from torch import Tensor, nn

from stagewise import catalogue
from stagewise.analysis.records.gradcam import IMAGES, picture, read_pictures
from stagewise.files import sha256_file
from stagewise.measure import maps
from stagewise.measure.gradcam import class_maps, exit_maps
from stagewise.measure.likeness import spearman, top_overlap
from stagewise.measure.maps import compare, first_of_classes, resized
from stagewise.models.features import Features, Network
from stagewise.models.store import build, save_network
from stagewise.study.config import resolve_config
from stagewise.study.gradcam import compared
from stagewise.study.plan import make_plan

LABELS = torch.tensor([0, 3, 1])


class OneByOne(Network):
    """A 1x1 convolution, the mean over space, a linear layer, all by hand; no ReLU."""

    stages = ("stage1",)

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Conv2d(1, 2, 1, bias=False)
        self.classifier = nn.Linear(2, 4)
        with torch.no_grad():
            self.stage1.weight.copy_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
            self.classifier.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [3, 2]]))

    def forward(self, images: Tensor) -> Features:
        """Features of images."""
        tap = self.stage1(images)
        pooled = tap.mean((2, 3))
        return Features(self.classifier(pooled), {"stage1": tap}, pooled)


def images(count: int = 3, size: int = SIZE) -> Tensor:
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(3))


def cam(tap: Tensor, weights: Tensor) -> Tensor:
    """Class activation maps (Zhou et al. 2016): what Grad-CAM is where a linear layer follows the
    mean over space."""
    found = torch.einsum("bchw,bc->bhw", tap, weights).relu()
    return found / found.amax((1, 2), keepdim=True).clamp_min(1e-30)


def test_the_map_of_a_1x1_convolution_by_hand() -> None:
    x = images()
    [(place, found)] = exit_maps(OneByOne(), x, LABELS).items()
    # a_1 = x, a_2 = -2x: scores of classes 0, 3, 1 are x, 3x - 4x, -2x.
    expected = (x[:, 0] * torch.tensor([1.0, -1, -2]).view(3, 1, 1)).relu()
    assert place == 1
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True))


def test_a_class_that_nothing_speaks_for_has_an_empty_map() -> None:
    found = exit_maps(OneByOne(), images().abs(), torch.tensor([0, 1, 2]))[1]
    assert (found.amax((1, 2)) > 0).tolist() == [True, False, False]
    assert found.isfinite().all()


def test_equations_1_and_2_channel_by_channel() -> None:
    rng = np.random.default_rng(0)
    activations, gradients = rng.normal(size=(2, 2, 5, 4, 3))
    found = class_maps(torch.from_numpy(activations), torch.from_numpy(gradients)).numpy()
    for image in range(2):
        expected = np.zeros((4, 3))
        for channel in range(5):
            alpha = gradients[image, channel].sum() / 12
            expected += alpha * activations[image, channel]
        expected = np.maximum(expected, 0)
        np.testing.assert_allclose(found[image], expected / expected.max(), atol=1e-12)


@pytest.mark.parametrize("exits", [None, "linear"])
def test_behind_a_mean_and_a_linear_layer_it_is_cam(exits: str | None) -> None:
    net, x = network("resnet8", exits=exits), images()
    layers = net.classifiers()
    found = exit_maps(net, x, LABELS)
    features = net.eval()(x)
    taps = [features.taps[stage] for stage in net.stages][-len(layers) :]
    assert [*found] == ([1, 2, 3] if exits else [3])
    for seen, tap, layer in zip(found.values(), taps, layers, strict=True):
        torch.testing.assert_close(seen, cam(tap, layer.weight[LABELS]).detach())


FAMILIES = {path: name for name, path in reversed(catalogue.networks().items())}.values()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_maps_as_large_as_its_taps(name: str) -> None:
    size = max(16, catalogue.network_fact(name, "SMALLEST") or 0)
    for exits in (None, "linear"):
        net = network(name, image_size=size, exits=exits)
        found = exit_maps(net, images(3, size), LABELS)
        taps = net.eval()(images(3, size)).taps
        assert [*found] == ([*range(1, len(net.stages) + 1)] if exits else [len(net.stages)])
        for place, seen in found.items():
            assert seen.shape[1:] == taps[net.stages[place - 1]].shape[2:]
            assert seen.min() >= 0
            assert {*seen.amax((1, 2)).tolist()} <= {0.0, 1.0}


def test_images_of_a_batch_do_not_meet() -> None:
    net, x = network("resnet8", exits="sepatt"), images()
    whole = exit_maps(net, x, LABELS)
    for number in range(3):
        alone = exit_maps(net, x[number : number + 1], LABELS[number : number + 1])
        for place, seen in alone.items():
            torch.testing.assert_close(seen[0], whole[place][number], atol=1e-5, rtol=1e-4)


def test_it_asks_for_the_score_of_the_label_before_softmax() -> None:
    net, x = network("resnet8"), images()
    before = exit_maps(net, x, LABELS)[3]
    with torch.no_grad():  # moves every probability, and no score of the labels
        net.classifier.weight[2] += 5
        net.classifier.bias += torch.arange(4.0)
    assert torch.equal(exit_maps(net, x, LABELS)[3], before)
    with torch.no_grad():
        net.classifier.weight *= 4
    torch.testing.assert_close(exit_maps(net, x, LABELS)[3], before)
    assert not torch.equal(exit_maps(net, x, LABELS.flip(0))[3], before)


def test_the_map_moves_with_the_image() -> None:
    x = images()
    there = exit_maps(OneByOne(), x.flip(3).roll(2, 2), LABELS)[1]
    assert torch.equal(there, exit_maps(OneByOne(), x, LABELS)[1].flip(2).roll(2, 1))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_is_left_as_it_was(frozen: bool) -> None:
    net, x = network("resnet8", exits="sepatt"), images()
    evaluated = exit_maps(net.eval(), x, LABELS)
    net.train().requires_grad_(not frozen)
    part = net.get_submodule("backbone.stage1")
    part.eval()
    modes, before = [module.training for module in net.modules()], copied(net)
    with torch.no_grad():
        found = exit_maps(net, x, LABELS)
    assert all(torch.equal(found[place], evaluated[place]) for place in found)
    assert not changed(before, net)
    assert [module.training for module in net.modules()] == modes
    assert all(p.grad is None and p.requires_grad is not frozen for p in net.parameters())
    assert x.grad is None
    assert not x.requires_grad
    assert not any(seen.requires_grad for seen in found.values())


# -- likeness ------------------------------------------------------------------------------------


def test_spearman_is_scipys_image_by_image_ties_and_all() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 6, (4, 64)).astype(float) for _ in range(2))
    expected = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-12)


def test_likeness_by_hand() -> None:
    up = np.arange(10.0)[None]
    assert spearman(up, up**3) == pytest.approx(1)
    assert spearman(up, -up) == pytest.approx(-1)
    # 1 - 6 * (1 + 1) / (10 * 99): two neighbours have changed places.
    assert spearman(up, up[:, [1, 0, *range(2, 10)]]) == pytest.approx(1 - 12 / 990)
    assert top_overlap(up, up**3) == 1
    assert top_overlap(up, -up) == 0
    assert top_overlap(up, up[:, [*range(8), 9, 8]]) == 1
    assert top_overlap(up, up[:, [*range(7), 8, 7, 9]]) == pytest.approx(1 / 3)


def test_the_top_of_a_map_that_is_mostly_nothing_is_the_rest() -> None:
    sparse, other = np.zeros((1, 100)), np.zeros((1, 100))
    sparse[0, :4], other[0, 2:5] = 1, [1, 2, 3]
    assert top_overlap(sparse, other) == pytest.approx(2 / 5)
    plateau = np.ones((1, 100))
    plateau[0, :70] = 0
    assert top_overlap(plateau, plateau) == 1


def test_a_plain_surface_is_like_nothing() -> None:
    plain, other = np.zeros((2, 16)), np.stack([np.arange(16.0), np.zeros(16)])
    for measure in (spearman, top_overlap):
        assert np.isnan(measure(plain, other)).all()
        assert np.isnan(measure(other, plain)).all()


def test_two_tops_by_chance_overlap_as_the_table_says() -> None:
    first, second = np.random.default_rng(0).random((2, 2000, 1000))
    assert top_overlap(first, second).mean() == pytest.approx(0.2**2 / (0.4 - 0.2**2), abs=0.002)
    assert spearman(first, second).mean() == pytest.approx(0, abs=0.01)


# -- runs ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, parents: dict[str, Path]) -> Path:
    """Run folders with weights alone."""
    for name in ("teacher", "teacher.exits", "student"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(parents[name].read_bytes())
    return tmp_path


def rows_of(folder: Path, prepared: Path, students: dict[str, str], **options: Any) -> Any:
    given = {"count": 1000, "kept": (), **options}
    return compare(students, folder, loaded(prepared), **given)


def test_a_network_sees_as_it_sees_itself(folder: Path, prepared: Path) -> None:
    rows, _ = rows_of(folder, prepared, {"teacher.exits": "teacher.exits"})
    assert [(row["exit"], row["teacher_exit"], row["side"]) for row in rows] == [
        ("1", "1", 8),
        ("2", "2", 4),
        ("3", "3", 2),
    ]
    assert rows[0]["spearman"] == rows[0]["overlap"] == 1
    assert rows[0]["images"] > 0


def test_maps_of_few_pixels_are_left_out(folder: Path, prepared: Path) -> None:
    rows, pictures = rows_of(
        folder, prepared, {"teacher.exits": "teacher.exits"}, kept=("teacher.exits",)
    )
    for row in rows[1:]:
        assert row["side"] < 8
        assert (row["images"], row["spearman"], row["overlap"]) == (0, "", "")
    assert pictures.keys() == {IMAGES, picture("teacher.exits", "1")}


def test_exits_are_compared_with_those_of_their_place_the_last_with_the_last(
    folder: Path, prepared: Path
) -> None:
    students = {"student": "teacher.exits", "teacher.exits": "teacher"}
    rows, _ = rows_of(folder, prepared, students)
    paired = [(row["path"], row["exit"], row["teacher_exit"]) for row in rows]
    assert paired == [
        ("student", "final", "3"),
        *(("teacher.exits", exit, "final") for exit in "123"),
    ]


def test_numbers_are_means_over_images_at_their_size(
    folder: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "SMALLEST", 2)
    monkeypatch.setattr(maps, "BATCH", 5)
    data = loaded(prepared)
    [row], _ = rows_of(folder, prepared, {"student": "teacher"})
    x, labels = data.normalise(data.test.images), data.test.labels
    seen = []
    for name in ("student", "teacher"):
        net = maps.load_network(folder / name / "model.safetensors")[0]
        at_size = resized(exit_maps(net, x, labels)[3], SIZE)
        assert at_size.shape == (len(labels), SIZE, SIZE)
        seen.append(at_size.flatten(1).numpy())
    rho = [
        spearmanr(a, b).statistic
        for a, b in zip(*seen, strict=True)
        if np.ptp(a) > 0 and np.ptp(b) > 0
    ]
    assert row["images"] == len(rho)
    assert row["spearman"] == pytest.approx(np.mean(rho), abs=1e-4)


def test_the_sample_is_fixed_stratified_and_as_large_as_asked() -> None:
    data = task_data(images=40)
    data.test.labels[:] = data.test.labels.sort().values
    names = first_of_classes(data.test.labels)
    assert data.test.labels[names].tolist() == [0, 1, 2, 3]
    seen: list[Tensor] = []

    def noted(_: Path, __: Any, sample: Any) -> maps.Seen:
        seen.append(sample.labels)
        return maps.Seen({1: torch.zeros(len(sample.labels), 2, 2)}, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maps, "look", noted)
        for count in (8, 8, 100):
            compare({"a": "b"}, Path(), data, count, ())
    assert torch.equal(seen[0], seen[2])
    assert seen[0].bincount().tolist() == [2, 2, 2, 2]
    assert len(seen[-1]) == 40


def test_pictures_are_the_maps_in_bytes(folder: Path, prepared: Path) -> None:
    _, pictures = rows_of(
        folder, prepared, {"teacher.exits": "teacher.exits"}, kept=("teacher.exits",)
    )
    data = loaded(prepared)
    shown = first_of_classes(data.test.labels)
    np.testing.assert_array_equal(pictures[IMAGES], data.test.images[shown].numpy())
    net = maps.load_network(folder / "teacher.exits/model.safetensors")[0]
    x = data.normalise(data.test.images[shown])
    expected = 255 * exit_maps(net, x, data.test.labels[shown])[1].numpy()
    found = pictures[picture("teacher.exits", "1")]
    assert np.abs(found - expected).max() <= 0.51


# -- the script ----------------------------------------------------------------------------------

PAIRS = {"p": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}}
CONFIG = {"study": "toy", "seeds": [0], "data": {"source": "digits"}, "pairs": PAIRS}


@pytest.fixture
def study(tmp_path: Path, parents: dict[str, Path], prepared: Path) -> Path:
    """A study whose weights are all there."""
    plan = make_plan(resolve_config({**CONFIG, "multi_exit": {"pairs": ["p"]}}))
    (tmp_path / "plan.json").write_text(json.dumps(plan.written()))
    students = compared(plan)
    for path in {*students, *students.values()}:
        (tmp_path / path).mkdir(parents=True)
        own = parents["teacher.exits" if "multi_exit" in path or "exits" in path else "student"]
        (tmp_path / path / "model.safetensors").write_bytes(own.read_bytes())
    (tmp_path / "prepared.safetensors").write_bytes(prepared.read_bytes())
    return tmp_path


def told(folder: Path) -> str:
    """What the script says; empty where it does its work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = ["--plan", "plan.json", "--data", "prepared.safetensors", "--device", "cpu"]
        patch.setattr(sys, "argv", ["gradcam", *options, "--out", "gradcam.csv"])
        try:
            runpy.run_path(str(ROOT / "scripts/gradcam.py"), run_name="__main__")
        except SystemExit as end:
            said = str(end.code or "")
            assert not said or said.startswith("error: "), said
            assert len(said.splitlines()) <= 1, said
            return said
    return ""


def test_the_script_reads_weights_and_writes_the_same_bytes(study: Path) -> None:
    before = {file: sha256_file(file) for file in study.rglob("*") if file.is_file()}
    assert told(study) == ""
    made = [(study / f"gradcam.{end}").read_bytes() for end in ("csv", "npz")]
    assert {file: sha256_file(file) for file in before} == before
    assert told(study) == ""
    assert [(study / f"gradcam.{end}").read_bytes() for end in ("csv", "npz")] == made
    assert IMAGES in read_pictures(study / "gradcam.npz")


WEIGHTS = "runs/toy/students/p.baseline/seed-0/model.safetensors"


@pytest.mark.parametrize("file", ["plan.json", "prepared.safetensors", WEIGHTS])
@pytest.mark.parametrize("kind", ["missing", "a folder", "empty", "cut short", "random bytes"])
def test_what_is_no_such_file_is_named(study: Path, file: str, kind: str) -> None:
    places(study / file)[kind](study / file)
    assert f"error: {file}: " in told(study)


def test_a_network_of_other_images_is_named(study: Path) -> None:
    shape = architecture(image_size=12)
    save_network(build(shape, 0), shape, study / WEIGHTS)
    assert told(study) == (
        f"error: {WEIGHTS}: its (channels, pixels, classes) (1, 12, 4) do not fit those of the"
        " data, (1, 8, 4); delete it and run again"
    )
