"""Join evaluation, plan and records to a row per run and exit, and mean accuracies for DVC."""

from pathlib import Path

from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.study import read_study
from stagewise.analysis.records.summary import EVALUATED, mean_accuracies, summarise
from stagewise.files import write_json, write_text
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read ``plan.json``, ``evaluation.csv`` and the records; write summary and metrics."""
    arguments = study_parser(__doc__)
    arguments.add_argument("--evaluation", type=Path, required=True, help="from evaluate.py")
    arguments.add_argument("--out", type=Path, required=True, help="summary.csv to write")
    arguments.add_argument("--metrics", type=Path, required=True, help="metrics.json to write")
    args = arguments.parse_args()
    evaluation = read_csv(args.evaluation, EVALUATED, key=("path", "exit", "split"))
    summary = summarise(read_study(args.plan, args.root), evaluation)
    write_text(args.out, summary.to_csv(index=False))
    write_json(args.metrics, mean_accuracies(summary))


if __name__ == "__main__":
    run_script(main)
