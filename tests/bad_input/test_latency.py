"""``latency.py`` on a study in which the plan or the weights are hostile: one line that names the
file, never a traceback."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT
from hostile import json_damages, places

from stagewise.measure.latency import measure
from stagewise.models.store import load_network, save_network

WEIGHTS = "model.safetensors"
RUN = "runs/toy/students/p.baseline/seed-0"
PLAN: dict[str, Any] = {
    "study": "toy",
    "config": {
        "pairs": {"p": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}},
        "seeds": [0],
        "data": {"source": "digits"},
        "gate": {"points": 1.0},
        "claims_tested": [],
        "evaluation": {"ece_bins": 15, "latency_batches": [1], "latency_repeats": 1},
    },
    "runs": [
        {
            **{"path": RUN, "arm": "students/p.baseline", "step": "students", "name": "p.baseline"},
            **{"seed": 0, "parents": {}, "reference": ""},
        }
    ],
}


@pytest.fixture
def folder(tmp_path: Path, parents: dict[str, Path]) -> Path:
    """A study of one network that is done."""
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    weights = tmp_path / RUN / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(parents["student"].read_bytes())
    return tmp_path


def told(folder: Path, *more: str) -> str:
    """What the script says; empty where it does its work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = ["--plan", "plan.json", "--out", "latency.csv", "--threads", "1", *more]
        patch.setattr(sys, "argv", ["latency", *options])
        try:
            runpy.run_path(str(ROOT / "scripts/latency.py"), run_name="__main__")
        except SystemExit as end:
            said = str(end.code or "")
            assert not said or said.startswith("error: "), said
            assert len(said.splitlines()) <= 1, said
            return said
    return ""


def test_latency_is_measured(folder: Path) -> None:
    assert told(folder) == ""
    rows = (folder / "latency.csv").read_text().splitlines()
    assert rows[0] == "arm,exit,batch,milliseconds,low,high,repeats,threads,others"
    assert rows[1].startswith("students/p.baseline,final,1,")


def test_what_was_measured_on_a_quiet_machine_is_not_measured_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loaded machine's timings take the place of no quiet ones, and are measured again."""
    for others, again in ((0.0, False), (2.0, True)):
        monkeypatch.setattr("stagewise.measure.latency.others_between", lambda *_, o=others: o)
        (folder / "kept.csv").unlink(missing_ok=True)
        assert told(folder, "--kept", "kept.csv") == ""
        first = (folder / "latency.csv").read_text()
        monkeypatch.setattr("stagewise.measure.latency.others_between", lambda *_: 3.0)
        assert told(folder, "--kept", "kept.csv") == ""
        assert ((folder / "latency.csv").read_text() != first) == again
        assert len((folder / "kept.csv").read_text().splitlines()) == 2


def test_a_quiet_timing_stays_where_a_loaded_one_comes_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch size was quiet and the other not: both are measured again, and one is kept."""
    plan = json.loads((folder / "plan.json").read_text())
    plan["config"]["evaluation"]["latency_batches"] = [1, 2]
    (folder / "plan.json").write_text(json.dumps(plan))
    rows = []
    for loads in ([0.0, 2.0], [3.0, 3.0]):
        others = iter(loads)
        monkeypatch.setattr(
            "stagewise.measure.latency.others_between", lambda *_, o=others: next(o)
        )
        assert told(folder, "--kept", "kept.csv") == ""
        rows.append((folder / "latency.csv").read_text().splitlines()[1:])
        assert [*others] == [], "both were measured"
    first, second = rows
    assert second[0] == first[0]
    assert second[1] != first[1]
    assert [row.split(",")[-1] for row in second] == ["0.0", "3.0"]


def test_another_shape_is_new_and_an_equal_one_shares_its_timing(
    folder: Path, parents: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the weights: two networks of one shape, and one that has exits, too."""
    monkeypatch.setattr("stagewise.measure.latency.others_between", lambda *_: 0.0)
    assert told(folder, "--kept", "kept.csv") == ""
    before = (folder / "latency.csv").read_text().splitlines()[1]
    network, architecture = load_network(parents["student"])
    with torch.no_grad():
        network.classifier.weight.add_(1)
    plan = json.loads((folder / "plan.json").read_text())
    for arm in ("distillation/p.kd", "teachers/p.exits"):
        path = f"runs/toy/{arm}/seed-0"
        plan["runs"].append({**PLAN["runs"][0], "arm": arm, "path": path})
        (folder / path).mkdir(parents=True)
    save_network(network, architecture, folder / "runs/toy/distillation/p.kd/seed-0" / WEIGHTS)
    teacher = folder / "runs/toy/teachers/p.exits/seed-0" / WEIGHTS
    teacher.write_bytes(parents["teacher.exits"].read_bytes())
    (folder / "plan.json").write_text(json.dumps(plan))
    assert told(folder, "--kept", "kept.csv") == ""
    alone, taught, *exits = (folder / "latency.csv").read_text().splitlines()[1:]
    assert alone == before
    assert taught == before.replace("students/p.baseline", "distillation/p.kd")
    assert exits
    assert all(row.startswith("teachers/p.exits,") for row in exits)
    kept = [row.split(",") for row in (folder / "kept.csv").read_text().splitlines()]
    assert len({row[0] for row in kept[1:]}) == 2
    assert len(kept) == 1 + 1 + len(exits)


def test_another_number_of_repeats_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagewise.measure.latency.others_between", lambda *_: 0.0)
    assert told(folder, "--kept", "kept.csv") == ""
    plan = json.loads((folder / "plan.json").read_text())
    plan["config"]["evaluation"]["latency_repeats"] = 2
    (folder / "plan.json").write_text(json.dumps(plan))
    assert told(folder, "--kept", "kept.csv") == ""
    rows = [row.split(",") for row in (folder / "kept.csv").read_text().splitlines()]
    assert rows[1][0] == rows[2][0]
    place = rows[0].index("repeats")
    assert [row[place] for row in rows] == ["repeats", "1", "2"]


def test_exits_are_timed_one_after_the_other(parents: dict[str, Path]) -> None:
    rows = measure({"t": parents["teacher.exits"]}, [1, 2], repeats=1, threads=1)
    network, _ = load_network(parents["teacher.exits"])
    outputs = [*(str(k) for k in range(1, len(network.stages))), "ensemble"]
    assert [row["exit"] for row in rows if row["batch"] == 1] == outputs
    assert len(rows) == 2 * len(outputs)
    assert all(float(row["milliseconds"]) > 0 for row in rows)


@pytest.mark.parametrize("key", ["latency_batches", "latency_repeats"])
def test_a_plan_without_what_is_asked_for_is_named(folder: Path, key: str) -> None:
    plan = json.loads(json.dumps(PLAN))
    del plan["config"]["evaluation"][key]
    (folder / "plan.json").write_text(json.dumps(plan))
    assert told(folder) == f"error: plan.json: lacks 'evaluation.{key}'; delete it and run again"


def test_hostile_plans_are_named(folder: Path) -> None:
    plan = folder / "plan.json"
    for kind, damage in json_damages(plan):
        if "evaluation" not in kind and "path" not in kind and "arm" not in kind:
            continue
        content = plan.read_bytes()
        damage(plan)
        said = told(folder)
        # A path of another folder names what is not there; a label may be any text.
        assert not said or "plan.json: " in said or "no such weight file" in said, (kind, said)
        plan.write_bytes(content)


@pytest.mark.parametrize("file", ["plan.json", f"{RUN}/model.safetensors"])
@pytest.mark.parametrize(
    "kind", ["missing", "a folder", "a pipe", "a device", "empty", "cut short", "random bytes"]
)
def test_what_is_no_such_file_is_named(folder: Path, file: str, kind: str) -> None:
    places(folder / file)[kind](folder / file)
    assert f"error: {file}: " in told(folder)


@pytest.mark.parametrize("threads", ["0", "-1", "1000000000000"])
def test_threads_that_cannot_be_are_refused(folder: Path, threads: str) -> None:
    assert f"error: --threads: {threads} is not from 1 to" in told(folder, "--threads", threads)
