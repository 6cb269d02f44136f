"""FT against torchdistill's loss and layers.

Its ``FTLoss`` compares the whole factor as a vector of length 1, as the paper does. The CRD
benchmark, and we, compare the mean squares over channels: given these, ``FTLoss`` is that loss.
"""

import pytest
import torch
from helpers import make, network, task_data
from oracles import draw, leaf, same
from torch import Tensor
from torchdistill.losses.mid_level import FTLoss
from torchdistill.models.wrapper import Paraphraser4FactorTransfer, Translator4FactorTransfer

from stagewise.methods.ft import Method as FT
from stagewise.methods.ft import factor_loss
from stagewise.methods.paraphraser import Method as Paraphraser

SIZE = 16


@pytest.mark.parametrize(("student_side", "teacher_side"), [(4, 4), (4, 2), (2, 4)])
def test_ft_is_the_benchmarks(student_side: int, teacher_side: int) -> None:
    student = leaf(3, 5, student_side, student_side, seed=1)
    teacher = draw(3, 5, teacher_side, teacher_side, seed=2)

    def pooled(factor: Tensor) -> Tensor:
        step = factor.shape[2] // min(student_side, teacher_side)
        corners = [factor[:, :, i::step, j::step] for i in range(step) for j in range(step)]
        return torch.stack(corners).mean(0)

    squares = [(pooled(factor) ** 2).mean(1, keepdim=True) for factor in (student, teacher)]
    expected = FTLoss(paraphraser_path="p", translator_path="t")(
        {"t": {"output": squares[0]}}, {"p": {"output": squares[1]}}
    )
    same(factor_loss(student, teacher), expected, [student])


def test_the_papers_factor_loss_is_another() -> None:
    student, teacher = draw(3, 5, 4, 4, seed=1), draw(3, 5, 4, 4, seed=2)
    papers = FTLoss(paraphraser_path="p", translator_path="t")(
        {"t": {"output": student}}, {"p": {"output": teacher}}
    )
    assert factor_loss(student, teacher).item() != pytest.approx(papers.item(), rel=0.05)


def test_paraphraser_and_translator_are_torchdistills() -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("ft", student, teacher, data)
    part = method.teacher_part
    assert isinstance(method, FT)
    assert isinstance(part, Paraphraser)
    channels = [network.eval()(torch.zeros(2, 1, SIZE, SIZE)) for network in (student, teacher)]
    widths = [list(out.taps.values())[-1].shape[1] for out in channels]
    oracles = [
        (
            part.encoder,
            Paraphraser4FactorTransfer(0.5, widths[1], uses_bn=False).encoder,
            widths[1],
        ),
        (
            part.decoder,
            Paraphraser4FactorTransfer(0.5, widths[1], uses_bn=False).decoder,
            widths[1] // 2,
        ),
        (method.translator, Translator4FactorTransfer(widths[0], widths[1] // 2), widths[0]),
    ]
    for ours, theirs, inputs in oracles:
        kinds = [type(layer) for layer in ours]
        assert kinds == [type(layer) for layer in theirs]
        given = dict(ours.named_parameters())
        for name, parameter in theirs.named_parameters():  # its biases before batch norm are 0 here
            value = given.get(name, torch.zeros_like(parameter))
            assert value.shape == parameter.shape
            parameter.data.copy_(value)
        maps = leaf(3, inputs, 4, 4)
        found = ours.double().train()(maps).square().mean()
        same(found, theirs.double().train()(maps).square().mean(), [maps])


def test_the_scale_of_factors_means_nothing() -> None:
    factor = draw(3, 5, 4, 4)
    assert factor_loss(5 * factor, factor).item() < 1e-15
