"""Torchvision's classification networks by their names there, but for those without a linear layer
at their end (SqueezeNet)."""

from functools import partial

import torch
from torch import nn

from stagewise.models.foreign.base import Foreign, colour_only

NAMES = """
alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75
mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf
regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d
resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn vgg13
vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32
wide_resnet101_2 wide_resnet50_2
"""
NO_AUXILIARY = {"aux_logits": False, "init_weights": True}
FURTHER = {"googlenet": NO_AUXILIARY, "inception_v3": NO_AUXILIARY}
"""What builders take beside the number of classes: no further classifiers, which only train."""


def build(name: str, classes: int, channels: int, *, input_size: int = 224) -> Foreign:
    """``torchvision:<name>`` on images of ``input_size``, to which others are scaled."""
    colour_only(name, channels)
    return Foreign(partial(make, name.partition(":")[2]), classes, input_size)


def make(name: str, classes: int) -> nn.Module:
    """A network of torchvision, on torch's default device."""
    from torchvision.models import get_model

    asked = {"weights": None, "num_classes": classes, **FURTHER.get(name, {})}
    device = torch.get_default_device()
    try:
        network: nn.Module = get_model(name, **asked)
    except NotImplementedError:  # RegNets compute with tensors how wide they are: not on `meta`
        with torch.device("cpu"):
            network = get_model(name, **asked).to(device)
    return network
