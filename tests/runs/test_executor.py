"""Runs done several at once, without Snakemake, are the runs that are done one by one."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import CPU, ROOT, toy_data

from stagewise.errors import UserError
from stagewise.runs import executor
from stagewise.runs.executor import Machine, execute, unfinished
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan
from stagewise.training.trainer import OutOfTime

SCRIPTS = ROOT / "scripts"


def plan(**changes: Any) -> Plan:
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    network = {"teacher": {"network": "resnet8", "width": 4}}
    config["pairs"] = {"resnet": {**network, "student": {"network": "resnet8", "width": 4}}}
    config |= {"pruning": [{"pair": "resnet", "ratios": [1.5], "recover": ["kd"]}], **changes}
    return make_plan(resolve_config(config, "smoke"), "smoke")


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.glob("runs/**/*")) if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.name != "timing.json"}


def machine(jobs: int = 1, deadline: float | None = None) -> Machine:
    return Machine(SCRIPTS, CPU, jobs, deadline)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return toy_data(tmp_path / "prepared.safetensors")


def test_runs_that_share_a_process_leave_the_same_bytes(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, found = plan(), []
    for jobs in (1, 3):
        folder = tmp_path / f"{jobs}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        runs = [*unfinished(study, data, machine())]
        assert [run.path for run in runs] == list(study.runs)
        execute(runs, data, machine(jobs))
        assert unfinished(study, data, machine()) == {}
        found.append(files(folder))
    assert found[0] == found[1]
    assert sum(name.endswith("record.json") for name in found[0]) == len(study.runs)
    torch.set_num_threads(1)


def test_only_what_changed_is_left_with_its_descendants(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    execute([*unfinished(plan(), data, machine())], data, machine(2))
    changed = plan(learning_rates={"students/resnet.baseline": 0.01})
    left = {run.arm for run in unfinished(changed, data, machine())}
    assert "students/resnet.baseline" in left
    assert "recovery/resnet.baseline.l2-1.5x.kd" in left
    assert not left & {"teachers/resnet", "distillation/resnet.kd"}


def test_records_that_are_not_of_these_inputs_are_left_and_named(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = plan()
    execute([*unfinished(study, data, machine())], data, machine(2))
    teacher = tmp_path / "runs/smoke/teachers/resnet/seed-0/record.json"
    content = json.loads(teacher.read_text())
    student = "distillation/resnet.kd"

    def left() -> dict[str, str]:
        return {run.arm: why for run, why in unfinished(study, data, machine()).items()}

    teacher.write_text(json.dumps(content | {"model_sha256": "f" * 64}))
    found = left()
    assert found[student] == f"weights of its teacher {content['model_sha256']:.8}, now ffffffff"
    assert not found.keys() & {"teachers/resnet", "students/resnet.baseline"}
    teacher.write_text(json.dumps(content | {"code": "e" * 16}))
    found = left()
    assert found["teachers/resnet"].startswith("code eeeeeeee, now ")
    assert found[student] == "a parent is done again"
    for damaged in ("[]", "{", '{"spec": 1}', '{"spec": {}, "parents": [1]}'):
        teacher.write_text(damaged)
        assert left()["teachers/resnet"] == "its record is damaged"
    teacher.unlink()
    assert left()["teachers/resnet"] == ""
    teacher.write_text(json.dumps(content))
    assert left() == {}
    toy_data(data, split_seed=1)
    found = left()
    assert len(found) == len({run.arm for run in study.runs.values()})
    assert all(why.startswith("data ") for why in found.values())


def test_a_spent_budget_goes_on_later(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = plan()
    with pytest.raises(OutOfTime):
        execute([*unfinished(study, data, machine())], data, machine(2, time.monotonic() + 0.2))
    left = unfinished(study, data, machine())
    assert left
    execute([*left], data, machine(2))
    assert unfinished(study, data, machine()) == {}


def test_a_failed_run_names_itself_and_costs_only_what_starts_from_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    real = executor.train_run

    def broken(spec: Any, inputs: Any, out: Path, **options: Any) -> None:
        if "students" in str(out):
            raise UserError(f"{out}: broken")
        real(spec, inputs, out, **options)

    monkeypatch.setattr(executor, "train_run", broken)
    study = plan()
    with pytest.raises(UserError, match=r"students/.*: broken"):
        execute([*unfinished(study, data, machine())], data, machine(2))
    left = {run.step for run in unfinished(study, data, machine())}
    assert left == {"students", "pruning", "recovery"}


@pytest.mark.parametrize("criterion", ["group_sl", "taylor"])
def test_criteria_that_train_first_or_look_at_images(
    criterion: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = {"pair": "resnet", "criterion": criterion, "ratios": [1.5], "recover": []}
    study = plan(pruning=[block])
    [pruned] = study.step("pruning")
    needed, path = [pruned], pruned.parents["init"]
    while path:
        needed.insert(0, study.runs[path])
        path = study.runs[path].parents.get("init", "")
    trained = ["recovery"] * (criterion == "group_sl")
    assert [run.step for run in needed] == ["students", *trained, "pruning"]
    execute(needed, data, machine())
    record = json.loads((Path(pruned.path) / "record.json").read_text())
    assert record["pruning"]["ratio_reached"] == pytest.approx(1.5, rel=0.12)
    assert record["spec"]["criterion"] == criterion


def test_the_script_does_a_study(tmp_path: Path) -> None:
    """As on a machine that has Python and torch alone; again, nothing is left."""
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def study(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPTS / "study.py"), "--config", "smoke.yaml", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    for jobs in ("0", "33"):
        refused = study("--jobs", jobs)
        assert f"--jobs: {jobs} is not from 1 to 32" in refused.stderr
        assert refused.returncode == 1
    for device in ("nonsense", "cuda:99"):  # before any data are made
        refused = study("--device", device)
        assert refused.stderr.startswith(f"error: --device: '{device}' is "), refused
        assert [path.name for path in tmp_path.iterdir()] == ["smoke.yaml"]
    count = len(make_plan(resolve_config(config, "smoke"), "smoke").runs)
    for left in (count, 0):
        done = study("--device", "cpu", "--jobs", "2")
        assert (done.returncode, f"{left} of {count} runs to do" in done.stdout) == (0, True), done
        assert f"{count - left} of {count} records are as planned and stay" in done.stdout
    config["data"]["split_seed"] = 5
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    other = study("--device", "cpu", "--budget", "0.001s")
    assert f"0 of {count} records are as planned and stay" in other.stdout, other
    assert "not as planned, done again: runs/smoke/pretraining/resnet/seed-0: data " in other.stdout
    assert f"{count} of {count} runs to do" in other.stdout
    assert other.returncode == 75
    assert len(list(tmp_path.glob("runs/smoke/**/record.json"))) == count
