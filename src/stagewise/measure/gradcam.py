"""Grad-CAM: where a network, or one of its exits, sees the class of an image.

Selvaraju et al. 2017 (ICCV; arXiv 1610.02391), section 3: the weight of a channel is the mean over
space of the gradient of the class's score, before softmax, with respect to it (eq. 1); the map is
the ReLU of the channels' weighted sum (eq. 2). The class is the image's label, so that maps of
different networks answer one question. The paper takes the last convolution's map; ours is the tap
that the exit's head gets, because what a head makes of it has hardly a pixel left.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stagewise.models.features import Features, Network, full

TINY = 1e-30
"""Of the largest value of a map, what counts as nothing."""


def class_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """Maps (B, H, W) from 0 to 1, the largest value of each image's being 1, of ``activations``
    (B, C, H, W) and the gradients of the scores with respect to these; all 0 where no channel
    speaks for the class."""
    weights = gradients.mean((2, 3), keepdim=True)
    maps = (weights * activations).sum(1).relu()
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(TINY)


def exit_maps(network: Network, images: Tensor, labels: Tensor) -> dict[int, Tensor]:
    """The stage of each exit → its maps (B, H, W) for the images' own classes; of a network without
    exits those of its last stage. ``images``: (B, C, H, W), normalised; ``labels``: (B,).

    The network is as it was, without gradients.
    """
    with _evaluated(network), torch.enable_grad():
        # Of the images too, or a network that is frozen would have no graph.
        features: Features = network(images.detach().requires_grad_())
        answers = features.exits or (features.logits,)
        places = features.exit_places or (len(network.running),)
        found = {}
        for place, logits in zip(places, answers, strict=True):
            tap = features.taps[network.stages[place - 1]]
            score = full(logits).gather(1, labels[:, None]).sum()
            [gradient] = torch.autograd.grad(score, tap, retain_graph=True)
            found[place] = class_maps(full(tap.detach()), full(gradient))
    return found


@contextmanager
def _evaluated(network: Network) -> Iterator[None]:
    """Within it, evaluation mode; behind it, every module's own."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
