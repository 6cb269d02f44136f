"""From images and a target to a verdict and files: python scripts/ship.py config/ship.yaml.

Searches on the clock which networks could reach the target, says what training them will take,
tunes them on validation, trains them over all seeds, and writes results/<study>/ship/ and the
report. Each part is a start of Snakemake, so that what is finished is never repeated.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from stagewise.errors import UserError
from stagewise.files import read_json, write_text
from stagewise.process.machine import default_device
from stagewise.process.scripting import importing, parser, run_script
from stagewise.study.config import Config
from stagewise.study.config.reading import laid_over
from stagewise.study.images import data_size

ROUNDS = 3
"""Starts of tuning at most: a rate at the edge of what was tried asks for more of them."""
BUDGET = 60.0
"""Seconds that the trials of the forecast may take."""


def main() -> int:
    """Read the configs; search, forecast, tune, train, ship."""
    options = parser(__doc__)
    options.add_argument(
        "configs", type=Path, nargs="+", help="config files, each laid over those before"
    )
    options.add_argument(
        "--forecast", action="store_true", help="search, say what training takes, and stop"
    )
    options.add_argument("--snakemake", nargs="*", default=[], help="arguments for Snakemake")
    arguments = options.parse_args()
    files, config = [*arguments.configs], laid_over(arguments.configs)
    if not config.target:
        raise UserError(f"{files[-1]}: has no target; say what a network must reach")
    folder = Path("results") / config.study
    if not config.target.candidates:
        if status := _snakemake(files, arguments.snakemake):
            return status
        files.append(folder / "search.yaml")
        config = laid_over(files)
    _say_costs(config)
    if arguments.forecast:
        return 0
    with importing():
        from stagewise.forecast.smaller import tuning
    if trials := tuning(config):
        over = Path("work/ship") / f"{trials.study}.yaml"
        write_text(over, yaml.safe_dump({k: trials.as_dict()[k] for k in TRIALS}, sort_keys=False))
        command = [sys.executable, "scripts/tune.py", *map(str, files), str(over)]
        command += ["--rounds", str(ROUNDS)]
        command += ["--snakemake", *arguments.snakemake] if arguments.snakemake else []
        if status := subprocess.run(command, check=False).returncode:
            return status
        files.append(Path("results") / trials.study / "learning_rates.yaml")
    if status := _snakemake(files, arguments.snakemake):
        return status
    print(read_json(folder / "ship" / "ship.json")["verdict"])
    print(f"Files: {folder}/ship; report: {folder}/report.html")
    return 0


TRIALS = ("study", "seeds", "tune")
"""Blocks that a study of trials lays over the config."""


def _snakemake(files: Sequence[Path], more: Sequence[str]) -> int:
    """A start of Snakemake; its exit status."""
    command = ["snakemake", *more, "--configfile", *map(str, files)]
    return subprocess.run(command, check=False).returncode


def _say_costs(config: Config) -> None:
    """Print what is going to be trained, how long it will take, and what less would."""
    with importing():
        import torch

        from stagewise.forecast.estimate import span
        from stagewise.forecast.smaller import costs
    size = data_size(config, Path(f"data/{config.study}/summary.json"))
    cores = len(os.sched_getaffinity(0))
    assert config.target is not None
    print("Candidates:")
    for each in config.target.candidates:
        cut = f"{each.ratio:g} times fewer multiply-adds" if each.ratio > 1 else "whole"
        print(f"  {each.pair}, {each.form}, {cut}")
    print("Training them on this machine, tuning included; and what a smaller search would take:")
    for words, runs, seconds in costs(config, size, torch.device(default_device()), cores, BUDGET):
        print(f"  {words}: about {span(seconds)} ({runs} runs)", flush=True)


if __name__ == "__main__":
    run_script(main)
