"""Build every method that may not fit its networks once, without numbers; says which do not."""

from pathlib import Path

from stagewise.errors import UserError
from stagewise.files import write_text
from stagewise.process.scripting import importing, json_object, parser, run_script
from stagewise.study.config import load_config, resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan


def main() -> None:
    """Read arguments, plan, build, write the mark that says that all fit."""
    options = parser(__doc__)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="a configuration file")
    source.add_argument("--settings", type=json_object, help="a configuration as JSON")
    options.add_argument("--name", default="config", help="what messages call it")
    options.add_argument("--out", type=Path, help="a mark to write where all fit")
    arguments = options.parse_args()
    name = str(arguments.config or arguments.name)
    config = load_config(name) if arguments.config else resolve_config(arguments.settings, name)
    plan = make_plan(config, name)
    size = data_size(config, Path(f"data/{config.study}/summary.json"))
    with importing():
        from stagewise.runs.fits import misfits
    lines = [f"{name}: {line}" for line in misfits(plan, size)]
    if lines:
        raise UserError("\n".join(lines))
    if arguments.out:
        write_text(arguments.out, "all methods fit their networks\n")


if __name__ == "__main__":
    run_script(main)
