"""Pack a finished study as an RO-Crate: workflow, results, records, and which job made what."""

from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.scripting import parser, run_script


def main() -> None:
    """Read arguments, write the ZIP file."""
    options = parser(__doc__)
    options.add_argument("--results", type=Path, required=True, help="results/<study>")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    options.add_argument("--author", required=True, help="who did the study")
    options.add_argument("--out", type=Path, help="default: <study>.crate.zip")
    given = options.parse_args()
    try:
        from stagewise.analysis.publish.crate import write_crate
    except ImportError:
        raise UserError("rocrate is not installed here: pip install 'rocrate>=0.16'") from None
    out = given.out or Path(f"{given.results.resolve().name}.crate.zip")
    code = Path(__file__).resolve().parents[1]
    told = write_crate(given.results, given.root, code, out, given.author)
    print(f"{out}: {told} jobs")


if __name__ == "__main__":
    run_script(main)
