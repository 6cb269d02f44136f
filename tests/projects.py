"""Copies of the project for tests that run it as a user would."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
EXACT = ("model.safetensors", "record.json", "history.csv", "logits.npz")
"""Files in which equal runs are equal byte for byte."""

SMALL = {
    "title": "A small study of one pair",
    "seeds": [0],
    "data": {
        "source": "digits",
        "image_size": 8,
        "student_images_per_class": 10,
        "target_images_per_class": 3,
        "source_classes": [0, 1, 2, 3, 4],
    },
    "pairs": {
        "resnet": {
            "teacher": {"network": "resnet14", "width": 8},
            "student": {"network": "resnet8", "width": 8},
        }
    },
}
"""A config without ``study`` and ``training``."""

COPIED = ("Snakefile", "config.yaml", "config", "profiles", "scripts", "src", "workflow")


class Project:
    """A copy of the project and how to run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, with the copy's own package."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "STAGEWISE_DEVICE": "cpu",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """What ``snakemake`` prints for the smoke study."""
        command = ("snakemake", "--configfile", "config/smoke.yaml", "--cores", "2", *arguments)
        done = self.run(*command, check=check)
        return done.stdout + done.stderr

    def planned(self, *arguments: str) -> set[str]:
        """Messages of the jobs that a dry run lists."""
        lines = self.snakemake("-n", *arguments).splitlines()
        return {line.split(": ", 1)[1] for line in lines if re.match(r"(local)?[Jj]ob \d+: ", line)}

    def configure(self, study: str, **training: object) -> None:
        """Write ``SMALL`` as the copy's study."""
        training = {"batch_size": 25, "crop": 1, "flip": False, **training}
        config = {"study": study, **SMALL, "training": training}
        (self.folder / "config.yaml").write_text(json.dumps(config))

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file; the old text must stand there."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} lacks {old!r}"
        file.write_text(text.replace(old, new))


def copy_project(folder: Path) -> Project:
    """The project's sources in a new folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    return Project(folder)
