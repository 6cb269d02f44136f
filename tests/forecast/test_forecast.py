"""The forecast: what is counted, how it adds up, how what was not measured is filled in."""

import copy
import math
import re
import runpy
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, ROOT

from stagewise.data.prepare import prepare
from stagewise.data.sources.base import load_source
from stagewise.errors import UserError
from stagewise.files import write_json
from stagewise.forecast import calibration, trials
from stagewise.forecast.calibration import Calibration, _try, calibrate
from stagewise.forecast.estimate import (
    RULES,
    Forecast,
    Row,
    forecast,
    jobs_at_once,
    rule_of,
    scaled,
    sentence,
    span,
)
from stagewise.forecast.gpus import gpu_seconds, gpu_sentence
from stagewise.forecast.trials import Speed, measure
from stagewise.forecast.work import Answers, Kind, Net, Prunings, Steps, built, macs
from stagewise.forecast.workload import Workload, workload
from stagewise.study.config import resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan
from stagewise.study.planned import STEPS
from stagewise.study.spec import Images

EPOCHS = 40
CONFIG: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1],
    "data": {
        "source": "digits",
        "source_classes": [0, 1, 2, 3, 4],
        "student_images_per_class": 10,
        "target_images_per_class": 5,
    },
    "pairs": {
        "resnet": {
            "teacher": {"network": "resnet14", "width": 8},
            "student": {"network": "resnet8", "width": 8},
        }
    },
    "training": {"epochs": EPOCHS, "batch_size": 25, "crop": 1, "flip": False},
    "distillation": {"pairs": ["resnet"], "methods": ["kd"]},
    "two_stage": {"pairs": ["resnet"]},
    "multi_exit": {"pairs": ["resnet"], "methods": ["exits_ce", "mskd", "oto"]},
    "pruning": [{"pair": "resnet", "ratios": [2], "recover": ["bn", "kd", "two_stage_kd"]}],
}


class Even(Calibration):
    """A machine that takes a nanosecond for each unit of a kind's size."""

    def of(self, kind: Kind) -> Speed:
        return Speed(1e-9 * kind.size, 1e6)


EVEN = Even(start_up=0.0, idle=1e8, speeds={})


def counted(**changes: Any) -> Workload:
    """The workload of ``CONFIG``; a change is ``block__key=value``, or a whole block."""
    config = copy.deepcopy(CONFIG)
    for place, value in changes.items():
        block, _, key = place.partition("__")
        if key:
            config.setdefault(block, {})[key] = value
        else:
            config[block] = value
    plan = make_plan(resolve_config(config))
    return workload(plan, data_size(plan.config, Path("absent")))


def arm(load: Workload, name: str, kind: type[Kind] = Steps) -> dict[Kind, int]:
    """Efforts of one kind of the first run of an arm."""
    work = next(work for work in load.works if work.run.arm == name)
    return {each: n for each, n in work.amounts.items() if isinstance(each, kind)}


def added(load: Workload, jobs: int = 1) -> Forecast:
    return forecast(load, EVEN, jobs)


NET = Net("resnet8", (("width", 8),), 10, 1, 8)


# -- counting ------------------------------------------------------------------------------------


def test_every_run_of_every_step_is_counted_once() -> None:
    load = counted()
    assert {work.run.step for work in load.works} == set(STEPS)
    rows = added(load).rows
    assert sum(row.runs for row in rows) == len(load.plan.runs)
    assert {row.rule for row in rows} == {
        *RULES.values(),
        "train_teacher_part",
        "train_pretrained_student",
        "data, results",
    }
    assert all(row.seconds > 0 and row.disk > 0 for row in rows)


def test_rules_are_those_of_the_workflow() -> None:
    """Each run's rule is the one whose outputs and wildcards take it."""
    text = "\n\n\n".join(
        path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    )
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n\n\n", text):
        rule = re.search(r"^(?:use rule \w+ as|rule) (\w+)", block, re.M)
        step = re.search(r'run_files\("(\w+)"', block)
        if rule and step:
            names = re.search(r'\bname=r"(.+)"', block)
            found[rule[1]] = (step[1], names[1] if names else "[^/]+")
    plan = counted(
        pruning=[{**CONFIG["pruning"][0], "probe": ["kd"]}],
        two_stage={"pairs": ["resnet"], "common_rates": [0.1], "probe_own_rates": False},
    ).plan
    parts = [r.name for r in plan.step("teachers") if r.spec.init == "parent"]
    found["train_teacher_part"] = ("teachers", "|".join(map(re.escape, parts)))
    for rule, step, only, probed in (
        ("recover_probed", "recovery", "", True),
        ("recover", "recovery", "", False),
        ("distill_two_stage", "two_stage", "", True),
        ("distill_two_stage_unprobed", "two_stage", "", False),
        ("train_pretrained_student", "students", ".pretrained", True),
        ("train_pretrained_student_unprobed", "students", ".pretrained", False),
    ):
        runs = [run for run in plan.step(step) if only in run.name]
        own = [re.escape(run.name) for run in runs if bool(run.spec.observers) == probed]
        assert own, rule
        found[rule] = (step, "|".join(own))
    for run in plan.runs.values():
        taking = [
            rule
            for rule, (step, names) in found.items()
            if step == run.step and re.fullmatch(names, run.name)
        ]
        assert taking == [rule_of(run)]


def test_training_is_images_times_epochs_and_three_forward_passes() -> None:
    (kind, images), *more = arm(counted(), "students/resnet.baseline").items()
    assert not more
    assert isinstance(kind, Steps)
    assert (kind.images, kind.batch, images) == (100, 25, 100 * EPOCHS)
    assert kind.size == 3 * macs(kind.net)


def test_an_image_that_is_left_over_is_not_counted() -> None:
    """Batch norm cannot take a batch of one."""
    ((kind, images),) = arm(counted(training__batch_size=33), "students/resnet.baseline").items()
    assert isinstance(kind, Steps)
    assert kind.images == 99
    assert images == 99 * EPOCHS


def test_a_batch_is_no_larger_than_the_set() -> None:
    load = counted(training__batch_size=512)
    ((kind, _),) = arm(load, "students/resnet.baseline").items()
    assert isinstance(kind, Steps)
    assert kind.batch == kind.images == 100


def test_the_first_stage_goes_back_through_the_classifier_alone() -> None:
    stages = [*arm(counted(), "recovery/resnet.baseline.l2-2x.two_stage_kd")]
    first, second = sorted(stages, key=lambda kind: kind.size)
    assert isinstance(first, Steps)
    assert first.trains == ("classifier", "method")
    assert macs(first.net) < first.size < 1.1 * macs(first.net)
    assert second.size == pytest.approx(3 * macs(first.net))


def test_exits_are_trained_on_a_backbone_that_only_answers() -> None:
    ((kind, _),) = arm(counted(), "teachers/resnet.exits").items()
    assert isinstance(kind, Steps)
    assert kind.trains == ("exits", "method")
    counts = built(kind.net).macs
    heads = counts["exits.1"] + counts["exits.2"]
    skipped = counts["stage3"] + counts["classifier"]  # behind the deepest exit that is trained
    assert kind.size == macs(kind.net) - skipped + 2 * heads


def test_re_estimation_has_no_backward_pass() -> None:
    ((kind, _),) = arm(counted(), "recovery/resnet.baseline.l2-2x.bn").items()
    assert kind.size == macs(kind.net)


def test_a_pruned_network_counts_its_share_and_is_tried_as_a_narrower_one() -> None:
    pruned = replace(NET, ratio=4.0)
    assert macs(pruned) == macs(NET) / 4
    assert pruned.architecture.options == {"width": 4}
    ((kind, times),) = arm(counted(), "pruning/resnet.baseline.l2-2x", Prunings).items()
    assert (kind.net.ratio, times) == (2, 1)
    ((kind, _),) = arm(counted(), "recovery/resnet.baseline.l2-2x.bn").items()
    assert kind.net.ratio == 2
    ((kind, _),) = arm(counted(), "recovery/resnet.baseline.dense.kd").items()
    assert kind.net.ratio == 1


def test_the_probe_looks_as_often_as_its_rows() -> None:
    def probes(load: Workload) -> dict[Kind, int]:
        kinds = arm(load, "students/resnet.pretrained")
        return {e: n for e, n in kinds.items() if isinstance(e, Steps) and e.batch > 25}

    ((probe, images),) = probes(counted()).items()
    assert isinstance(probe, Steps)
    # one step an epoch: the first 20, those of the features, every tenth of the phase, the end
    rows = {*range(21), *range(0, EPOCHS, EPOCHS // 10)}
    assert images == 2 * (len(rows) + 1) * probe.images  # for each kind of statistics
    assert not probes(counted(two_stage={"pairs": ["resnet"], "probe": False}))


def test_the_probe_does_not_look_in_stage_one() -> None:
    load = counted(two_stage={"pairs": ["resnet"], "stage1_share": 0.5})
    found = arm(load, "two_stage/resnet.kd")
    ((probe, images),) = ((k, n) for k, n in found.items() if isinstance(k, Steps) and k.batch > 25)
    assert isinstance(probe, Steps)
    rows = {*range(EPOCHS // 2)}  # one step an epoch: all are early ones
    assert images == 2 * (len(rows) + 1) * probe.images


def test_without_validation_only_test_images_are_answered() -> None:
    load = counted(data__validation=0, two_stage={"pairs": []})
    assert load.data.counts == {"train": 1797 - 539, "validation": 0, "test": 539}
    assert sum(arm(load, "students/resnet.baseline", Answers).values()) == 539


def test_precision_is_part_of_the_work() -> None:
    ((kind, _),) = arm(counted(training__dtype="bfloat16"), "students/resnet.baseline").items()
    assert isinstance(kind, Steps)
    assert kind.settings.dtype == "bfloat16"


# -- teachers ------------------------------------------------------------------------------------


def answers(load: Workload, name: str) -> float:
    """Images that a run's teacher answers."""
    return sum(n for e, n in arm(load, name, Answers).items() if e.net.network == "resnet14")


def test_a_teachers_answers_are_computed_once_for_all_runs() -> None:
    load = counted()
    both = [w for w in load.works if w.run.arm == "distillation/resnet.kd"]
    first, second = (
        sum(n for e, n in w.amounts.items() if e.net.network == "resnet14") for w in both
    )
    views, images, epochs = 9, 100, EPOCHS
    assert first == pytest.approx(images * views * (1 - (1 - 1 / views) ** epochs), abs=1)
    assert second < 0.02 * first
    assert load.tables > 0


def test_without_room_for_a_table_every_image_is_answered_every_time() -> None:
    load = counted(table__max_gb=0)
    assert answers(load, "distillation/resnet.kd") == 100 * EPOCHS
    assert load.tables == 0


def test_pooled_vectors_are_as_wide_as_the_teachers() -> None:
    load = counted(distillation__methods=["crd"])
    ((kind, _),) = arm(load, "distillation/resnet.crd").items()
    assert isinstance(kind, Steps)
    assert kind.teacher is not None
    assert not kind.live
    rows = 100 * 9  # images and views
    assert load.tables >= 4 * rows * (1 + 10 + 32)  # logits and pooled vectors
    assert counted().tables < load.tables


def test_a_teachers_part_is_work_of_its_own_and_views_are_counted() -> None:
    load = counted(distillation__methods=["hsakd"])
    ((kind, _),) = arm(load, "distillation/resnet.hsakd").items()
    assert isinstance(kind, Steps)
    assert kind.teacher is not None
    assert kind.size == 4 * (3 * macs(kind.net) + macs(kind.teacher))
    ((part, _),) = arm(load, "teachers/resnet.rotations").items()
    assert part.size == 4 * macs(part.net)  # the frozen network, forward only


@pytest.mark.parametrize("mixes", ["mixup", "cutmix"])
def test_a_teacher_that_answers_live_is_part_of_the_step(mixes: str) -> None:
    load = counted(**{f"training__{mixes}": 0.2})
    ((kind, _),) = arm(load, "distillation/resnet.kd").items()
    assert isinstance(kind, Steps)
    assert kind.teacher is not None
    assert kind.size == 3 * macs(kind.net) + macs(kind.teacher)
    assert answers(load, "distillation/resnet.kd") == 0


# -- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("few", [7, None])
def test_sizes_are_those_of_the_prepared_data(tmp_path: Path, few: int | None) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"] |= {"student_images_per_class": few, "classes": 8, "image_size": 16}
    settings = resolve_config(config).data.as_dict()
    info = prepare(load_source("digits", {}, tmp_path), settings, tmp_path / "data.safetensors")
    size = data_size(resolve_config(config), tmp_path / "absent")
    assert (size.channels, size.size) == (len(info["mean"]), 16)
    for split, count in size.counts.items():
        assert abs(count - info["counts"][f"{split}.images"]) <= 2
    few_of_all = Images(task="all", images="few")
    assert abs(size.training(few_of_all) - info["counts"]["few.all"]) <= 2
    assert size.classes == {task: len(numbers) for task, numbers in info["tasks"].items()}


def test_images_that_are_not_here_are_known_from_their_summary(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"] = {"source": "image_folder", "path": str(tmp_path / "gone"), "image_size": 32}
    config["two_stage"]["pairs"] = []
    resolved = resolve_config(config)
    with pytest.raises(UserError, match=r"image_folder.*snakemake data"):
        data_size(resolved, tmp_path / "summary.json")
    counts = {"train.labels": 70, "validation.labels": 10, "test.labels": 20}
    write_json(
        tmp_path / "summary.json",
        {"classes": ["cat", "dog"], "mean": [0.5, 0.5, 0.5], "counts": counts},
    )
    size = data_size(resolved, tmp_path / "summary.json")
    assert size.counts == {"train": 70, "validation": 10, "test": 20}
    assert (size.classes["all"], size.channels, size.size) == (2, 3, 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 2},
        {"classes": []},
        {"mean": None},
        {"counts": {"train.labels": 70}},
        {"counts": {"train.labels": "70", "validation.labels": 10, "test.labels": 20}},
        {"counts": {"train.labels": -1, "validation.labels": 10, "test.labels": 20}},
    ],
)
def test_a_damaged_summary_of_data_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"] = {"source": "image_folder", "path": str(tmp_path / "gone"), "image_size": 32}
    config["two_stage"]["pairs"] = []
    counts = {"train.labels": 70, "validation.labels": 10, "test.labels": 20}
    good = {"classes": ["cat", "dog"], "mean": [0.5, 0.5, 0.5], "counts": counts}
    file = tmp_path / "summary.json"
    write_json(file, {**good, **changes})
    with pytest.raises(UserError, match=f"^{file}: is no summary of data .*; delete it"):
        data_size(resolve_config(config), file)


# -- adding up -----------------------------------------------------------------------------------


def test_totals_are_the_sums_of_the_rows() -> None:
    load = counted()
    found = added(load)
    results = found.rows[-1].seconds
    assert found.seconds == pytest.approx(sum(row.seconds for row in found.rows))
    assert found.disk == pytest.approx(sum(row.disk for row in found.rows))
    assert added(load, jobs=2).seconds == pytest.approx((found.seconds - results) / 2 + results)
    assert added(load, jobs=2).memory == pytest.approx(2 * found.memory, rel=0.1)


def test_runs_that_wait_for_each_other_take_their_time_on_any_machine() -> None:
    load = counted()
    slow = replace(EVEN, start_up=1e5)
    # a student, pruned, recovered: all else is short, or goes on beside them
    assert round(forecast(load, slow, jobs=1000).seconds / 1e5) == 3


def test_twice_the_epochs_train_twice_as_long() -> None:
    def seconds(epochs: int) -> float:
        load = counted(students={"training": {"epochs": epochs, "evaluate_every": epochs}})
        return sum(n * EVEN.of(e).seconds for e, n in arm(load, "students/resnet.baseline").items())

    assert seconds(80) == 2 * seconds(40)


def test_jobs_are_as_many_as_the_cores_hold() -> None:
    load = counted(training__threads=3)
    assert jobs_at_once(load, cores=8, gpu=False) == 2
    assert jobs_at_once(load, cores=2, gpu=False) == 1
    assert jobs_at_once(load, cores=8, gpu=True) == 1


def test_what_was_measured_and_what_was_not_is_told_apart() -> None:
    load = counted()
    known = {kind: EVEN.of(kind) for kind in load.ranked()}
    every = forecast(load, Calibration(0.0, 0.0, known), 1)
    assert all(row.measured == pytest.approx(row.seconds) for row in every.rows)
    longest = load.ranked()[0]
    firsts = {type(kind): kind for kind in reversed(load.ranked())}.values()
    few = {kind: known[kind] for kind in (longest, *firsts)}
    part = forecast(load, Calibration(0.0, 0.0, few), 1)
    assert any(row.measured < row.seconds for row in part.rows)
    # an even machine is known from a few trials: pruning goes by layers, all else by multiply-adds
    assert part.seconds == pytest.approx(every.seconds)


def test_the_nearest_trial_is_of_the_same_network() -> None:
    other = replace(NET, network="vgg8")
    wide = replace(NET, options=(("width", 16),))
    speeds: dict[Kind, Speed] = {
        Answers(other, 64, "float32", 1): Speed(5.0, 5.0),
        Answers(wide, 64, "float32", 1): Speed(8.0, 8.0),
    }
    ratio = macs(NET) / macs(wide)
    asked = Answers(NET, 64, "float32", 1)
    assert Calibration(0.0, 0.0, speeds).of(asked) == Speed(8.0 * ratio, 8.0 * ratio)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.42, "0.4 seconds"),
        (75, "75 seconds"),
        (540, "9.0 minutes"),
        (3600 * 30, "30 hours"),
        (86400 * 12, "12 days"),
    ],
)
def test_times_have_a_readers_unit(value: float, text: str) -> None:
    assert span(value) == text


def test_sizes_have_a_readers_unit() -> None:
    assert [scaled(n, "B") for n in (3e5, 4.2e8, 1.44e9)] == ["0 MB", "420 MB", "1.4 GB"]
    found = Forecast([], 2, 540.0, 1.4e9, 3e8)
    assert sentence(found) == (
        "About 9.0 minutes on this machine with 2 jobs at once; 300 MB of disk, 1.4 GB of memory."
    )


# -- trials --------------------------------------------------------------------------------------


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of a few steps."""
    monkeypatch.setattr(trials, "SECONDS", 0.0)
    monkeypatch.setattr(trials, "TRIAL_MACS", {"cpu": 1e6})


@pytest.mark.usefixtures("brief")
def test_every_kind_of_work_can_be_tried_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = counted().ranked() + counted(training__mixup=0.2, training__dtype="bfloat16").ranked()
    small = {(type(e), getattr(e, "method", ""), getattr(e, "trains", "")): e for e in kinds}
    for kind in small.values():
        speed = measure(kind, CPU)
        assert speed.seconds > 0
        assert math.isfinite(speed.bytes)
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("brief")
def test_a_huge_batch_is_tried_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    real: Callable[..., Any] = trials._random_data

    def data(net: Net, count: int, device: torch.device) -> Any:
        shown.append(count)
        return real(net, count, device)

    monkeypatch.setattr(trials, "_random_data", data)
    ((kind, _),) = arm(counted(training__batch_size=100), "students/resnet.baseline").items()
    measure(kind, CPU)
    assert shown[0] < 100


def test_the_smallest_of_each_kind_is_tried_however_little_time_there_is() -> None:
    """In a process of its own, as ever."""
    wide = replace(NET, options=(("width", 16),))
    kinds: list[Kind] = [Answers(net, 2, "float32", 1) for net in (wide, NET)]
    found = calibrate(kinds, CPU, jobs=1, budget=0)
    assert [*found.speeds] == kinds[1:]
    assert found.start_up > 0
    assert found.idle > 1e8


def test_a_trial_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "GRACE", 0.0)
    monkeypatch.setattr(trials, "SECONDS", math.inf)
    assert _try(Answers(NET, 2, "float32", 1), CPU, time.monotonic() + 0.2) is None


def test_the_command_writes_nothing_and_ends_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda *_: EVEN)
    monkeypatch.chdir(tmp_path)
    smoke = str(ROOT / "config/smoke.yaml")
    monkeypatch.setattr(sys, "argv", ["forecast.py", "--config", smoke, "--cores", "2"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts/forecast.py"), run_name="__main__")
    assert not ended.value.code
    out = capsys.readouterr().out
    assert re.search(r"^recover +2 ", out, re.M)
    assert re.search(r"^About .* with 2 jobs at once; .* of disk, .* of memory\.$", out, re.M)
    assert not [*tmp_path.iterdir()]


def test_a_wrong_study_is_refused_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["forecast.py", "--config", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts/forecast.py"), run_name="__main__")
    assert "none.yaml: no such file" in str(ended.value.code)


def test_a_gpu_that_is_not_at_hand_is_told_as_a_range() -> None:
    low, high = gpu_seconds(1e18, "A100")
    assert low == pytest.approx(2e18 / 9.75e12)
    assert high == pytest.approx(10 * low)
    rows = [Row("distill", 2, 1e18, 1.0, 1.0, 0.0, 0.0)]
    told = gpu_sentence(Forecast(rows, 1, 1.0, 0.0, 0.0), "A100")
    assert "between 2.4 days and 24 days" in told
    assert "no measurement" in told
