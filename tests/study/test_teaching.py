"""Who teaches: assistants between teacher and student, and what is trained on a frozen teacher."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.files import write_json
from stagewise.study.config import resolve_config
from stagewise.study.memory import USUAL_MB, memory_mb
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.warnings import find_warnings

TAUGHT: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1],
    "data": {"source": "digits", "source_classes": [0, 1, 2]},
    "pairs": {
        "p": {
            "teacher": {"network": "resnet56"},
            "assistants": [
                {"network": "resnet32"},
                {"network": "resnet20", "width": 8, "training": {"epochs": 7}},
            ],
            "student": {"network": "resnet8"},
        },
        "q": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}},
    },
    "teachers": {"seed": 3, "training": {"epochs": 50, "lr": 0.01}},
    "methods": {"takd": {"method": "kd", "teacher": "assistant"}},
    "distillation": {"pairs": ["p"], "methods": ["kd", "takd"]},
}
PART = """\
NEEDS = Needs({needs})
PART = "codes"
WEIGHTS = {{"reconstruction": 1.0}}


class Method:
    def __init__(self, setup: Setup, *, rate: float = 0.5) -> None: ...
"""
LEARNER = """\
NEEDS = Needs(teacher=True, teacher_part="{part}", kept={kept}, compared={compared})
WEIGHTS = {{"ce": 1.0, "codes": 1.0}}
RECIPE = {{"recipe": "one_stage"}}


class Method:
    def __init__(self, setup: Setup) -> None: ...
"""
Write = Callable[..., None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that adds the methods ``learner`` and ``coder``, the part that it needs."""
    package = tmp_path / "stagewise"
    shutil.copytree(catalogue.PACKAGE / "methods", package / "methods")
    for room in catalogue.PACKAGE.iterdir():
        if room.name != "methods":
            (package / room.name).symlink_to(room)

    def write(needs: str = "", kept: int = 0, compared: int = 0, part: str = "coder") -> None:
        (package / "methods/coder.py").write_text(PART.format(needs=needs))
        text = LEARNER.format(kept=kept, compared=compared, part=part)
        (package / "methods/learner.py").write_text(text)
        monkeypatch.setattr(catalogue, "PACKAGE", package)

    return write


def plan(**changes: Any) -> Plan:
    return make_plan(resolve_config({**copy.deepcopy(TAUGHT), **changes}, "toy.yaml"))


def arms(found: Plan, step: str) -> dict[str, PlannedRun]:
    return {run.name: run for run in found.step(step) if run.seed in (0, 3)}


def message(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        plan(**changes)
    return str(caught.value)


# -- assistants ----------------------------------------------------------------------------------


def test_assistants_are_a_chain_from_the_teacher_down() -> None:
    found = plan()
    teachers = arms(found, "teachers")
    assert list(teachers) == ["p", "q", "p.assistant-1", "p.assistant-2"]
    first, second = teachers["p.assistant-1"], teachers["p.assistant-2"]
    assert first.parents == {"teacher": teachers["p"].path}
    assert second.parents == {"teacher": first.path}
    assert second.path == "runs/toy/teachers/p.assistant-2/seed-3"
    assert {run.seed for run in found.step("teachers")} == {3}
    for run in (first, second):
        assert run.spec.method == {"method": "kd"}
        assert run.spec.data == teachers["p"].spec.data
        assert run.reference == teachers["p"].path
        assert run.labels["network"] == "assistant"
    assert first.spec.training == teachers["p"].spec.training
    assert second.spec.training == replace(first.spec.training, epochs=7)
    assert second.spec.network == {"network": "resnet20", "width": 8}


def test_only_the_method_that_asks_for_it_learns_from_the_last_assistant() -> None:
    found = plan()
    for run in found.step("distillation"):
        above = "p.assistant-2" if run.name == "p.takd" else "p"
        assert run.parents == {"teacher": f"runs/toy/teachers/{above}/seed-3"}
        assert run.reference == "runs/toy/teachers/p/seed-3"
    takd, kd = (arms(found, "distillation")[name] for name in ("p.takd", "p.kd"))
    assert takd.spec == kd.spec
    assert takd.labels["display"] == "takd"


def test_parents_stand_before_their_children() -> None:
    seen: set[str] = set()
    for path, run in plan(two_stage={"pairs": ["p"], "methods": ["takd"]}).runs.items():
        assert {*run.parents.values()} <= seen, path
        seen.add(path)


def test_the_task_of_two_stages_has_assistants_of_its_own() -> None:
    found = plan(two_stage={"pairs": ["p"], "methods": ["takd"]}, distillation={})
    teachers = arms(found, "teachers")
    assert list(teachers) == ["p", "q", "p.target", "p.target.assistant-1", "p.target.assistant-2"]
    assert teachers["p.target.assistant-2"].spec.data.task == "target"
    [one] = {run.parents["teacher"] for run in found.step("two_stage")}
    assert one == teachers["p.target.assistant-2"].path


def test_an_assistant_has_a_rate_of_its_own() -> None:
    found = plan(learning_rates={"teachers/p.assistant-1": 0.2})
    assert arms(found, "teachers")["p.assistant-1"].spec.training.lr == 0.2
    assert arms(found, "teachers")["p.assistant-2"].spec.training.lr == 0.01


def test_assistants_that_nobody_learns_from_are_not_trained_and_warned_about() -> None:
    found = plan(distillation={"pairs": ["p"], "methods": ["kd"]})
    assert list(arms(found, "teachers")) == ["p", "q"]
    assert any("pairs.p.assistants: no method" in line for line in find_warnings(found))
    assert not any("assistants" in line for line in find_warnings(plan()))


def test_a_pair_without_assistants_cannot_teach_by_them() -> None:
    text = message(distillation={"pairs": ["p", "q"], "methods": ["kd", "takd"]})
    assert text == (
        "toy.yaml: distillation.methods.1: 'takd' learns from an assistant, but pair 'q' has none;"
        " add pairs.q.assistants"
    )


def test_a_method_without_a_teacher_has_no_assistant() -> None:
    text = message(methods={"alone": {"method": "ce", "teacher": "assistant"}}, distillation={})
    assert text == (
        "toy.yaml: methods.alone.teacher: 'assistant', but 'ce' has no teacher; remove it"
    )


def test_assistants_are_networks_that_exist_and_start_like_the_others() -> None:
    raw = copy.deepcopy(TAUGHT["pairs"])
    raw["p"]["assistants"] = [{"network": "resnet21"}, {"network": "resnet20", "widht": 8}]
    lines = message(pairs=raw).splitlines()
    assert ["pairs.p.assistants.0.network: 'resnet21'" in lines[0], len(lines)] == [True, 2]
    assert "pairs.p.assistants.1: 'widht' is unknown; did you mean 'width'?" in lines[1]
    raw["p"]["assistants"] = [{"network": "resnet20", "training": {"crop": 30}}]
    assert "pairs.p.assistants.0.training.crop: 30" in message(pairs=raw)
    raw["p"] = {
        "teacher": {"network": "resnet50-imagenet"},
        "assistants": [{"network": "resnet20"}],
        "student": {"network": "resnet18-imagenet"},
    }
    imagenet = {"pairs": ["p"], "methods": ["takd"], "regime": "imagenet"}
    data = {"source": "cifar100", "image_size": 64}
    text = message(pairs=raw, two_stage=imagenet, data=data)
    assert "pairs.p.assistants.0.network: 'resnet20' has no ImageNet weights" in text
    raw["p"]["assistants"] = [{"network": "resnet34-imagenet"}]
    found = arms(plan(pairs=raw, two_stage=imagenet, data=data), "teachers")
    assert found["p.assistant-1"].parents == {
        "init": "data/weights/resnet34-imagenet-64px",
        "teacher": found["p"].path,
    }


# -- parts of teachers ---------------------------------------------------------------------------


def test_a_part_is_trained_once_on_the_frozen_teacher_for_all_seeds(written: Write) -> None:
    written()
    settings = {"rate": 0.25, "training": {"epochs": 5}}
    found = plan(
        methods={"coder": settings},
        multi_exit={"pairs": [], "teacher_exits": {"epochs": 9}},
        distillation={"pairs": ["p", "q"], "methods": ["learner", "kd"]},
    )
    teachers = arms(found, "teachers")
    assert list(teachers) == ["p", "q", "p.codes", "q.codes"]
    part = teachers["p.codes"]
    assert part.parents == {"init": teachers["p"].path}
    assert part.reference == teachers["p"].path
    assert part.spec.init == "parent"
    assert part.spec.method == {"method": "coder", "rate": 0.25}
    assert part.spec.recipe == {"recipe": "frozen_backbone"}
    assert part.spec.exits == ""
    assert part.spec.network == teachers["p"].spec.network
    assert part.spec.training == replace(teachers["p"].spec.training, epochs=5)
    assert part.labels["display"] == "teacher with codes"
    for run in found.step("distillation"):
        kind = ".codes" if run.labels["method"] == "learner" else ""
        pair = run.labels["pair"]
        assert run.parents == {"teacher": f"runs/toy/teachers/{pair}{kind}/seed-3"}
        assert run.reference == teachers[pair].path


def test_a_part_with_exits_is_trained_as_the_teachers_exits_are(written: Write) -> None:
    written(needs="exits=True")
    block = {"head": "linear", "teacher_exits": {"epochs": 9}}
    found = plan(multi_exit=block, distillation={"pairs": ["q"], "methods": ["learner"]})
    part = arms(found, "teachers")["q.codes"]
    assert part.spec.exits == "linear"
    assert part.spec.training.epochs == 9


def test_a_part_is_trained_on_the_assistant_that_teaches(written: Write) -> None:
    written()
    found = plan(
        methods={"assisted": {"method": "learner", "teacher": "assistant"}},
        distillation={"pairs": ["p"], "methods": ["assisted", "learner"]},
    )
    teachers = arms(found, "teachers")
    assert list(teachers)[2:] == [
        *("p.assistant-1", "p.assistant-2"),
        *("p.assistant-2.codes", "p.codes"),
    ]
    part = teachers["p.assistant-2.codes"]
    assert part.parents == {"init": teachers["p.assistant-2"].path}
    assert part.reference == teachers["p"].path
    assert part.spec.network == teachers["p.assistant-2"].spec.network


def test_the_task_of_two_stages_has_a_part_of_its_own(written: Write) -> None:
    written()
    found = plan(two_stage={"pairs": ["p"], "methods": ["learner"]}, distillation={})
    assert list(arms(found, "teachers")) == ["p", "q", "p.target", "p.target.codes"]
    assert {run.parents["teacher"] for run in found.step("two_stage")} == {
        "runs/toy/teachers/p.target.codes/seed-3"
    }


@pytest.mark.parametrize(
    ("methods", "more"), [(["mskd"], []), (["exits_ce", "mskd"], []), (["oto"], ["p.exits"])]
)
def test_exits_of_a_teacher_are_trained_where_a_method_asks_for_them(
    methods: list[str], more: list[str]
) -> None:
    found = plan(multi_exit={"pairs": ["p"], "methods": methods}, distillation={})
    assert list(arms(found, "teachers")) == ["p", "q", *more]


def test_a_teacher_with_exits_is_made_in_three_ways() -> None:
    """On its frozen backbone, by its own training; or whole from scratch, as teachers are."""
    ways = {"oto": "frozen", "together": "joint", "itself": "self_distilled"}
    entries = {
        label: {"method": "oto", "teacher_exits": way}
        for label, way in ways.items()
        if label != "oto"
    }
    found = plan(
        methods=entries | {"exits_ce": {"training": {"lr": 0.5}}},
        multi_exit={"pairs": ["p"], "methods": [*ways], "teacher_exits": {"epochs": 9}},
        distillation={},
    )
    teachers = arms(found, "teachers")
    assert list(teachers) == ["p", "q", "p.exits", "p.joint-exits", "p.self-distilled-exits"]
    plain = teachers["p"].spec
    for name, method, init, recipe in (
        ("exits", "exits_ce", "parent", "frozen_backbone"),
        ("joint-exits", "exits_ce", "scratch", "one_stage"),
        ("self-distilled-exits", "self_distillation", "scratch", "one_stage"),
    ):
        made = teachers[f"p.{name}"]
        assert made.spec.method == {"method": method}
        assert (made.spec.init, made.spec.recipe) == (init, {"recipe": recipe})
        assert (made.spec.network, made.spec.exits) == (plain.network, "sepatt")
        assert made.seed == teachers["p"].seed
        assert made.reference == teachers["p"].path
        assert made.parents == ({"init": teachers["p"].path} if init == "parent" else {})
        own = {"epochs": 9, "lr": 0.5} if init == "parent" else {}
        assert made.spec.training == replace(plain.training, **own)
        assert made.labels["display"] == f"teacher with {name}"
    students = {run.labels["method"]: run.parents["teacher"] for run in found.step("multi_exit")}
    assert students == {
        "oto": teachers["p.exits"].path,
        "together": teachers["p.joint-exits"].path,
        "itself": teachers["p.self-distilled-exits"].path,
    }


def test_a_part_that_does_not_exist_is_named(written: Write) -> None:
    written(part="kd")
    found = message(distillation={"pairs": ["p"], "methods": ["learner"]})
    assert found.startswith("toy.yaml: distillation.methods.0: 'learner' cannot be planned: ")
    assert "teacher_part 'kd' is no method's file with a PART; known: coder, contrast_head" in found
    assert len(found.splitlines()) == 1


# -- recipes -------------------------------------------------------------------------------------


def test_a_method_entry_names_its_recipe() -> None:
    stages = {"recipe": "two_stage", "stage1_share": 0.25, "stage1_lr": 0.2}
    entry = {"method": "kd", "recipe": stages, "training": {"epochs": 480, "lr": 0.01}}
    found = plan(methods={"long": entry}, distillation={"pairs": ["p"], "methods": ["kd", "long"]})
    long, plain = (arms(found, "distillation")[f"p.{name}"] for name in ("long", "kd"))
    assert long.spec.recipe == stages
    assert long.labels["recipe"] == "two_stage"
    assert plain.spec.recipe == {"recipe": "one_stage"}
    assert long.spec.training == replace(plain.spec.training, epochs=480, lr=0.01)


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        ({"recipe": "two_stages"}, "methods.x.recipe|'two_stages'|did you mean 'two_stage'?"),
        ({"recipe": "one_stage", "share": 1}, "methods.x.recipe|'share' is unknown"),
        ({"recipe": "two_stage", "stage1_lr": "x"}, "methods.x.recipe.stage1_lr|'x'|give a number"),
        ({}, "methods.x.recipe|'recipe' is a required property; add it"),
        ("two_stage", "methods.x.recipe|'two_stage'|give a value of type object"),
    ],
)
def test_a_bad_recipe_is_refused(recipe: Any, parts: str) -> None:
    lines = message(methods={"x": {"method": "kd", "recipe": recipe}}, distillation={}).splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts.split("|")), lines


def test_a_recipe_of_its_own_has_no_place_in_two_stages() -> None:
    recipe = {"recipe": "frozen_backbone"}
    methods = {"still": {"method": "kd", "recipe": recipe}}
    text = message(
        methods=methods, two_stage={"pairs": ["p"], "methods": ["still"]}, distillation={}
    )
    assert "two_stage.methods.0: 'still' is trained by the recipe 'frozen_backbone'" in text
    assert "move it to two_stage.arms or distillation.methods" in text


# -- memory --------------------------------------------------------------------------------------


def test_jobs_get_the_memory_that_their_method_holds(written: Write, tmp_path: Path) -> None:
    written(kept=256, compared=3)
    data = {"source": "cifar100", "validation": 0.1, "student_images_per_class": 100}
    block = {"pairs": ["p"], "methods": ["kd", "learner"]}
    found = plan(data=data, distillation=block, training={"batch_size": 64})
    memory = memory_mb(found, found.step("distillation"), tmp_path / "summary.json")
    assert memory.keys() == {f"runs/toy/distillation/p.learner/seed-{seed}" for seed in (0, 1)}
    held = 4 * 10_000 * (256 + 64 * 3)
    assert set(memory.values()) == {USUAL_MB + round(held / 1e6 + 0.5)}
    assert memory_mb(found, found.step("teachers", "students"), tmp_path / "summary.json") == {}


def test_images_are_counted_in_the_prepared_data_where_the_source_does_not_say(
    written: Write, tmp_path: Path
) -> None:
    written(kept=1000)
    data = {"source": "image_folder", "path": str(tmp_path / "absent"), "image_size": 32}
    found = plan(data=data, distillation={"pairs": ["q"], "methods": ["learner"]})
    runs, summary = found.step("distillation"), tmp_path / "summary.json"
    assert memory_mb(found, runs, summary) == {}
    counts = {f"{split}.labels": count for split, count in zip(SPLITS, COUNTS, strict=True)}
    write_json(summary, {"classes": ["a", "b"], "mean": [0, 0, 0], "counts": counts})
    assert set(memory_mb(found, runs, summary).values()) == {USUAL_MB + 4 * 30}


SPLITS, COUNTS = ("train", "validation", "test"), (30_000, 10, 10)
