"""First-order Taylor: what the loss would change by without a channel (Molchanov et al. 2019).

arXiv 1906.10771: the sum of |w · ∂L/∂w| over the weights of a channel, here of all coupled layers
and their batch norms, averaged over the layers and divided by the group's mean. The paper squares
the sum of one layer's products and averages over many batches; here the gradient is that of one
draw of training images.
"""

from typing import Any

import torch
from torch import Tensor
from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

from stagewise.models.coupling import WEIGHTED

GRADIENTS = True


class TaylorImportance:
    """The group L1 norm of w · ∂L/∂w.

    Torch-Pruning's own importance leaves batch norm out (it asks for another layer's handler),
    fails where a weight has no gradient, and confuses channels that are coupled in another order.
    """

    def __init__(self) -> None:
        self.magnitude = GroupMagnitudeImportance(p=1)

    @torch.no_grad()
    def __call__(self, group: Any) -> Tensor | None:
        """Score of each channel of a group."""
        layers = {item.dep.layer for item in group.items if isinstance(item.dep.layer, WEIGHTED)}
        weights = {layer: layer.weight.data for layer in layers}
        try:
            for layer, weight in weights.items():
                slope = layer.weight.grad
                layer.weight.data = torch.zeros_like(weight) if slope is None else weight * slope
            found: Tensor | None = self.magnitude(group)
        finally:
            for layer, weight in weights.items():
                layer.weight.data = weight
        return found


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return TaylorImportance()
