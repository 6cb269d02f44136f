"""Compute all metrics of all runs of a study from their stored logits."""

import sys
from pathlib import Path

from stagewise.analysis.records.agreement import mixed_code
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import read_study
from stagewise.files import write_text
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read ``plan.json`` and the run folders, write ``evaluation.csv``."""
    arguments = study_parser(__doc__)
    arguments.add_argument("--out", type=Path, required=True, help="evaluation.csv to write")
    args = arguments.parse_args()
    study = read_study(args.plan, args.root)
    write_text(args.out, evaluate(study).to_csv(index=False))
    for line in mixed_code(study):
        print(f"warning: {args.plan}: {line}", file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
