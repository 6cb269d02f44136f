"""Write a study's plan: its runs with their labels and parents, and its settings."""

import json
from pathlib import Path

from stagewise.files import write_json
from stagewise.scripting import parser, run_script
from stagewise.study import load_config, make_plan, resolve_config


def main() -> None:
    """Read arguments, plan, write plan.json."""
    options = parser(__doc__)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="a configuration file")
    source.add_argument("--settings", help="a configuration as JSON")
    options.add_argument("--out", type=Path, required=True, help="plan.json")
    arguments = options.parse_args()
    if arguments.config:
        config = load_config(arguments.config)
    else:
        config = resolve_config(json.loads(arguments.settings), "--settings")
    plan = make_plan(config)
    header = {"study": config["study"], "title": config["title"], "config": config}
    write_json(arguments.out, {**header, "runs": plan.rows()})
    print(f"{arguments.out}: {len(plan.runs)} runs")


if __name__ == "__main__":
    run_script(main)
