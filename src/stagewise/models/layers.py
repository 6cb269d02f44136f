"""Layers and starts that several networks share."""

import torch
from torch import Tensor, nn


class GroupedConv2d(nn.Conv2d):
    """A convolution in groups of channels.

    With a stride it computes in float32 under a CPU's autocast: PyTorch's kernels for CPUs have no
    fast backward pass of such a one in bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, channels, H / stride, W / stride)."""
        if max(self.stride) > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, then batch norm."""
    padding = kernel // 2
    kind = nn.Conv2d if groups == 1 else GroupedConv2d
    conv = kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def shuffle(x: Tensor, groups: int) -> Tensor:
    """(B, C, H, W) → the same shape, the channels of the groups interleaved.

    Channels move while they are the last dimension, so that the layout stays channels-last.
    """
    last = x.permute(0, 2, 3, 1)
    apart = last.reshape(*last.shape[:3], groups, last.shape[3] // groups)
    return apart.transpose(3, 4).flatten(3).permute(0, 3, 1, 2)


def kaiming_convolutions(network: nn.Module) -> None:
    """Draw every convolution from N(0, 2/(k² C_out))."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def small_classifier(layer: nn.Linear) -> None:
    """Draw a linear layer from N(0, 0.01²), with zero biases."""
    nn.init.normal_(layer.weight, 0.0, 0.01)
    nn.init.zeros_(layer.bias)
