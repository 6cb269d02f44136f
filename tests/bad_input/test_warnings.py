"""Valid studies that cannot show what they test, and what a user is told at the command line."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from configs import GOOD
from projects import PROJECT, copy_project

from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.warnings import find_warnings


def warnings(**changes: Any) -> str:
    return "\n".join(find_warnings(make_plan(resolve_config({**copy.deepcopy(GOOD), **changes}))))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"seeds": [0, 1, 2]}, "seeds: 3 seeds are descriptive only|needs 6"),
        ({"claims_tested": ["A4", "B3"]}, "claims_tested.1: 'B3'|multi_exit/p.oto_star|drop"),
        (
            {"claims_tested": ["A5b"], "pruning": []},
            "claims_tested.0: 'A5b'|recovery/p.baseline.l2-2x.two_stage_kd|add the steps",
        ),
        (
            {"claims_tested": ["A1"]},
            "claims_tested.0: 'A1'|two_stage/p.one-stage.kd.lr-*|add the steps",
        ),
        (
            {"claims_tested": ["A3b"], "learning_rates": {"two_stage/p.kd": 0.1}},
            "claims_tested.0: 'A3b' compares two_stage/p.kd, two_stage/p.one-stage.kd|"
            "lists two_stage/p.kd alone; tune all of them, or none",
        ),
        (
            {"distillation": {"pairs": ["p"]}, "learning_rates": {}},
            "distillation.methods: []|add a method",
        ),
        (
            {"methods": {"hot": {"method": "kd"}, "kd": {"training": {"epochs": 480}}}},
            "methods.kd.training.epochs: holds in recovery too|another label",
        ),
        ({"training": {"batch_size": 500}}, "batch_size: 500|100 images of students|lower it"),
        ({"training": {"batch_size": 33}}, "batch_size: 33|one of the 100 images|by one"),
    ],
)
def test_what_a_study_cannot_show_is_a_warning(changes: dict[str, Any], parts: str) -> None:
    text = warnings(**changes)
    assert all(part in text for part in parts.split("|")), text


def test_a_tuning_study_is_not_warned_about_claims() -> None:
    chains = {"seeds": [0, 1, 2], "replicates": "chains"}
    assert warnings(**chains, claims_tested=["B3"], tune={"rates": [0.1, 0.2]}) == ""


def test_the_claim_that_is_in_reach_is_not_warned_about() -> None:
    claims = ["A1", "A2", "A3a", "A3b", "A4", "A5a", "A5b", "B2", "B4", "B5"]
    common = {**GOOD["two_stage"], "common_rates": [0.1]}
    assert warnings(claims_tested=claims, two_stage=common) == ""
    both = {"two_stage/p.kd": 0.1, "two_stage/p.one-stage.kd": 0.1}
    assert warnings(claims_tested=["A3b"], learning_rates=both) == ""


def test_snakemake_warns_once_and_refuses_in_plain_words(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    warned = project.snakemake("-n", "prepare")
    lines = [line for line in warned.splitlines() if line.startswith("warning: ")]
    assert ["config/smoke.yaml: seeds: 1 seed is descriptive only" in x for x in lines] == [True]
    project.replace("config/smoke.yaml", "ratios: [2]", "ratios: [60]")
    project.replace("config/smoke.yaml", "network: resnet8", "network: resnet9")
    text = project.snakemake("-n", check=False)
    assert "config/smoke.yaml: pairs.resnet.student.network: 'resnet9'" in text
    assert "config/smoke.yaml: pruning.0.ratios.0: 60 cannot be reached" in text
    assert "Traceback" not in text
    assert not (tmp_path / "runs").exists()


def test_the_plan_script_warns_and_refuses_in_plain_words(tmp_path: Path) -> None:
    config, out = tmp_path / "bad.yaml", tmp_path / "plan.json"
    command = (sys.executable, str(PROJECT / "scripts/plan.py"), "--out", str(out))
    config.write_text((PROJECT / "config/smoke.yaml").read_text())
    done = subprocess.run([*command, "--config", config], capture_output=True, text=True)
    assert done.returncode == 0
    assert f"warning: {config}: seeds: 1 seed" in done.stderr
    out.unlink()
    config.write_text(config.read_text().replace("seeds: [0]", "seeds: [-1]\nsedes: [0]"))
    done = subprocess.run([*command, "--config", config], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {config}: ")
    assert done.stderr.count(str(config)) == 2
    assert "Traceback" not in done.stderr
    done = subprocess.run([*command, "--settings", "{"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
