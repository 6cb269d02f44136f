"""Write one self-contained report.html: verdicts, figures, tables, methods, steps, provenance."""

from pathlib import Path

from stagewise.analysis.claims.results import read_results
from stagewise.analysis.claims.wording import read_claims
from stagewise.analysis.report.page import render
from stagewise.files import write_text
from stagewise.process.arguments import own_claims, results_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read plan, records, summary, claims and the drawn figures; write the report."""
    arguments = results_parser(__doc__)
    own_claims(arguments)
    arguments.add_argument("--claims", type=Path, required=True, help="from claims.py")
    arguments.add_argument("--figures", type=Path, required=True, help="folder of figures.py")
    arguments.add_argument("--latency", type=Path, help="latency.csv, where it was measured")
    arguments.add_argument("--candidates", type=Path, help="candidates.csv, of a target")
    arguments.add_argument("--gradcam", type=Path, help="gradcam.csv, where maps were compared")
    arguments.add_argument("--out", type=Path, required=True, help="report.html to write")
    args = arguments.parse_args()
    results = read_results(
        args.plan, args.root, args.summary, args.latency, args.own, args.gradcam, args.candidates
    )
    claims = read_claims(args.claims)
    write_text(args.out, render(results, claims, args.figures, args.out))


if __name__ == "__main__":
    run_script(main)
