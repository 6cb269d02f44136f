"""Write a study's result tables as CSV and Markdown, and study.md with protocol and gate."""

from pathlib import Path

from stagewise.analysis.publish import write_tables
from stagewise.analysis.records import read_study, read_table
from stagewise.analysis.results import Results
from stagewise.analysis.summary import REQUIRED
from stagewise.scripting import parser, run_script


def main() -> None:
    """Read plan, ``summary.csv`` and, if given, ``latency.csv``; write the tables' folder."""
    arguments = parser(__doc__)
    arguments.add_argument("--plan", type=Path, required=True, help="the study's plan.json")
    arguments.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    arguments.add_argument("--summary", type=Path, required=True, help="from summarise.py")
    arguments.add_argument("--latency", type=Path, help="latency.csv, where it was measured")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    args = arguments.parse_args()
    latency = read_table(args.latency) if args.latency else None
    summary = read_table(args.summary, REQUIRED)
    write_tables(Results(read_study(args.plan, args.root), summary, latency), args.out)


if __name__ == "__main__":
    run_script(main)
