"""Do a study's runs without Snakemake, several at once on one device; the same command goes on.

For a machine with Python and torch alone. Results are made elsewhere from the records: bring back
runs/ and data/, and let `snakemake` do the rest.
"""

import time
from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.machine import default_device
from stagewise.process.scripting import importing, parser, run_script, seconds
from stagewise.study.config import load_config
from stagewise.study.config.source import image_size
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan
from stagewise.study.planned import STEPS

OUT_OF_TIME = 75  # EX_TEMPFAIL: try the same command again
MOST_JOBS = 32
"""CUDA's streams, of which each job needs one."""
MOST_NAMED = 20
"""Records that are not as planned, by name."""


def main() -> int:
    """Read arguments and config, make the data, do the runs that are not done."""
    options = parser(__doc__)
    options.add_argument("--config", type=Path, default=Path("config.yaml"), help="the study")
    options.add_argument("--jobs", type=int, default=1, help="runs at once")
    options.add_argument("--device", default=default_device(), help="cpu, cuda, cuda:1")
    options.add_argument("--budget", default="", help="stop after this time (90s, 9m, 2h)")
    options.add_argument("--steps", nargs="*", choices=STEPS, help="only these steps")
    arguments = options.parse_args()
    if not 1 <= arguments.jobs <= MOST_JOBS:
        raise UserError(f"--jobs: {arguments.jobs} is not from 1 to {MOST_JOBS}")
    deadline = time.monotonic() + seconds(arguments.budget) if arguments.budget else None
    name = str(arguments.config)
    plan = make_plan(load_config(arguments.config), name)
    with importing():
        from stagewise.data.making import make_data
        from stagewise.runs.executor import Machine, execute, unfinished
        from stagewise.runs.fits import misfits
        from stagewise.runs.given import make_given
        from stagewise.runs.imagenet import make_start
        from stagewise.training.devices import torch_device
        from stagewise.training.trainer import OutOfTime
    device = torch_device(arguments.device)
    scripts = Path(__file__).parent
    data = make_data(plan.config, scripts)
    size = data_size(plan.config, Path(f"data/{plan.config.study}/summary.json"))
    if lines := [f"{name}: {line}" for line in misfits(plan, size)]:
        raise UserError("\n".join(lines))
    for folder, network in plan.weights().items():
        weights = Path(folder) / "model.safetensors"
        if not weights.exists():
            mirrors, size = plan.config.two_stage.mirrors, image_size(plan.config)
            make_start(network, size, weights, cache=Path("work/downloads"), mirrors=mirrors)
    for folder, teacher in plan.given().items():
        make_given(teacher, data, Path(folder) / "model.safetensors")
    machine = Machine(scripts, device, arguments.jobs, deadline)
    steps = arguments.steps or STEPS
    found = unfinished(plan, data, machine)
    print(f"{len(plan.runs) - len(found)} of {len(plan.runs)} records are as planned and stay")
    others = [f"{run.path}: {why}" for run, why in found.items() if why]
    for line in others[:MOST_NAMED]:
        print(f"not as planned, done again: {line}")
    if len(others) > MOST_NAMED:
        print(f"not as planned, done again: {len(others) - MOST_NAMED} more")
    left = [run for run in found if run.step in steps]
    print(f"{len(left)} of {len(plan.runs)} runs to do", flush=True)
    try:
        execute(left, data, machine)
    except OutOfTime:
        print("time budget spent; the same command goes on")
        return OUT_OF_TIME
    return 0


if __name__ == "__main__":
    run_script(main)
