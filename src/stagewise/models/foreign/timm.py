"""Timm's networks by their names there, where timm is installed (the extra ``timm``)."""

from functools import partial

from torch import nn

from stagewise.errors import UserError
from stagewise.models.foreign.base import Foreign, colour_only


def build(name: str, classes: int, channels: int, *, input_size: int = 224) -> Foreign:
    """``timm:<name>`` on images of ``input_size``, to which others are scaled."""
    colour_only(name, channels)
    return Foreign(partial(make, name.partition(":")[2]), classes, input_size)


def make(name: str, classes: int) -> nn.Module:
    """A network of timm."""
    try:
        import timm
    except ModuleNotFoundError:
        raise UserError(
            f"'timm:{name}': timm is not installed; the extra has it: pip install 'stagewise[timm]'"
        ) from None
    if not timm.is_model(name):
        raise UserError(f"'timm:{name}': timm has no such network; `timm.list_models()` lists all")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return network
