"""Write a study's plan: its runs with their labels and parents, and its settings."""

import sys
from pathlib import Path

from stagewise.files import write_json
from stagewise.process.scripting import json_object, parser, run_script
from stagewise.study.config import load_config, resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.warnings import find_warnings


def main() -> None:
    """Read arguments, plan, write plan.json."""
    options = parser(__doc__)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="a configuration file")
    source.add_argument("--settings", type=json_object, help="a configuration as JSON")
    options.add_argument("--out", type=Path, required=True, help="plan.json")
    arguments = options.parse_args()
    name = str(arguments.config or "--settings")
    config = load_config(name) if arguments.config else resolve_config(arguments.settings, name)
    plan = make_plan(config, name)
    for line in find_warnings(plan):
        print(f"warning: {name}: {line}", file=sys.stderr)
    write_json(arguments.out, plan.written())
    print(f"{arguments.out}: {len(plan.runs)} runs")


if __name__ == "__main__":
    run_script(main)
