"""Write the page of all keys of a configuration, and its JSON Schema for editors."""

from pathlib import Path

from stagewise.files import write_text
from stagewise.process.scripting import parser, run_script
from stagewise.study.config.reference import page, schema_text


def main() -> None:
    """Read arguments, write."""
    options = parser(__doc__)
    options.add_argument("--page", type=Path, default=Path("docs/config.md"))
    options.add_argument("--schema", type=Path, default=Path("docs/config.schema.json"))
    arguments = options.parse_args()
    write_text(arguments.page, page())
    write_text(arguments.schema, schema_text())
    print(f"{arguments.page}, {arguments.schema}: all keys")


if __name__ == "__main__":
    run_script(main)
