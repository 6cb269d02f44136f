"""Say what a study will take on this machine: time, memory and disk space, by rule; runs nothing.

A minute of short trials on random pixels; data need not be here yet, and nothing is written.
"""

import os
from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.machine import default_device
from stagewise.process.scripting import importing, json_object, parser, run_script, seconds
from stagewise.study.config import load_config, resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan


def main() -> None:
    """Read arguments, plan, count, measure, print."""
    options = parser(__doc__)
    source = options.add_mutually_exclusive_group()
    source.add_argument("--config", type=Path, default=Path("config.yaml"), help="the study")
    source.add_argument("--settings", type=json_object, help="the study as JSON")
    options.add_argument("--device", default=default_device(), help="cpu, cuda, cuda:1")
    cores = len(os.sched_getaffinity(0))
    options.add_argument("--cores", type=int, default=cores, help="cores that the study may use")
    options.add_argument("--budget", default="60s", help="time for trials (30s, 2m)")
    options.add_argument("--gpu", default="A100", help="where none is at hand, which to think of")
    arguments = options.parse_args()
    budget = seconds(arguments.budget)
    name = "--settings" if arguments.settings else str(arguments.config)
    config = resolve_config(arguments.settings, name) if arguments.settings else load_config(name)
    plan = make_plan(config, name)
    with importing():
        from rich.console import Console

        from stagewise.forecast.calibration import calibrate
        from stagewise.forecast.estimate import forecast, jobs_at_once, sentence, table
        from stagewise.forecast.gpus import RATES, gpu_sentence
        from stagewise.forecast.workload import workload
        from stagewise.training.devices import torch_device
    if arguments.gpu not in RATES:
        raise UserError(f"--gpu: '{arguments.gpu}' is not known; use one of {', '.join(RATES)}")
    device = torch_device(arguments.device)
    gpu = device.type == "cuda"
    load = workload(plan, data_size(config, Path(f"data/{config.study}/summary.json")))
    jobs, efforts = jobs_at_once(load, arguments.cores, gpu), load.ranked()
    print(f"{len(plan.runs)} runs, {len(efforts)} kinds of work; measuring …", flush=True)
    speed = calibrate(efforts, device, jobs, budget)
    found = forecast(load, speed, jobs)
    console = Console(width=110, highlight=False)
    console.print(table(found))
    left = len(efforts) - len(speed.speeds)
    rest = "; the others are taken from the most similar ones by multiply-adds" if left else ""
    print(f"Measured: {len(speed.speeds)} of {len(efforts)} kinds of work{rest}.")
    print(sentence(found, "GPU memory" if gpu else "memory"))
    if not gpu:
        print(gpu_sentence(found, arguments.gpu))


if __name__ == "__main__":
    run_script(main)
