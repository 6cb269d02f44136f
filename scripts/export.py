"""Write files of a run's network that run anywhere, checked and timed: python scripts/export.py RUN
[--int8]."""

import re
from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.scripting import importing, parser, run_script


def main() -> None:
    """Read arguments, export, say what was written."""
    options = parser(__doc__)
    options.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    options.add_argument("--out", type=Path, help="folder to write; RUN/ship where not said")
    options.add_argument("--data", type=Path, help="its prepared data; else those above RUN")
    options.add_argument("--int8", action="store_true", help="files in eight bits too")
    options.add_argument(
        "--pixels", action="store_true", help="graphs take uint8 and normalise themselves"
    )
    options.add_argument(
        "--frame", metavar="HxW", help="a file more, frame.onnx, that takes uint8 frames so large"
    )
    options.add_argument("--batch", type=int, default=32, help="images a call that is timed")
    options.add_argument("--repeats", type=int, default=30, help="calls that are timed")
    options.add_argument("--licence", default="", help="of the weights, for the model card")
    arguments = options.parse_args()
    for name, most in (("batch", 4096), ("repeats", 100_000)):
        if not 1 <= getattr(arguments, name) <= most:
            raise UserError(f"--{name}: {getattr(arguments, name)} is not from 1 to {most:,}")
    try:
        with importing():
            from stagewise.ship.export import Wanted, export_run
    except ModuleNotFoundError as error:
        raise UserError(f"{error}; the extra has it: pip install 'stagewise[ship]'") from None
    given = ("int8", "pixels", "batch", "repeats", "licence")
    wanted = {name: getattr(arguments, name) for name in given}
    wanted["frame"] = _frame(arguments.frame) if arguments.frame else None
    out = arguments.out or arguments.run / "ship"
    for row in export_run(arguments.run, out, arguments.data, Wanted(**wanted))["files"]:
        print(
            f"{out / row['file']}: {row['bytes']:,} bytes, {row['test_accuracy']:.2f} % right,"
            f" {row['same']:.2f} % of the answers as in PyTorch"
        )


def _frame(text: str) -> tuple[int, int]:
    """Height and width.

    Raises:
        UserError: it says something else.
    """
    if not re.fullmatch("[1-9][0-9]{0,3}x[1-9][0-9]{0,3}", text):
        raise UserError(f"--frame: '{text:.40}' is no height and width; give them like 480x640")
    height, width = map(int, text.split("x"))
    return height, width


if __name__ == "__main__":
    run_script(main)
