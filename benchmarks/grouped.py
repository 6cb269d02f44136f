"""A training step of exits' heads in bfloat16 on a CPU: strided convolutions in groups in float32,
as ours, or in bfloat16 as all others; float32 beside them, all by turns.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import keep
from our_loop import BATCH
from torch import Tensor, nn

from stagewise.models.layers import GroupedConv2d
from stagewise.models.store import Architecture, build
from stagewise.ship.engines import race

NETWORK, WIDTHS, HEADS = "vgg8", (16, 64), "sepatt"


class Plain(GroupedConv2d):
    """As PyTorch has it, in the number format of the autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, channels, H / stride, W / stride)."""
        return nn.Conv2d.forward(self, x)


def network(width: int, exits: str | None, kind: type[GroupedConv2d]) -> nn.Module:
    """A new network, its convolutions in groups of this kind."""
    made = build(Architecture(NETWORK, {"width": width}, 100, 3, 32, exits=exits), 0)
    for module in made.modules():
        if isinstance(module, GroupedConv2d):
            module.__class__ = kind
    return made


def step(trained: nn.Module, images: Tensor, labels: Tensor, half: bool) -> None:
    """Forward, cross-entropy of every exit, backward."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        given = trained(images)
    outputs = given.exits or (given.logits,)
    sum(nn.functional.cross_entropy(output.float(), labels) for output in outputs).backward()
    trained.zero_grad(set_to_none=True)


def main() -> None:
    """Read arguments, time, write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=12)
    results = Path(__file__).resolve().parent / "results"
    options.add_argument("--out", type=Path, default=results / "grouped.json")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (BATCH,))
    for width in WIDTHS:
        for heads in (None, HEADS):
            make = partial(network, width, heads)
            cases = {
                "float32": (make(GroupedConv2d), False),
                "bfloat16": (make(GroupedConv2d), True),
                "bfloat16, all of it": (make(Plain), True),
            }
            calls = {
                what: partial(step, made, images, labels, half)
                for what, (made, half) in cases.items()
            }
            shown = cases["float32"][0](images[:2])
            row = {"width": width, "exits": max(1, len(shown.exits))}
            taken = race(calls, arguments.rounds)
            rows.append({**row, **{what: each.median for what, each in taken.items()}})
            print(rows[-1])
    keep({"network": NETWORK, "rows": rows}, arguments.out)


if __name__ == "__main__":
    main()
