"""Write a study's result tables as CSV, Markdown and LaTeX, and a guide to its results."""

import sys
from pathlib import Path

from stagewise.analysis.claims.results import read_results
from stagewise.analysis.tables.files import guide, write_tables
from stagewise.analysis.tables.table import make_tables
from stagewise.files import write_text
from stagewise.process.arguments import results_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read plan, ``summary.csv`` and what else is given; write the tables' folder."""
    arguments = results_parser(__doc__)
    arguments.add_argument("--latency", type=Path, help="latency.csv, where it was measured")
    arguments.add_argument("--candidates", type=Path, help="candidates.csv, of a target")
    arguments.add_argument("--gradcam", type=Path, help="gradcam.csv, where maps were compared")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments.add_argument("--guide", type=Path, help="README.md of the results to write")
    args = arguments.parse_args()
    more = {"gradcam": args.gradcam, "candidates": args.candidates}
    results = read_results(args.plan, args.root, args.summary, args.latency, **more)
    tables = make_tables(results)
    write_tables(results, tables, args.out)
    if args.guide:
        write_text(args.guide, guide(results.study, tables))
    for warning in filter(None, (table.warning for table in tables)):
        print(f"warning: {results.study.name}: {warning}", file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
