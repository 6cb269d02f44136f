"""Make a study's results from the runs that are there, where others failed; say which and why."""

from pathlib import Path

from stagewise.analysis.publish.partial import last_error, write_partial
from stagewise.errors import UserError
from stagewise.process.scripting import json_object, parser, run_script
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan


def main() -> None:
    """Read arguments, plan, write the folder."""
    options = parser(__doc__)
    options.add_argument("--settings", type=json_object, required=True, help="the study, as JSON")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    options.add_argument("--logs", type=Path, required=True, help="logs/<study>")
    options.add_argument("--failed", nargs="*", default=[], help="folders of the runs that failed")
    options.add_argument("--out", type=Path, required=True, help="folder to write")
    given = options.parse_args()
    plan = make_plan(resolve_config(given.settings, "--settings"), "--settings")
    failed = {}
    for path in given.failed:
        run = plan.runs.get(path)
        if run is None:
            raise UserError(f"--failed: '{path}' is no run of this study; name a run's folder")
        failed[path] = f"failed: {last_error(given.logs / f'{run.arm}.seed-{run.seed}.log')}"
    study = write_partial(plan, given.root, given.out, failed)
    lost, planned = len(study.missing), len(plan.runs)
    print(f"{given.out}: without {lost} of {planned} runs, of which {len(failed)} failed")


if __name__ == "__main__":
    run_script(main)
