"""Judge the papers' claims by a study's runs."""

from pathlib import Path

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import read_results
from stagewise.files import write_text
from stagewise.process.arguments import own_claims, results_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read plan, ``summary.csv`` and the runs' shock logs; write ``claims.csv``."""
    arguments = results_parser(__doc__)
    own_claims(arguments)
    arguments.add_argument("--out", type=Path, required=True, help="claims.csv to write")
    args = arguments.parse_args()
    claims = judge_claims(read_results(args.plan, args.root, args.summary, own=args.own))
    write_text(args.out, claims.to_csv(index=False))


if __name__ == "__main__":
    run_script(main)
