"""Keep a study in evidence/: verdicts, tables, figures and the records of its runs, no weights."""

from pathlib import Path

from stagewise.analysis.publish.evidence import keep_study
from stagewise.errors import UserError
from stagewise.process.scripting import parser, run_script


def main() -> None:
    """Read arguments, copy, write the page."""
    options = parser(__doc__)
    options.add_argument("--results", type=Path, required=True, help="results/<study>")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    options.add_argument("--evidence", type=Path, help="default: evidence/<study>")
    options.add_argument("--command", required=True, help="what makes the study, for the page")
    options.add_argument("--runs-only", action="store_true", help="of a study that is not finished")
    given = options.parse_args()
    here = Path.cwd()
    evidence = here / (given.evidence or Path("evidence", given.results.resolve().name))
    if here not in evidence.resolve().parents:
        raise UserError(f"--evidence: '{evidence}' is not in this project's folder, {here}")
    evidence = evidence.resolve().relative_to(here)
    keep_study(given.results, given.root, evidence, given.command, runs_only=given.runs_only)
    print(f"{evidence}: commit it")


if __name__ == "__main__":
    run_script(main)
