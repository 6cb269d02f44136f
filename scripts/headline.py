"""Print a study's headline verdicts and where its report is."""

from pathlib import Path

from stagewise.analysis.claims.wording import headline, read_claims
from stagewise.process.scripting import parser, run_script


def main() -> None:
    """Read ``claims.csv``; print."""
    arguments = parser(__doc__)
    arguments.add_argument("--claims", type=Path, required=True, help="from claims.py")
    arguments.add_argument("--report", type=Path, required=True, help="report.html to point at")
    args = arguments.parse_args()
    print("\n".join(headline(read_claims(args.claims))))
    print(f"report: {args.report}")


if __name__ == "__main__":
    run_script(main)
