"""Captions of figures, filled with what a study is: its seeds, its data, its protocol.

Snakemake asks for them when it starts: keep pandas and matplotlib out of here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stagewise import catalogue
from stagewise.study.regimes import REGIMES

PROTOCOL = (
    "Protocol: accuracies after the last epoch, on test images that made no choice; networks "
    "paired by seed ({seeds}); data source {source}."
)


def caption(figure: str, config: Mapping[str, Any]) -> str:
    """What to see in a figure, n, spread and protocol: ``CAPTION`` of its file, filled.

    Its fields: ``n`` ("6 seeds"), ``bins`` (of the calibration error), ``classes`` (that two-stage
    students learn), ``protocol``. Plans that are older than regimes have but the first.
    """
    regime = REGIMES[config.get("two_stage", {}).get("regime", "split")]
    seeds = config["seeds"]
    protocol = PROTOCOL.format(seeds=_listed(seeds), source=config["data"]["source"])
    return catalogue.caption(figure).format(
        n=f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        bins=config["evaluation"]["ece_bins"],
        classes=f"{regime.task} classes" if regime.task == "all" else f"the {regime.task} classes",
        protocol=protocol,
    )


def _listed(seeds: Sequence[int]) -> str:
    """``0–5`` where they follow each other, else each."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))
