"""SGD with momentum and weight decay, in a few fused calls.

The same update, bit for bit, as ``torch.optim.SGD(foreach=True)`` (a test says so), on a GPU as its
``fused=True`` with a tensor's rate; that class's first use alone costs a second of start-up,
because it imports the compiler.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_


@dataclass(frozen=True)
class _Group:
    """Parameters that share a ``factor`` of the rate, and their velocities."""

    factor: float
    parameters: list[Tensor]
    velocity: list[Tensor]


class SGD:
    """v ← m·v + (g + λ·w);  w ← w − f·lr·v, with a factor f for each group of parameters.

    With ``nesterov``, w ← w − f·lr·(g + λ·w + m·v). With ``clip``, gradients whose joint norm is
    larger are scaled down to it first (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1).
    """

    def __init__(
        self,
        parameters: Mapping[float, Iterable[Tensor]],
        *,
        momentum: float,
        weight_decay: float,
        nesterov: bool = False,
        clip: float = 0.0,
    ) -> None:
        """``parameters`` by the factor of their rate."""
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self.clip = clip
        self.groups = []
        for factor, tensors in parameters.items():
            kept = [tensor for tensor in tensors if tensor.requires_grad]
            self.groups.append(_Group(factor, kept, [torch.zeros_like(p) for p in kept]))

    @property
    def velocity(self) -> list[Tensor]:
        """Of every parameter, in the order of the groups."""
        return [velocity for group in self.groups for velocity in group.velocity]

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """One update; parameters without a gradient stay, and all gradients are dropped.

        A tensor's ``lr`` is read on the device, as a captured graph needs it; on CUDA only.
        """
        if self.clip:
            clip_grad_norm_((p for group in self.groups for p in group.parameters), self.clip)
        for group in self.groups:
            self._update(group, lr)

    def _update(self, group: _Group, lr: float | Tensor) -> None:
        moved = [i for i, p in enumerate(group.parameters) if p.grad is not None]
        if not moved:
            return
        weights = [group.parameters[i] for i in moved]
        velocity = [group.velocity[i] for i in moved]
        gradients = [p.grad for p in weights if p.grad is not None]
        rate = lr * group.factor
        if isinstance(rate, Tensor):
            torch._fused_sgd_(
                weights,
                gradients,
                velocity if self.momentum else [],
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self.nesterov,
                maximize=False,
                is_first_step=False,
            )
        else:
            if self.weight_decay:
                torch._foreach_add_(gradients, weights, alpha=self.weight_decay)
            torch._foreach_mul_(velocity, self.momentum)
            torch._foreach_add_(velocity, gradients)
            if self.nesterov:
                torch._foreach_add_(gradients, velocity, alpha=self.momentum)
            torch._foreach_add_(weights, gradients if self.nesterov else velocity, alpha=-rate)
        for weight in weights:
            weight.grad = None
