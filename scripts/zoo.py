"""Write the page of all networks."""

from pathlib import Path

from stagewise.files import write_text
from stagewise.models.zoo import table
from stagewise.process.scripting import parser, run_script


def main() -> None:
    """Read arguments, count, write."""
    options = parser(__doc__)
    options.add_argument("--out", type=Path, default=Path("docs/zoo.md"))
    arguments = options.parse_args()
    write_text(arguments.out, table())
    print(f"{arguments.out}: all networks")


if __name__ == "__main__":
    run_script(main)
