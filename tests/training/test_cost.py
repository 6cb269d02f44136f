"""Multiply-adds of training, against those of the layers."""

import pytest
import torch
from helpers import ROOT, architecture, copied, make, network, task_data
from torch import nn

from stagewise.catalogue import method_needs, method_recipe, method_weights, methods
from stagewise.data.batches import TrainingBatches
from stagewise.methods.base import DistillationMethod
from stagewise.models.cost import layer_macs
from stagewise.models.features import Network
from stagewise.models.store import Architecture, build
from stagewise.recipes.base import Phase, make_phases
from stagewise.study.config import load_config
from stagewise.study.spec import Training
from stagewise.training.cost import MultiplyAdds, training_effort

SIZE, BATCH, IMAGES = 16, 8, 24


def parts(name: str) -> tuple[Network, DistillationMethod, Network | None, TrainingBatches]:
    needs, data = method_needs(name), task_data(IMAGES, size=SIZE)
    student = network("resnet8", exits="sepatt" if needs.exits else None, image_size=SIZE)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = network(seed=1, exits=exits, image_size=SIZE) if needs.teacher else None
    if teacher:
        teacher.eval().requires_grad_(False)
    options = {"negatives": 4} if name == "crd" else {}
    method = make(name, student, teacher, data, **options)
    batches = TrainingBatches(data, seed=0, settings=Training(batch_size=BATCH))
    return student, method, teacher, batches


def effort(name: str, phases: list[Phase]) -> dict[str, int]:
    student, method, teacher, batches = parts(name)
    return training_effort(student, method, method_weights(name), teacher, batches, phases)


def layers() -> dict[str, int]:
    shape = architecture("resnet8", image_size=SIZE)
    return layer_macs(build(shape, 0), shape)


def test_a_step_is_forward_and_twice_backward_but_for_the_images() -> None:
    macs = layers()
    first = macs[next(iter(macs))]
    found = effort("ce", make_phases({"recipe": "one_stage"}, epochs=2, lr=0.1))
    shown = 2 * IMAGES
    assert found["training_macs"] == shown * (3 * sum(macs.values()) - first)
    assert (found["teacher_macs"], found["method_parameters"]) == (0, 0)


def test_what_stands_still_costs_its_forward_pass_alone() -> None:
    macs = layers()
    head = [count for name, count in macs.items() if name.startswith("classifier")]
    found = effort("ce", [Phase("head", 1, 0.1, ("classifier",))])
    assert found["training_macs"] == IMAGES * (sum(macs.values()) + sum(head))


def test_the_teacher_answers_every_view() -> None:
    student, method, teacher, batches = parts("kd")
    assert teacher
    with MultiplyAdds() as counted, torch.no_grad():
        teacher(batches.batch(*(numbers[:1] for numbers in batches.draw(0))).images)
    phases = make_phases({"recipe": "one_stage"}, epochs=3, lr=0.1)
    found = training_effort(student, method, method_weights("kd"), teacher, batches, phases)
    assert found["teacher_macs"] == 3 * IMAGES * counted.count > 0
    views = effort("hsakd", phases)["teacher_macs"]
    assert views == method_needs("hsakd").views * found["teacher_macs"]


@pytest.mark.parametrize(
    ("study", "name", "pixels"),
    [
        ("digits-two-stage", "resnet", 16),
        ("cifar100-cpu-two-stage", "vgg", 32),
        ("two-stage", "vgg13-vgg8", 32),
        ("two-stage-scratch", "resnet34-resnet18", 32),
    ],
)
def test_what_stage_one_saves_is_given_back(study: str, name: str, pixels: int) -> None:
    """The refunded arm takes as many multiply-adds as one stage, its teacher's answers included, as
    near as whole epochs come; the arm of equal epochs takes less."""
    config = load_config(ROOT / f"config/{study}.yaml")
    pair = config.pairs[name]
    student, teacher = (
        build(Architecture(each.network, each.options, 15, 1, pixels), 0)
        for each in (pair.student, pair.teacher)
    )
    data = task_data(IMAGES, size=pixels, classes=15)
    batches = TrainingBatches(data, seed=0, settings=Training(batch_size=BATCH))
    method = make("kd", student, teacher, data)

    def macs(label: str, recipe: str) -> int:
        epochs = config.trained(config.two_stage.training, config.method(label).training).epochs
        phases = make_phases({"recipe": recipe}, epochs=epochs, lr=0.1)
        weights = method_weights("kd")
        found = training_effort(student, method, weights, teacher, batches, phases)
        return found["training_macs"] + found["teacher_macs"]

    one = macs("kd", "one_stage")
    epoch = one / config.trained(config.two_stage.training).epochs
    assert macs("two_stage_refunded", "two_stage") == pytest.approx(one, abs=epoch / 2)
    assert macs("kd", "two_stage") < one - epoch / 2


def test_products_and_transposed_convolutions_count() -> None:
    up = nn.ConvTranspose2d(4, 6, 3, stride=2)
    x = torch.randn(2, 4, 5, 5, requires_grad=True)
    once = 2 * 4 * 25 * 6 * 9
    with MultiplyAdds() as counted:
        up(x).sum().backward()
    assert counted.count == 3 * once
    with MultiplyAdds() as counted:
        torch.randn(3, 5, 7) @ torch.randn(3, 7, 2)
        nn.functional.linear(torch.randn(4, 7), torch.randn(9, 7), torch.randn(9))
    assert counted.count == 3 * 5 * 7 * 2 + 4 * 7 * 9


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_is_counted_and_left_as_it_was(name: str) -> None:
    student, method, teacher, batches = parts(name)
    before = [copied(module) for module in (student, method)]
    moving = [p.requires_grad for p in student.parameters()]
    phases = make_phases(method_recipe(name), epochs=4, lr=0.1)
    found = training_effort(student, method, method_weights(name), teacher, batches, phases)
    assert found["training_macs"] > 0
    assert (found["teacher_macs"] > 0) == method_needs(name).teacher
    assert found["method_parameters"] == sum(p.numel() for p in method.parameters())
    for module, old in zip((student, method), before, strict=True):
        now = module.state_dict()
        assert all(torch.equal(old[key].nan_to_num(), now[key].nan_to_num()) for key in old)
    assert [p.requires_grad for p in student.parameters()] == moving
    again = training_effort(student, method, method_weights(name), teacher, batches, phases)
    assert again == found
