"""Judge a kept study again by the rules of today, from its records alone."""

from pathlib import Path

from stagewise.analysis.publish.again import judge_again
from stagewise.process.scripting import parser, run_script


def main() -> None:
    """Read arguments, judge, write."""
    options = parser(__doc__)
    options.add_argument("evidence", type=Path, help="evidence/<study>")
    evidence = options.parse_args().evidence.resolve().relative_to(Path.cwd())
    judge_again(evidence)
    print(f"{evidence}: judged again; commit it")


if __name__ == "__main__":
    run_script(main)
