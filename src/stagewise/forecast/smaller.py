"""What a search for a network that ships takes, tuning and all, and what smaller ones would."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from stagewise.forecast.calibration import calibrate
from stagewise.forecast.estimate import forecast, jobs_at_once
from stagewise.forecast.workload import workload
from stagewise.study.config import Config
from stagewise.study.config.results import Tune
from stagewise.study.images import DataSize
from stagewise.study.plan import make_plan

FEW = 3
"""Seeds of a smaller search: they show a tendency, and no more."""


def tuning(config: Config) -> Config | None:
    """The study that chooses a target's rates; None where there is nothing to choose."""
    target = config.target
    if target is None or len(target.rates) < 2:
        return None
    return replace(
        config,
        study=f"{config.study}-tune",
        seeds=target.tuning_seeds,
        tune=Tune(rates=target.rates),
    )


def variants(config: Config) -> Iterator[tuple[str, list[Config]]]:
    """In words what is trained, and the studies that do it: all that is asked for first."""

    def studies(changed: Config) -> list[Config]:
        first = tuning(changed)
        return [changed, first] if first else [changed]

    target = config.target
    assert target is not None
    yield "as asked", studies(config)
    if tuning(config):
        yield "without tuning (target.rates: [])", [config]
    if len(config.seeds) > FEW:
        few = replace(config, seeds=config.seeds[:FEW])
        yield f"with {FEW} seeds (seeds: {[*few.seeds]})", studies(few)
    for form in target.forms if len(target.forms) > 1 else ():
        kept = tuple(each for each in target.candidates if each.form == form)
        if kept:
            alone = replace(config, target=replace(target, candidates=kept))
            yield f"in {form} alone (target.forms: [{form}])", studies(alone)


def costs(
    config: Config, data: DataSize, device: torch.device, cores: int, budget: float
) -> list[tuple[str, int, float]]:
    """Of every variant its words, its runs, and its seconds on this machine; trials take up to
    ``budget`` seconds."""
    found = [
        (words, [workload(make_plan(each), data) for each in studies])
        for words, studies in variants(config)
    ]
    _, asked = found[0]
    jobs = jobs_at_once(asked[0], cores, gpu=device.type == "cuda")
    kinds = [*dict.fromkeys(kind for load in asked for kind in load.ranked())]
    speed = calibrate(kinds, device, jobs, budget)
    return [
        (
            words,
            sum(len(load.works) for load in loads),
            sum(forecast(load, speed, jobs).seconds for load in loads),
        )
        for words, loads in found
    ]
