"""Draw a study's figures as SVG, PDF (for LaTeX) and PNG; equal records give equal bytes."""

from pathlib import Path

from stagewise import catalogue
from stagewise.analysis.claims.results import read_results
from stagewise.analysis.figures.drawing import FORMATS
from stagewise.analysis.figures.files import write_figures
from stagewise.process.arguments import own_claims, results_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read plan, ``summary.csv`` and the runs' logs; write NAME.svg, NAME.pdf and NAME.png."""
    arguments = results_parser(__doc__)
    own_claims(arguments)
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    known = catalogue.figures()
    arguments.add_argument("--name", choices=[*known, "all"], default="all", help="which figure")
    arguments.add_argument("--candidates", type=Path, help="candidates.csv, of a target")
    arguments.add_argument("--gradcam", type=Path, help="gradcam.csv, where maps were compared")
    arguments.add_argument("--dpi", type=int, default=300, help="of the PNGs")
    arguments.add_argument(
        "--format", choices=[*FORMATS], default="column", help="what they are for"
    )
    arguments.add_argument("--latency", type=Path, help="latency.csv, where it was measured")
    args = arguments.parse_args()
    results = read_results(
        args.plan, args.root, args.summary, args.latency, args.own, args.gradcam, args.candidates
    )
    names = list(known) if args.name == "all" else [args.name]
    write_figures(results, args.out, names, args.dpi, args.format)


if __name__ == "__main__":
    run_script(main)
