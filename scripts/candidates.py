"""Measure the candidates of a study's target as the files that would ship, beside the reference.

Run it alone on the machine: all files are timed by turns.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from stagewise.analysis.records.study import read_study
from stagewise.errors import UserError
from stagewise.files import write_text
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import importing, run_script
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan


def main() -> None:
    """Read plan, data and weights; write candidates.csv."""
    options = study_parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="the study's prepared data")
    options.add_argument("--out", type=Path, required=True, help="candidates.csv")
    arguments = options.parse_args()
    config = resolve_config(read_study(arguments.plan, arguments.root).config, str(arguments.plan))
    if not (config.target and config.target.candidates):
        raise UserError(f"{arguments.plan}: its study has no candidates for a target")
    plan = make_plan(config, str(arguments.plan))
    with importing():
        from stagewise.runs.folder import csv_text
        from stagewise.ship.candidates import Contest
    with TemporaryDirectory() as folder:
        rows = Contest(plan, arguments.root, arguments.data, Path(folder)).rows()
    write_text(arguments.out, csv_text(rows))
    print(f"{arguments.out}: {len(rows)} files")


if __name__ == "__main__":
    run_script(main)
