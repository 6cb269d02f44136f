"""How many runs of a study are done again after an edit that does nothing, file by file.

A function that nobody calls is added to a file of a copy; a run's own code counts where its
fingerprint moves, and the runs that descend from it are done again too.
"""

import argparse
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from stagewise import catalogue
from stagewise.study import fingerprint
from stagewise.study.config import load_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan

ROOT = Path(__file__).resolve().parents[1]
NOTHING = "\n\ndef nothing() -> None:\n    pass\n"


class Copy:
    """A copy of package and scripts, and the code of a plan's runs as it is there."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.package, self.scripts = plan, folder / "stagewise", folder / "scripts"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/stagewise", self.package, ignore=ignored)
        shutil.copytree(ROOT / "scripts", self.scripts, ignore=ignored)
        fingerprint.PACKAGE = self.package
        self.before = self.codes()

    def codes(self) -> dict[str, str]:
        """Run → fingerprint."""
        fingerprint.fingerprint.cache_clear()
        fingerprint._scan.cache_clear()
        fingerprint._module_path.cache_clear()
        return {
            path: fingerprint.fingerprint(
                self.scripts / ("prune.py" if run.step == "pruning" else "train.py"),
                *run.spec.modules(),
            )
            for path, run in self.plan.runs.items()
        }

    def reruns(self, file: Path) -> tuple[int, int]:
        """Runs whose own code an edit of ``file`` changes, and all that are done again."""
        text = file.read_text(encoding="utf-8")
        file.write_text(text + NOTHING, encoding="utf-8")
        moved = {path for path, code in self.codes().items() if code != self.before[path]}
        file.write_text(text, encoding="utf-8")
        again: set[str] = set()
        for path, run in self.plan.runs.items():  # parents first
            if path in moved or again & {*run.parents.values()}:
                again.add(path)
        return len(moved), len(again)


def rooms(package: Path) -> Iterator[tuple[str, Path]]:
    """Room and file, of every file of the package."""
    for file in sorted(package.rglob("*.py")):
        inside = file.relative_to(package)
        yield (inside.parts[0] if len(inside.parts) > 1 else inside.name), file


def main() -> None:
    """Count and print, by room and, with ``--files``, by file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, default=ROOT / "config.yaml")
    options.add_argument("--files", action="store_true", help="a line for each file")
    arguments = options.parse_args()
    plan = make_plan(load_config(arguments.config))
    found: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="stagewise-reruns-") as folder:
        copy = Copy(plan, Path(folder))
        for room, file in rooms(copy.package):
            found[room].append((*copy.reruns(file), str(file.relative_to(copy.package))))
    print(f"{len(plan.runs)} runs; own code changed (and with all that descend), least to most")
    for room, counts in found.items():
        least, most = min(counts), max(counts)
        print(
            f"{room:18} {len(counts):3} files  {least[0]:3} ({least[1]}) … {most[0]:3} ({most[1]})"
        )
        if arguments.files:
            for own, again, name in counts:
                print(f"    {name:40} {own:3} ({again})")


if __name__ == "__main__":
    assert catalogue.PACKAGE == ROOT / "src/stagewise"
    main()
