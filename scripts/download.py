"""Fetch a data source, check its content, and store it as arrays."""

from pathlib import Path

from stagewise.data.raw import save_raw
from stagewise.data.sources.base import load_source
from stagewise.process.scripting import json_object, parser, run_script


def main() -> None:
    """Read arguments, load the source, write raw.safetensors."""
    options = parser(__doc__)
    options.add_argument("--source", required=True, help="a file of src/stagewise/data/sources/")
    options.add_argument(
        "--options", type=json_object, default="{}", help="the source's options, as JSON"
    )
    options.add_argument(
        "--cache", type=Path, default=Path("work/downloads"), help="where downloads are kept"
    )
    options.add_argument("--out", type=Path, required=True, help="raw.safetensors")
    arguments = options.parse_args()
    raw = load_source(arguments.source, arguments.options, arguments.cache)
    save_raw(raw, arguments.out)
    print(f"{arguments.out}: {len(raw.labels)} images, {len(raw.classes)} classes")


if __name__ == "__main__":
    run_script(main)
