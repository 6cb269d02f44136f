"""SGD with momentum and weight decay, in a few fused calls.

The same update, bit for bit, as ``torch.optim.SGD(foreach=True)`` (a test says so), on a GPU as its
``fused=True`` with a tensor's rate; that class's first use alone costs a second of start-up,
because it imports the compiler.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class SGD:
    """v ← m·v + (g + λ·w);  w ← w − lr·v."""

    def __init__(
        self, parameters: Iterable[Tensor], *, momentum: float, weight_decay: float
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocity = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """One update; parameters without a gradient stay, and all gradients are dropped.

        A tensor's ``lr`` is read on the device, as a captured graph needs it; on CUDA only.
        """
        moved = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not moved:
            return
        weights = [self.parameters[i] for i in moved]
        velocity = [self.velocity[i] for i in moved]
        gradients = [p.grad for p in weights if p.grad is not None]
        if isinstance(lr, Tensor):
            torch._fused_sgd_(
                weights,
                gradients,
                velocity if self.momentum else [],
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                lr=lr,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
        else:
            if self.weight_decay:
                torch._foreach_add_(gradients, weights, alpha=self.weight_decay)
            torch._foreach_mul_(velocity, self.momentum)
            torch._foreach_add_(velocity, gradients)
            torch._foreach_add_(weights, velocity, alpha=-lr)
        for weight in weights:
            weight.grad = None
