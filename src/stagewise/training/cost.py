"""What training takes, apart from any machine: multiply-adds, counted in one step of each phase."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from stagewise.data.batches import TrainingBatches
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Network
from stagewise.recipes.base import Phase
from stagewise.training.trainer import running


def _convolution(result: Tensor, images: Tensor, weight: Tensor, *rest: Any) -> int:
    transposed = rest[4]
    return (images if transposed else result).numel() * prod(weight.shape[1:])


def _convolution_backward(
    result: Any, gradient: Tensor, images: Tensor, weight: Tensor, *rest: Any
) -> int:
    transposed, wanted = rest[4], rest[7]
    once = (images if transposed else gradient).numel() * prod(weight.shape[1:])
    return once * (bool(wanted[0]) + bool(wanted[1]))  # gradients of the images, of the weight


def _product(result: Tensor, left: Tensor, right: Tensor) -> int:
    return result.numel() * left.shape[-1]


def _added(result: Tensor, bias: Tensor, left: Tensor, right: Tensor) -> int:
    return _product(result, left, right)


COUNTED: dict[str, Callable[..., int]] = {
    "aten::convolution": _convolution,
    "aten::convolution_backward": _convolution_backward,
    "aten::mm": _product,
    "aten::bmm": _product,
    "aten::addmm": _added,
    "aten::baddbmm": _added,
}
"""Operation → multiply-adds of its result and arguments. All that networks and methods do with
weights or between images ends in these; sums, activations and batch norm are not counted."""


class MultiplyAdds(TorchDispatchMode):
    """Counts those of everything that is computed inside it, backward passes too."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler at the first operation: 2 seconds a run

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        count = COUNTED.get(function._schema.name)
        if count:
            self.count += count(result, *args)
        return result


def training_effort(
    network: Network,
    method: DistillationMethod,
    weights: Mapping[str, float],
    teacher: Network | None,
    batches: TrainingBatches,
    phases: Sequence[Phase],
) -> dict[str, int]:
    """``training_macs`` of all steps of student and method, forward and backward;
    ``teacher_macs`` of the teacher's answers to all their images, whether or not a table keeps
    them; ``method_parameters`` that are trained beside the network and then thrown away.

    Nothing that is given changes: the steps are done on copies.
    """
    network, method = deepcopy(network), deepcopy(method)
    parts: dict[str, nn.Module | nn.Parameter] = {**network.parts(), **method.parts()}
    index, view = (numbers[: batches.batch_size] for numbers in batches.draw(0))
    done = torch.zeros((), dtype=torch.int64, device=index.device)
    batch = replace(batches.batch(index, view), step=done, progress=done / len(batches))
    own = answers = 0
    for phase in phases:
        moving, used = phase.factors(parts), weights if phase.weights is None else phase.weights
        for name, part in parts.items():
            part.requires_grad_(name in moving)
        steps = phase.epochs * len(batches)
        with MultiplyAdds() as counted:
            seen = method.views(batch)
            features = None
            if teacher:
                with torch.no_grad():
                    features = teacher(seen.images).float()
        answers += steps * counted.count
        for update in running(phase, network, parts):
            network.run_to(*update)
            with MultiplyAdds() as counted, torch.set_grad_enabled(phase.updates):
                terms = method(network(seen.images).float(), features, seen)
                if phase.updates:
                    counts = [used[n] * t for n, t in terms.items() if used.get(n)]
                    torch.stack(counts).sum().backward()
            own += steps * counted.count
    parameters = sum(parameter.numel() for parameter in method.parameters())
    return {"training_macs": own, "teacher_macs": answers, "method_parameters": parameters}
