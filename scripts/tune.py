"""Tune a study until no arm's best rate is at the edge of what was tried.

Runs Snakemake on a tuning study, lays what its choice asks for over the config, and again; what is
finished is not repeated. The rates end in results/<study>/learning_rates.yaml.
"""

import shutil
import subprocess
from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.scripting import parser, run_script
from stagewise.study.config.reading import laid_over


def main() -> int:
    """Read the configs, run Snakemake round by round."""
    options = parser(__doc__)
    options.add_argument("configs", type=Path, nargs="+", help="config files, the tuning one last")
    options.add_argument("--rounds", type=int, default=6, help="at most so many starts")
    options.add_argument("--snakemake", nargs="*", default=[], help="arguments for Snakemake")
    arguments = options.parse_args()
    config = laid_over(arguments.configs)
    if not config.tune:
        raise UserError(f"{arguments.configs[-1]}: no tuning study; it needs 'tune: rates: [...]'")
    wider = Path("work/tune") / f"{config.study}.yaml"
    result = Path("results") / config.study / "wider.yaml"
    for _ in range(arguments.rounds):
        files = [*arguments.configs, *([wider] if wider.exists() else [])]
        command = ["snakemake", *arguments.snakemake, "--configfile", *map(str, files)]
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
        if wider.exists() and wider.read_bytes() == result.read_bytes():
            print("no arm's best rate is at an edge")
            return 0
        wider.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(result, wider)
    print(f"some best rates are still at an edge after {arguments.rounds} starts, see {result}")
    return 0


if __name__ == "__main__":
    run_script(main)
