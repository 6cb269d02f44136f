"""Cut a run's network at one of its exits and save what that exit needs: python scripts/cut.py RUN
--exit 2 --out FOLDER."""

from pathlib import Path

from stagewise.process.scripting import importing, parser, run_script


def main() -> None:
    """Read arguments, cut, write a folder like a run's."""
    options = parser(__doc__)
    options.add_argument("run", type=Path, metavar="RUN", help="folder of a run with exits")
    options.add_argument("--exit", type=int, required=True, help="exit to cut at, from 1")
    options.add_argument("--out", type=Path, required=True, help="new folder")
    arguments = options.parse_args()
    with importing():
        from stagewise.runs.cut import cut_run
    (cost,) = cut_run(arguments.run, arguments.exit, arguments.out)
    print(
        f"{arguments.out}: exit {arguments.exit}, {cost['parameters']:,} parameters,"
        f" {cost['macs']:,} multiply-adds"
    )


if __name__ == "__main__":
    run_script(main)
