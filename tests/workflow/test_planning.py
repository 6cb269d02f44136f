"""How long planning takes: 2,000 runs in five seconds, each ready study in ten."""

import json
import time

import yaml
from projects import copy_project

RUNS, SECONDS = 2000, 5.0
READY = 10.0
"""Seconds for a ready study."""


def test_two_thousand_runs_are_planned_in_five_seconds(tmp_path):
    """Wall time, the best of eight, because others may share the machine."""
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["seeds"] = list(range(222))
    path.write_text(json.dumps(config))
    taken = []
    for _ in range(8):
        start = time.perf_counter()
        listed = project.snakemake("-n", "-q", "rules")
        taken.append(time.perf_counter() - start)
        if taken[-1] < SECONDS:
            break
    total = next(line for line in listed.splitlines() if line.startswith("total "))
    assert int(total.split()[1]) > RUNS
    assert min(taken) < SECONDS, taken


def test_every_ready_study_is_planned_in_ten_seconds(tmp_path):
    """Wall time, the best of three; they take two seconds each on an idle machine."""
    project = copy_project(tmp_path)
    configs = sorted((project.folder / "config").glob("*.yaml"))
    studies = [path for path in configs if "pairs" in yaml.safe_load(path.read_text())]
    assert len(studies) > 6
    for path in studies:
        taken = []
        while len(taken) < 3 and min(taken, default=READY) >= READY:
            start = time.perf_counter()
            command = ("snakemake", "--configfile", str(path), "-n", "-q", "rules")
            listed = project.run(*command).stdout
            taken.append(time.perf_counter() - start)
        assert "train_teacher" in listed, path.name
        assert min(taken) < READY, path.name
