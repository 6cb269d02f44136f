"""Sparse learning of groups: coupled channels that are weak are pushed to zero, before any go.

Fang et al. 2023 (arXiv 2301.12900), equation 4, in the form of the authors' code: each step adds
``penalty`` · γ · w to the gradient of all weights w of a channel, in all coupled layers, where
γ = 2^(growth · (max − I) / (max − min)) and I is the norm of the channel over these layers, max and
min taken over its group. Their setting: penalty 0.0005, growth 4, no weight decay.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stagewise.errors import check_range
from stagewise.models.coupling import Coupled, coupled
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.recipes.base import Hook, Phase


def shrinkage(norms: Tensor, growth: float) -> Tensor:
    """γ of each channel of a group, (channels,), from the channels' norms; 1 where all are equal.

    The authors' code divides zero by zero there.
    """
    most, least = norms.max(), norms.min()
    weakness = (most - norms) / (most - least).clamp_min(torch.finfo(norms.dtype).tiny)
    return torch.exp2(growth * weakness)


class _Group:
    """Penalises one group of coupled layers."""

    def __init__(self, group: Coupled, device: torch.device) -> None:
        self.parts = [
            (
                part.layer,
                part.axis,
                torch.tensor(part.numbers, device=device),
                torch.tensor(part.channels, device=device),
            )
            for part in group.parts
        ]
        self.count = group.count

    def norms(self) -> Tensor:
        """Norm of each channel over all layers, (channels,)."""
        squares = self.parts[0][0].get_parameter("weight").new_zeros(self.count)
        for layer, axis, numbers, channels in self.parts:
            weight = layer.get_parameter("weight").movedim(axis, 0)
            own = weight.square().reshape(len(weight), -1).sum(1)
            squares.index_add_(0, channels, own[numbers])
        return squares.sqrt()

    def penalise(self, penalty: float, growth: float) -> None:
        """Add to the gradients of the weights that have one."""
        factors = shrinkage(self.norms(), growth)
        for layer, axis, numbers, channels in self.parts:
            weight = layer.get_parameter("weight")
            if weight.grad is not None:
                size = [1] * weight.ndim
                size[axis] = -1
                own = weight.new_zeros(weight.shape[axis]).index_copy(0, numbers, factors[channels])
                weight.grad.add_(own.view(size) * weight, alpha=penalty)


@dataclass(frozen=True)
class SparsePhase(Phase):
    """A phase whose gradients are penalised, group by group."""

    penalty: float = 5e-4
    growth: float = 4.0

    def before_update(self, network: Network, images: Tensor) -> Hook:
        """The penalty, of the groups that ``images`` show to be coupled."""
        import torch_pruning as tp

        graph = tp.DependencyGraph().build_dependency(network, images, output_transform=outputs)
        classifiers: list[nn.Module] = [*network.classifiers()]
        groups = [_Group(group, images.device) for group in coupled(graph, classifiers)]

        def penalise() -> None:
            for group in groups:
                group.penalise(self.penalty, self.growth)

        return penalise


def phases(epochs: int, lr: float, *, penalty: float = 0.0005, growth: float = 4.0) -> list[Phase]:
    """One phase of all epochs.

    Raises:
        UserError: an option is out of range.
    """
    check_range("penalty", penalty, 0, 1)
    check_range("growth", growth, 0, 16)
    return [SparsePhase("sparse", epochs, lr, penalty=penalty, growth=growth)]
