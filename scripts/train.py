"""Train one run from its spec: teachers, students, distillation, two stages, exits, recovery.

Stopped at any moment, the same command goes on from the last saved epoch and ends with the same
bits.
"""

from pathlib import Path

from stagewise.process.machine import claim_gpu, default_device
from stagewise.process.scripting import (
    gigabytes,
    importing,
    json_object,
    parser,
    run_script,
    seconds,
    table_bytes,
)

OUT_OF_TIME = 75  # EX_TEMPFAIL: try the same command again


def main() -> int:
    """Read arguments, train, write the run folder."""
    options = parser(__doc__)
    options.add_argument("--spec", type=json_object, required=True, help="the run's spec, as JSON")
    options.add_argument("--data", type=Path, required=True, help="prepared.safetensors")
    options.add_argument("--teacher", type=Path, help="weights of the teacher")
    options.add_argument("--init", type=Path, help="weights that the network starts from")
    options.add_argument("--out", type=Path, required=True, help="the run's folder")
    options.add_argument("--work", type=Path, required=True, help="folder for the training state")
    options.add_argument(
        "--tables", type=Path, default=Path("work/tables"), help="folder of the teacher tables"
    )
    options.add_argument(
        "--table-gb",
        type=gigabytes,
        help="most disk space of that folder; 0 is none (default: STAGEWISE_TABLE_GB, else 4)",
    )
    options.add_argument("--code", default="", help="code fingerprint, stored in the record")
    options.add_argument("--device", default=default_device(), help="cpu, cuda, cuda:1")
    options.add_argument("--budget", default="", help="stop after this time (90s, 9m, 2h)")
    options.add_argument("--title", default="", help="what to call the run in messages")
    options.add_argument("--live", action="store_true", help="also show progress on the terminal")
    arguments = options.parse_args()
    budget = seconds(arguments.budget) if arguments.budget else None
    table = table_bytes() if arguments.table_gb is None else arguments.table_gb
    if arguments.device == "cuda":
        claim_gpu(Path("work/gpu-slots"))
    with importing():
        from stagewise.runs.start import Inputs
        from stagewise.runs.train import train_run
        from stagewise.study.spec import TrainSpec
        from stagewise.training.devices import torch_device
        from stagewise.training.table import TableFolder
        from stagewise.training.trainer import OutOfTime
    device = torch_device(arguments.device)
    parents = {"teacher": arguments.teacher, "init": arguments.init}
    try:
        train_run(
            TrainSpec.read(arguments.spec),
            Inputs(arguments.data, {role: path for role, path in parents.items() if path}),
            arguments.out,
            code=arguments.code,
            work=arguments.work,
            tables=TableFolder(arguments.tables, table),
            device=device,
            title=arguments.title or str(arguments.out),
            live=arguments.live,
            budget=budget,
        )
    except OutOfTime:
        print("time budget spent; the same command goes on")
        return OUT_OF_TIME
    return 0


if __name__ == "__main__":
    run_script(main, forked=True)
