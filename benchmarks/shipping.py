"""Latency of what ships: whole, pruned, in eight bits, with early exits; all files by turns.

Weights are new: they do not change the time. Pruned networks lose the same share of every layer, in
multiples of eight channels. An early exit is the chain of files up to it, its heads included.
"""

import argparse
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from machine import keep

from stagewise import catalogue
from stagewise.models.exits import MultiExit
from stagewise.models.store import Architecture, build
from stagewise.pruning.reach import Limits
from stagewise.ship.engines import Engine, onnx_engine, race
from stagewise.ship.files import traced, write_onnx
from stagewise.ship.parts import chain
from stagewise.ship.shapes import UNTOLD, thinned, write_shape

NETWORKS: dict[str, dict[str, int]] = {"resnet20": {}, "vgg8": {}, "wrn16-2": {}}
"""Name → options, at 32×32 pixels and 100 classes."""
RATIOS = (1.0, 2.0, 4.0)
FORMS = ("float32", "int8")
LIMITS, TOLERANCE = Limits(min_channels=8, min_share=0.1, round_to=8), 0.25
HEADS = "sepatt"


def files(name: str, folder: Path) -> dict[str, tuple[list[Path], int | None]]:
    """Of a network what is timed → its files, and its multiply-adds where there is one file."""
    options = catalogue.network_options(name) | NETWORKS[name]
    whole = Architecture(name, options, 100, 3, 32)
    found: dict[str, tuple[list[Path], int | None]] = {}
    for ratio in RATIOS:
        made = thinned(whole, ratio, LIMITS, TOLERANCE)
        place = folder / f"{name}-{ratio:g}"
        place.mkdir()
        for form, file in write_shape(*made, FORMS, place).items():
            cut = f"pruned {ratio:g}×" if ratio > 1 else "whole"
            found[f"{cut}, {form}"] = [file.path], file.macs
    exits = replace(whole, exits=HEADS)
    network = build(exits, 0).eval()
    assert isinstance(network, MultiExit)
    network.requires_grad_(False)
    left: tuple[torch.Tensor, ...] = (torch.randn(2, 3, 32, 32),)
    paths: list[Path] = []
    for number, part in enumerate(chain(network, torch.nn.Identity()), 1):
        path = folder / f"{name}-exit-{number}.onnx"
        write_onnx(traced(part.eval(), left), path, {**UNTOLD, "exit": number})
        _, *left = part(*left)
        paths.append(path)
        found[f"exit {number}, float32"] = [*paths], None
    return found


def main() -> None:
    """Read arguments, time, write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=200, help="calls of each file")
    results = Path(__file__).resolve().parent / "results"
    options.add_argument("--out", type=Path, default=results / "shipping.json")
    arguments = options.parse_args()
    rows: list[dict[str, Any]] = []
    for name in NETWORKS:
        with TemporaryDirectory() as folder:
            found = files(name, Path(folder))
            for batch in (1, 32):
                images = torch.randn(batch, 3, 32, 32)
                engines: dict[str, Engine] = {
                    what: onnx_engine(paths, 1) for what, (paths, _) in found.items()
                }
                calls = {what: partial(engine, images) for what, engine in engines.items()}
                for what, passed in race(calls, arguments.repeats).items():
                    row = {"network": name, "file": what, "batch": batch, **asdict(passed)}
                    rows.append({**row, "macs": found[what][1]})
        print(f"{name}: {len(found)} files")
    keep({"repeats": arguments.repeats, "rows": rows}, arguments.out)


if __name__ == "__main__":
    main()
