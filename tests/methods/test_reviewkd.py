"""ReviewKD against torchdistill's loss and its ``AttentionBasedFusion``, ports of the authors' code
for ImageNet.

That code leads every map to the size it comes in; CIFAR's, and ours, to the teacher's.
"""

from dataclasses import replace

import pytest
import torch
from helpers import make, network, shown, task_data, whole_batch
from oracles import draw, leaf, same
from torch import Tensor, nn
from torchdistill.losses.mid_level import HierarchicalContextLoss
from torchdistill.models.wrapper import AttentionBasedFusion

from stagewise.methods.reviewkd import Fusion, context_loss
from stagewise.methods.reviewkd import Method as ReviewKD

SIZE = 16


def torchdistills_loss(student: Tensor, teacher: Tensor) -> Tensor:
    oracle = HierarchicalContextLoss("s", "output", "t", "output")
    loss = oracle({"s": {"output": (student, None)}}, {"t": {"output": teacher}})
    assert isinstance(loss, Tensor)
    return loss


def torchdistills_fusion(ours: Fusion, deepest: bool) -> nn.Module:
    """Its module with our weights; what we have as 1x1 stands in the middle of its 3x3."""
    narrow, lead = ours.narrow[0], ours.lead[0]
    assert isinstance(narrow, nn.Conv2d)
    assert isinstance(lead, nn.Conv2d)
    theirs = AttentionBasedFusion(
        narrow.in_channels, narrow.out_channels, lead.out_channels, not deepest
    )
    assert isinstance(theirs, nn.Module)
    names = {"conv1": "narrow", "conv2": "lead", "attention_conv.0": "attention"}
    for name, parameter in theirs.named_parameters():
        old = next(old for old in names if name.startswith(f"{old}."))
        value = ours.get_parameter(names[old] + name.removeprefix(old)).detach()
        if value.dim() == 4 and value.shape[2] != parameter.shape[2]:
            value = nn.functional.pad(value, (1, 1, 1, 1))
        parameter.data = value.clone()
    return theirs.double().train()


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8])
def test_the_context_loss_is_torchdistills(side: int) -> None:
    student, teacher = leaf(3, 2, side, side, seed=1), draw(3, 2, side, side, seed=2)
    same(context_loss(student, teacher), torchdistills_loss(student, teacher), [student])
    assert context_loss(teacher, teacher).item() == 0


@pytest.mark.parametrize(("side", "deeper"), [(4, 2), (4, 4), (2, 4), (1, 1)])
def test_a_fusion_is_torchdistills(side: int, deeper: int) -> None:
    student, handed = leaf(3, 2, side, side, seed=1), leaf(3, 6, deeper, deeper, seed=2)
    ours = Fusion(student, draw(3, 5, side, side), 6, deepest=False).double().train()
    theirs = torchdistills_fusion(ours, deepest=False)
    found, expected = ours(student, handed), theirs(student, handed, side)
    weights = [draw(*each.shape, seed=seed) for seed, each in enumerate(found)]
    sums = [
        torch.stack([(w * each).sum() for w, each in zip(weights, both, strict=True)]).sum()
        for both in (found, expected)
    ]
    same(*sums, [student, handed])


@pytest.mark.parametrize(("side", "wanted"), [(2, 4), (4, 2)])
def test_a_map_is_led_to_the_teachers_size_by_its_nearest_pixels(side: int, wanted: int) -> None:
    student = draw(3, 2, side, side)
    ours = Fusion(student, draw(3, 5, wanted, wanted), 6, deepest=True).double().train()
    led, handed = ours(student, None)
    assert led.shape == (3, 5, wanted, wanted)
    pixels = torch.arange(wanted) * side // wanted
    assert torch.equal(handed, ours.narrow(student)[:, :, pixels][..., pixels])


def test_reviewkd_is_the_authors() -> None:
    """From the pooled vectors up, each level with what the one below hands on."""
    student, teacher = network(image_size=SIZE), network("resnet14", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("reviewkd", student, teacher, data, warm_up=0)
    assert isinstance(method, ReviewKD)
    for module in (student, teacher, method):
        module.double().train()
    batch = whole_batch(data)
    batch = replace(batch, images=batch.images.double())
    of_student, of_teacher, seen = shown(method, batch, student, teacher)
    assert of_teacher is not None
    taps = {name: tap.detach().requires_grad_() for name, tap in of_student.taps.items()}
    of_student = of_student._replace(taps=taps, pooled=of_student.pooled.detach().requires_grad_())
    levels = [(of_student.pooled[..., None, None], of_teacher.pooled[..., None, None])]
    levels += [
        (of_student.taps[stage], of_teacher.taps[f"{stage}.pre"])
        for stage in ("stage3", "stage2", "stage1")
    ]
    handed, expected = None, torch.zeros((), dtype=torch.float64)
    for number, (own, theirs) in enumerate(levels):
        ours = method.fusions[number]
        assert isinstance(ours, Fusion)
        fusion = torchdistills_fusion(ours, deepest=not number)
        led, handed = fusion(own, handed, own.shape[2])
        expected = expected + torchdistills_loss(led, theirs)
    found = method(of_student, of_teacher, seen)["review"]
    same(found, expected, [of_student.pooled, *(taps[f"stage{n}"] for n in (1, 2, 3))])


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [
        ("resnet8", "vgg8", [("stage1", "stage2.pre"), ("stage3", "stage4.pre")]),
        ("vgg8", "resnet8", [("stage2", "stage1.pre"), ("stage4", "stage3.pre")]),
    ],
)
def test_stages_are_paired_from_the_deepest(
    student: str, teacher: str, pairs: list[tuple[str, str]]
) -> None:
    networks = [network(name, image_size=SIZE) for name in (student, teacher)]
    method = make("reviewkd", *networks, task_data(8, size=SIZE))
    assert isinstance(method, ReviewKD)
    assert [method.pairs[0], method.pairs[-1]] == pairs
    assert len(method.fusions) == 4


def test_it_warms_up() -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("reviewkd", student, teacher, data).eval()
    of_student, of_teacher, batch = shown(method, whole_batch(data), student, teacher)
    cold, warm = (
        method(of_student, of_teacher, replace(batch, progress=torch.tensor(epochs)))
        for epochs in (4.7, 300.0)
    )
    assert cold["review"].item() == pytest.approx(warm["review"].item() / 4, rel=1e-6)
    assert cold["ce"] == warm["ce"]
