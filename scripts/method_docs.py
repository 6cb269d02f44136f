"""Write the page of all methods."""

from pathlib import Path

from stagewise.files import write_text
from stagewise.process.scripting import importing, parser, run_script


def main() -> None:
    """Read arguments, count, write."""
    options = parser(__doc__)
    options.add_argument("--out", type=Path, default=Path("docs/methods.md"))
    options.add_argument("--tests", type=Path, default=Path("tests/methods"))
    arguments = options.parse_args()
    with importing():
        from stagewise.runs.method_page import page
    write_text(arguments.out, page(arguments.tests))
    print(f"{arguments.out}: all methods")


if __name__ == "__main__":
    run_script(main)
