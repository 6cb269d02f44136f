"""Print how wide each pair's student must be to take as many MACs as it does with exits."""

from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.scripting import importing, parser, run_script
from stagewise.study.config import load_yaml, resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan


def main() -> None:
    """Read arguments, plan, build networks without weights, print a line per pair."""
    options = parser(__doc__)
    options.add_argument("config", type=Path, help="a configuration file with multi_exit.pairs")
    name = str(options.parse_args().config)
    raw = load_yaml(name)
    if isinstance(raw, dict) and isinstance(raw.get("multi_exit"), dict):
        raw["multi_exit"].pop("controls", None)  # what it prints is what they wait for
    config = resolve_config(raw, name)
    plan = make_plan(config, name)
    size = data_size(config, Path(f"data/{config.study}/summary.json"))
    with importing():
        from stagewise.runs.widths import wide_students
    lines = [*wide_students(plan, size)]
    if not lines:
        raise UserError(f"{name}: no pair has a student with exits; list some in multi_exit.pairs")
    print("\n".join(lines))


if __name__ == "__main__":
    run_script(main)
