"""Precision of forward passes: float32, or bfloat16 where autocast takes it.

Weights, losses, statistics and evaluation are float32 in either.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

Precision = AbstractContextManager[object]


def plain_float32() -> None:
    """Make cuDNN multiply float32 as float32, not as TF32, and choose kernels that add in the same
    order each time."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def precision(dtype: str, device: torch.device) -> Precision:
    """A context, to be entered as often as one likes, for ``float32`` or ``bfloat16``."""
    if dtype == "float32":
        return nullcontext()
    # Weights change at every step: a cache of their casts would only hold memory.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
