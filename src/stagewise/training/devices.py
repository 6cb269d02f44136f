"""The device that a script was told to compute on."""

import torch

from stagewise.errors import UserError


def torch_device(name: str) -> torch.device:
    """``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UserError: it is no such name, or this machine has no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device: '{name}' is no device; write cpu, cuda or cuda:1")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        there = f"only {count} GPUs" if count else "no GPU that torch can use"
        raise UserError(f"--device: '{name}' is not there, this machine has {there}; write cpu")
    return device
