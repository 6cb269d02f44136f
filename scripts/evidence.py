"""Keep a study in evidence/: verdicts, tables, figures and the records of its runs, no weights."""

from pathlib import Path

from stagewise.analysis.kept import keep, page, record_files, result_files
from stagewise.files import write_text
from stagewise.scripting import parser, run_script


def main() -> None:
    """Read arguments, copy, write the page."""
    options = parser(__doc__)
    options.add_argument("--results", type=Path, required=True, help="results/<study>")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    options.add_argument("--evidence", type=Path, help="default: evidence/<study>")
    options.add_argument("--command", required=True, help="what makes the study, for the page")
    options.add_argument("--runs-only", action="store_true", help="of a study that is not finished")
    arguments = options.parse_args()
    evidence = arguments.evidence or Path("evidence", arguments.results.name)
    plan = arguments.results / "plan.json"
    records = record_files(plan, arguments.root)
    results = [] if arguments.runs_only else result_files(arguments.results)
    keep(records, arguments.root, evidence)
    keep([plan, *results], arguments.results, evidence)
    write_text(evidence / "README.md", page(evidence, arguments.command))
    print(f"{evidence}: commit it")


if __name__ == "__main__":
    run_script(main)
