"""First-order Taylor: what the loss would change by without a channel (Molchanov et al. 2019).

arXiv 1906.10771: the sum of |w · ∂L/∂w| over all weights of a channel, here over all coupled layers
and batch norm, averaged over the layers and divided by the group's mean. The paper squares the sum
of a single layer's products and averages over many batches; here the gradient is that of one large
draw of training images. Torch-Pruning's own importance leaves batch norm out (it asks for another
layer's handler), fails where a weight has no gradient, and confuses channels that are coupled in
another order.
"""

from typing import Any

import torch
from torch import Tensor
from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

GRADIENTS = True


class TaylorImportance(GroupMagnitudeImportance):  # type: ignore[misc]
    """The group L1 norm of w · ∂L/∂w."""

    @torch.no_grad()
    def __call__(self, group: Any) -> Tensor | None:
        """Score of each channel of a group."""
        layers = {item.dep.layer for item in group.items if isinstance(item.dep.layer, tuple(self.target_types))}
        weights = {layer: layer.weight.data for layer in layers}
        try:
            for layer, weight in weights.items():
                slope = layer.weight.grad
                layer.weight.data = torch.zeros_like(weight) if slope is None else weight * slope
            found: Tensor | None = super().__call__(group)
        finally:
            for layer, weight in weights.items():
                layer.weight.data = weight
        return found


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return TaylorImportance(p=1)
