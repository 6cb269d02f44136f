"""Rounds of tuning: what a choice asks for is laid over the config until it asks for no more."""

import os
import subprocess
import sys

import pytest
import yaml
from projects import PROJECT
from snakemake.utils import update_config

from stagewise.study.config import load_yaml, resolve_config
from stagewise.study.config.reading import laid_over

CONFIGS = [PROJECT / "config.yaml", PROJECT / "config/digits-tune.yaml"]
STAND_IN = """#!{python}
import json
import sys
from pathlib import Path
log, result = Path("asked.log"), Path("results/digits-tune/wider.yaml")
files = sys.argv[sys.argv.index("--configfile") + 1 :]
rounds = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*rounds, " ".join(files)]))
result.parent.mkdir(parents=True, exist_ok=True)
rates = dict(rates=[0.8 if rounds else 0.4])
result.write_text(json.dumps(dict(tune=dict(wider=dict([("students/resnet.baseline", rates)])))))
sys.exit({status})
"""


def tune(folder, status=0, *more):
    stand_in = folder / "bin/snakemake"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(python=sys.executable, status=status))
    stand_in.chmod(0o755)
    environment = {**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(PROJECT / "src")
    command = [sys.executable, PROJECT / "scripts/tune.py", *CONFIGS, *more]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_round_takes_what_the_last_one_asked_for_until_it_asks_for_no_more(tmp_path):
    done = tune(tmp_path)
    assert done.returncode == 0, done.stderr
    rounds = [line.split() for line in (tmp_path / "asked.log").read_text().splitlines()]
    assert [len(files) for files in rounds] == [2, 3, 3]
    assert all(files[:2] == [str(path) for path in CONFIGS] for files in rounds)
    wider = yaml.safe_load((tmp_path / rounds[-1][2]).read_text())["tune"]["wider"]
    assert wider == {"students/resnet.baseline": {"rates": [0.8]}}
    assert "no arm's best rate is at an edge" in done.stdout


def test_it_says_so_where_the_rounds_do_not_suffice(tmp_path):
    done = tune(tmp_path, 0, "--rounds", "2")
    assert done.returncode == 0
    assert "still at an edge after 2 starts" in done.stdout


def test_a_snakemake_that_fails_ends_it(tmp_path):
    done = tune(tmp_path, 3)
    assert done.returncode == 3
    assert len((tmp_path / "asked.log").read_text().splitlines()) == 1


@pytest.mark.parametrize("over", ["digits-tune", "bf16"])
def test_files_are_laid_over_each_other_as_snakemake_does_it(over):
    files = [PROJECT / "config.yaml", PROJECT / f"config/{over}.yaml"]
    merged = load_yaml(files[0])
    update_config(merged, load_yaml(files[1]))
    assert laid_over(files) == resolve_config(merged)
