"""Find on this machine's clock which networks could reach a study's target; trains nothing.

Writes every measurement, and the candidates as a configuration to lay over the study's.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from stagewise.errors import UserError
from stagewise.files import write_text
from stagewise.process.scripting import importing, json_object, parser, run_script
from stagewise.study.config import resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan


def main() -> None:
    """Read arguments, search, write search.csv and search.yaml."""
    options = parser(__doc__)
    options.add_argument("--settings", type=json_object, required=True, help="the study as JSON")
    options.add_argument("--data", type=Path, required=True, help="the prepared data's summary")
    options.add_argument("--out", type=Path, required=True, help="search.csv")
    options.add_argument("--found", type=Path, required=True, help="search.yaml")
    arguments = options.parse_args()
    config = resolve_config(arguments.settings, "--settings")
    if not config.target:
        raise UserError("--settings: has no target; say what a network must reach")
    plan, size = make_plan(config), data_size(config, arguments.data)
    with importing():
        from stagewise.runs.folder import csv_text
        from stagewise.ship.search import Search, refusal
    with TemporaryDirectory() as folder:
        search = Search(plan, size, Path(folder))
        candidates = [candidate.as_dict() for candidate in search.candidates()]
    write_text(arguments.out, csv_text([probe.row(config.target) for probe in search.probes]))
    if not candidates:
        raise UserError(f"target: {refusal(search.probes, config.target)}")
    found = {"target": {"candidates": candidates}}
    write_text(arguments.found, yaml.safe_dump(found, sort_keys=False))
    for each in candidates:
        print(f"{each['pair']}, {each['form']}: {each['ratio']:g} times fewer multiply-adds")


if __name__ == "__main__":
    run_script(main)
