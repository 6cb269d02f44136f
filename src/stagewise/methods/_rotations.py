"""Images in four rotations, and heads on a network's stages that know class and rotation.

As HSAKD has them (Yang et al. 2021, IJCAI, arXiv 2107.13715): copy r is turned r times by 90°
counter-clockwise, and the joint label of class y in copy r is 4 y + r.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from stagewise.methods.base import full
from stagewise.models.features import Batch, Features, Network, precision_of

ROTATIONS = 4


def rotated(batch: Batch) -> Batch:
    """Four copies of a batch of square images, turned by 0°, 90°, 180° and 270°; copy by copy,
    where HSAKD's code has them image by image."""

    def four(values: Tensor) -> Tensor:
        return torch.cat([values] * ROTATIONS)

    turned = torch.cat([batch.images.rot90(turns, (2, 3)) for turns in range(ROTATIONS)])
    return replace(
        batch,
        images=turned.contiguous(memory_format=torch.channels_last),
        labels=four(batch.labels),
        index=four(batch.index),
        view=four(batch.view),
        target=four(batch.target),
    )


def joint_target(target: Tensor) -> Tensor:
    """Of class and rotation, for a batch of ``rotated``: labels (4B,) of 4·classes, or, where
    ``target`` is probabilities (4B, classes), probabilities (4B, 4·classes)."""
    turns = torch.arange(ROTATIONS, device=target.device)
    turns = turns.repeat_interleave(len(target) // ROTATIONS)
    if target.dim() == 1:
        return ROTATIONS * target + turns
    return (target[:, :, None] * one_hot(turns, ROTATIONS)[:, None]).flatten(1)


class RotationHeads(nn.ModuleDict):
    """A head on each of some stages of a network: a branch of it, for 4·classes.

    The last stage's is one more stage of its kind, as in HSAKD's code.
    """

    def __init__(
        self, network: Network, features: Features, classes: int, stages: Iterable[str]
    ) -> None:
        """``features``: the network's of a dry run."""
        super().__init__(
            {
                stage: network.branch(stage, features.taps[stage], ROTATIONS * classes)
                for stage in stages
            }
        )

    def forward(self, features: Features) -> list[Tensor]:
        """Logits (B, 4·classes) of each head, shallow to deep, from the network's features.

        They go on in the precision of the taps.
        """
        found = []
        for stage, branch in self.items():
            assert isinstance(branch, Network)
            with precision_of(features.taps[stage]):
                found.append(full(branch.resume(stage, features.taps)))
        return found
