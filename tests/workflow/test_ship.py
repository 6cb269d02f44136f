"""From a target to its parts: what is started, with which configs, in which order."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from projects import PROJECT

from stagewise.forecast.smaller import tuning, variants
from stagewise.study.config import resolve_config
from stagewise.study.config.reading import laid_over

CONFIG = {
    "study": "toy",
    "seeds": [0, 1, 2, 3],
    "data": {"source": "digits", "image_size": 8},
    "teacher": {"network": "resnet8", "width": 8},
    "student": {"network": "resnet8", "width": 4},
    "training": {"epochs": 1, "batch_size": 50, "crop": 1, "flip": False},
    "target": {"macs": "1.5x"},
}
STAND_IN = """#!{python}
import json
import sys
from pathlib import Path
files = sys.argv[sys.argv.index("--configfile") + 1 :]
log = Path("asked.log")
rounds = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*rounds, json.dumps(files)]))
both = [dict(pair="resnet8", form=form, ratio=1.5) for form in ("float32", "int8")]
found = dict(
    search=dict(target=dict(candidates=both)),
    learning_rates=dict(learning_rates={{"students/resnet8.baseline": 0.05}}),
    wider=dict(tune=dict(wider={{}})),
)
for study, names in (("toy", ["search"]), ("toy-tune", ["learning_rates", "wider"])):
    folder = Path("results") / study
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{{name}}.yaml").write_text(json.dumps(found[name]))
(Path("results/toy/ship")).mkdir(exist_ok=True)
Path("results/toy/ship/ship.json").write_text(json.dumps(dict(verdict="All is well.")))
sys.exit({status})
"""


def ship(folder, *more, status=0, **target):
    stand_in = folder / "bin/snakemake"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(python=sys.executable, status=status))
    stand_in.chmod(0o755)
    (folder / "scripts").symlink_to(PROJECT / "scripts")
    content = {**CONFIG, "target": {**CONFIG["target"], **target}}
    (folder / "toy.yaml").write_text(yaml.safe_dump(content))
    environment = {**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(PROJECT / "src")
    command = [sys.executable, "scripts/ship.py", "toy.yaml", *more]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    log = folder / "asked.log"
    return done, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_it_searches_says_what_it_takes_tunes_trains_and_says_the_verdict(tmp_path):
    done, starts = ship(tmp_path)
    assert done.returncode == 0, done.stderr
    first, tuned, again, last = starts
    assert first == ["toy.yaml"]
    assert tuned[:2] == ["toy.yaml", "results/toy/search.yaml"]
    assert again[:3] == tuned  # what is at an edge is asked for once more
    assert last == ["toy.yaml", "results/toy/search.yaml", "results/toy-tune/learning_rates.yaml"]
    trials = laid_over([tmp_path / file for file in tuned])
    assert (trials.study, trials.seeds) == ("toy-tune", (100, 101, 102))
    assert trials.tune.rates == (0.02, 0.05, 0.1)
    lines = done.stdout.splitlines()
    words = [line.split(":")[0].strip() for line in lines if " runs)" in line]
    assert words[0] == "as asked"
    assert any("without tuning" in line for line in words)
    assert "All is well." in lines


def test_a_forecast_trains_nothing(tmp_path):
    done, starts = ship(tmp_path, "--forecast")
    assert done.returncode == 0, done.stderr
    assert starts == [["toy.yaml"]]


def test_candidates_of_ones_own_need_no_search(tmp_path):
    own = [{"pair": "resnet8", "form": "float32", "ratio": 1.5}]
    done, starts = ship(tmp_path, candidates=own, rates=[])
    assert done.returncode == 0, done.stderr
    assert starts == [["toy.yaml"]]


def test_it_ends_with_the_status_of_what_failed(tmp_path):
    done, starts = ship(tmp_path, status=3)
    assert done.returncode == 3
    assert len(starts) == 1


def test_a_config_without_a_target_is_refused(tmp_path):
    (tmp_path / "scripts").symlink_to(PROJECT / "scripts")
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({k: CONFIG[k] for k in [*CONFIG][:-1]}))
    done = subprocess.run(
        [sys.executable, "scripts/ship.py", "toy.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "toy.yaml: has no target" in done.stderr


@pytest.mark.parametrize("rates", [[], [0.1]])
def test_there_is_nothing_to_tune_without_several_rates(rates):
    target = {**CONFIG["target"], "rates": rates}
    assert tuning(resolve_config({**CONFIG, "target": target})) is None


def test_smaller_searches_are_smaller():
    both = [{"pair": "resnet8", "form": form, "ratio": 1.5} for form in ("float32", "int8")]
    config = resolve_config({**CONFIG, "target": {**CONFIG["target"], "candidates": both}})
    found = dict(variants(config))
    assert next(iter(found)) == "as asked"
    assert len(found["as asked"]) == 2
    assert any(len(studies) == 1 for studies in found.values())
    assert any(studies[0].seeds == (0, 1, 2) for studies in found.values())
    assert any(len(studies[0].target.candidates) == 1 for studies in found.values())
