"""What planning costs: 2,000 runs in a bounded number of calls; ready studies are planned."""

import json
import pstats
import shutil
import sys
from pathlib import Path

import yaml
from projects import copy_project

RUNS = 2000
START, A_JOB = 3_000_000, 10_500
"""Most function calls of a dry run: 2.5 million and 9,700 a job now, 10,400 with many methods, on
every machine, whatever else it does. They bound the work, not the seconds, which
``benchmarks/scaling.py`` times.
"""


def plan(project, config):
    """A dry run's jobs, and whether they took no more calls than they may."""
    snakemake = shutil.which("snakemake", path=str(Path(sys.executable).parent))
    planning = (snakemake, "--configfile", str(config), "--cores", "2", "-n", "-q", "rules")
    listed = project.run(sys.executable, "-m", "cProfile", "-o", "calls", *planning).stdout
    jobs = int(next(line for line in listed.splitlines() if line.startswith("total ")).split()[1])
    calls = pstats.Stats(str(project.folder / "calls")).total_calls
    return jobs, calls < START + A_JOB * jobs


def test_two_thousand_runs_are_planned_in_bounded_work(tmp_path):
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["seeds"] = list(range(222))
    path.write_text(json.dumps(config))
    jobs, bounded = plan(project, path)
    assert jobs > RUNS
    assert bounded


def test_assistants_and_parts_of_teachers_have_rules(tmp_path):
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["pairs"]["resnet"]["assistants"] = [{"network": "resnet20"}, {"network": "resnet14"}]
    config["methods"] = {"takd": {"method": "kd", "teacher": "assistant"}}
    config["methods"]["oto_assisted"] = {"method": "oto", "teacher": "assistant"}
    config["distillation"]["methods"] = config["two_stage"]["methods"] = ["kd", "takd"]
    config["multi_exit"]["methods"] = ["oto", "oto_assisted"]
    path.write_text(json.dumps(config))
    planned = project.planned()
    for name in ("assistant-1", "assistant-2", "target.assistant-1", "target.assistant-2"):
        assert f"Assistant resnet.{name}, seed 0" in planned
    for name in ("exits", "assistant-2.exits"):
        assert f"Part of teacher resnet.{name}, seed 0" in planned
    assert "Teacher resnet.target, seed 0" in planned


def test_recoveries_that_log_the_shock_have_a_rule_of_their_own(tmp_path):
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    probed, plain = "kd", "ce"
    config["pruning"][0] |= {"recover": [probed, plain], "probe": [probed]}
    path.write_text(json.dumps(config))
    stem = "runs/smoke/recovery/resnet.baseline.l2-2x"
    planned = project.planned(
        f"{stem}.{probed}/seed-0/shock.csv", f"{stem}.{plain}/seed-0/record.json"
    )
    for name in (probed, plain):
        assert f"Recovery resnet.baseline.l2-2x.{name}, seed 0" in planned
    said = project.snakemake("-n", f"{stem}.{plain}/seed-0/shock.csv", check=False)
    assert "MissingRuleException" in said


def test_runs_that_log_no_shock_have_rules_of_their_own(tmp_path):
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["two_stage"] |= {"common_rates": [0.1], "probe_own_rates": False}
    path.write_text(json.dumps(config))
    for arm in ("students/resnet.pretrained", "two_stage/resnet.kd"):
        own, common = f"runs/smoke/{arm}/seed-0", f"runs/smoke/{arm}.lr-0.1/seed-0"
        planned = project.planned(f"{own}/record.json", f"{common}/shock.csv")
        for name in (arm, f"{arm}.lr-0.1"):
            ending = f" {name.partition('/')[2]}, seed 0"
            assert any(message.endswith(ending) for message in planned)
        said = project.snakemake("-n", f"{own}/shock.csv", check=False)
        assert "MissingRuleException" in said


def test_every_ready_study_is_planned_in_bounded_work(tmp_path):
    project = copy_project(tmp_path)
    configs = sorted((project.folder / "config").glob("*.yaml"))
    studies = [path for path in configs if "pairs" in yaml.safe_load(path.read_text())]
    assert len(studies) > 6
    for path in studies:
        jobs, bounded = plan(project, path)
        assert jobs > len(yaml.safe_load(path.read_text())["pairs"]), path.name
        assert bounded, path.name
