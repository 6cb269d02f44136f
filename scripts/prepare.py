"""Split a data source into train, validation and test images, and choose the students' few."""

from pathlib import Path

from stagewise.data.prepare import prepare
from stagewise.data.raw import load_raw
from stagewise.files import write_json
from stagewise.process.scripting import json_object, parser, run_script


def main() -> None:
    """Read arguments, split, write prepared.safetensors and a readable summary."""
    options = parser(__doc__)
    options.add_argument("--raw", type=Path, required=True, help="raw.safetensors")
    options.add_argument(
        "--settings", type=json_object, required=True, help="the config's data block, as JSON"
    )
    options.add_argument("--out", type=Path, required=True, help="prepared.safetensors")
    options.add_argument("--summary", type=Path, required=True, help="counts and classes, JSON")
    arguments = options.parse_args()
    info = prepare(load_raw(arguments.raw), arguments.settings, arguments.out)
    write_json(arguments.summary, info)
    print(", ".join(f"{name} {count}" for name, count in info["counts"].items()))


if __name__ == "__main__":
    run_script(main)
