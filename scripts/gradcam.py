"""Compare where students and their teachers look: Grad-CAM maps of test images, exit by exit."""

from pathlib import Path

from stagewise.analysis.records.study import read_study
from stagewise.files import write_text
from stagewise.process.arguments import study_parser
from stagewise.process.machine import claim_gpu, default_device
from stagewise.process.scripting import importing, run_script
from stagewise.study.config import resolve_config
from stagewise.study.gradcam import compared
from stagewise.study.plan import make_plan
from stagewise.study.spec import Images


def main() -> None:
    """Read plan, data and weights; write gradcam.csv, and pictures beside it as gradcam.npz."""
    options = study_parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="the study's prepared data")
    options.add_argument("--device", default=default_device(), help="cpu, cuda, cuda:1")
    options.add_argument("--threads", type=int, default=1, help="CPU threads")
    options.add_argument("--out", type=Path, required=True, help="gradcam.csv")
    arguments = options.parse_args()
    config = resolve_config(read_study(arguments.plan, arguments.root).config, str(arguments.plan))
    plan = make_plan(config, str(arguments.plan))
    students = compared(plan)
    kept = {path for path in students if plan.runs[path].seed == config.seeds[0]}
    if arguments.device == "cuda":
        claim_gpu(Path("work/gpu-slots"))
    with importing():
        import torch

        from stagewise.data.batches import load_task
        from stagewise.measure.maps import compare
        from stagewise.runs.folder import csv_text, write_arrays
        from stagewise.training.devices import torch_device
        from stagewise.training.precision import plain_float32
    torch.set_num_threads(arguments.threads)
    plain_float32()
    device = torch_device(arguments.device)
    data = load_task(arguments.data, Images(task="all", images="full"), device)
    rows, pictures = compare(students, arguments.root, data, config.gradcam.images, kept)
    write_arrays(arguments.out.with_suffix(".npz"), pictures)
    write_text(arguments.out, csv_text(rows))
    print(f"{arguments.out}: {len(students)} students, {len(rows)} exits")


if __name__ == "__main__":
    run_script(main)
