"""Bad configurations: each one a valid one with a single change, each refused in one line that
names file, key, value and mend."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from projects import PROJECT, copy_project

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.config import load_config, resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.warnings import find_warnings

GOOD: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1, 2, 3, 4, 5],
    "claims_tested": ["A4"],
    "data": {
        "source": "digits",
        "image_size": 16,
        "student_images_per_class": 10,
        "target_images_per_class": 5,
        "source_classes": [0, 1, 2, 3, 4],
    },
    "pairs": {
        "p": {
            "teacher": {"network": "resnet14", "width": 16},
            "student": {"network": "resnet8", "width": 16},
        }
    },
    "training": {"epochs": 10, "batch_size": 25},
    "methods": {"hot": {"method": "kd", "temperature": 8.0, "weights": {"ce": 0.5}}},
    "distillation": {"pairs": ["p"], "methods": ["kd", "hot"]},
    "two_stage": {"pairs": ["p"], "methods": ["kd"]},
    "multi_exit": {"pairs": ["p"], "methods": ["exits_ce", "mskd", "oto"]},
    "pruning": [
        {"pair": "p", "ratios": [2, 4]},
        {"pair": "p", "chain": "two_stage", "ratios": [2], "recover": ["ce"]},
    ],
    "learning_rates": {"distillation/p.kd": 0.1},
}
VGG = {"network": "vgg8", "width": 16}
TABLE = {"teacher": "wrn40-2", "student": "wrn16-2"}
FEW = {"pair": "p", "ratios": [2]}


def deep(empty: Any, levels: int = 900) -> Any:
    """Lists in lists, or mappings in mappings."""
    for _ in range(levels):
        empty = [empty] if isinstance(empty, list) else {"a": empty}
    return empty


Case = tuple[str, Any, str]
"""Dotted path, the bad value there, and what the message must hold, words apart by ``|``."""

CASES: list[Case] = [
    # names
    ("study", "My Study", "study|'My Study'|lower-case"),
    ("study", "toy\n", "study|lower-case"),
    ("study", "a" * 61, "study|too long"),
    ("study", 7, "study|7|give a value of type string"),
    ("sedes", [1], "'sedes'|did you mean 'seeds'?"),
    ("data.source", "digit", "data.source|'digit'|did you mean 'digits'?"),
    ("data.source", "../digits", "data.source|'../digits'|did you mean 'digits'?"),
    ("data.root", "x", "data|'root'|known:"),
    ("data.mirrors", ["/a"], "data.mirrors|'digits' is not downloaded|remove them"),
    ("data.mirrors", "/a", "data.mirrors|'/a'|give a value of type array"),
    ("data.mirrors", [1], "data.mirrors.0|1|give a value of type string"),
    ("data.mirrors", ["/a\x00b"], "data.mirrors.0|'/a\\x00b'|control character; take it out"),
    ("data.mirrors", ["/\ud800"], "data.mirrors.0|'/\\ud800'|no Unicode text; write it anew"),
    ("two_stage.mirrors", ["https://\udfff"], "two_stage.mirrors.0|no Unicode text"),
    ("title", "a\x1b[2Jb", "title|'a\\x1b[2Jb'|control character; take it out"),
    ("title", "\x85", "title|control character"),
    ("data.path", "/a", "data|'path' is unknown"),
    ("data.subset", True, "data|'subset' is unknown"),
    ("data.classes", 1, "data.classes|1|How many classes"),
    ("data.classes", 11, "data.classes|11|10 classes of 'digits'|numbers below 10"),
    ("data.classes", [0, 1, 2, 10], "data.classes|[0, 1, 2, 10]|10 classes of 'digits'"),
    ("data.classes", [3, 3], "data.classes|[3, 3]|remove the repeated entry"),
    ("data.classes", 6, "data.source_classes|leave 1 of 6 classes|leave at least two"),
    ("data.classes", 4, "data.source_classes|[4]|uses 4|use 0 to 3"),
    ("data.imagesize", 16, "data|'imagesize'|did you mean 'image_size'?"),
    ("pairs.p.student.network", "resnet9", "pairs.p.student.network|'resnet9'|did you mean"),
    ("pairs.p.student.network", "/etc/passwd", "pairs.p.student.network|'/etc/passwd'|known:"),
    ("pairs.p.teacher.widht", 8, "pairs.p.teacher|'widht'|did you mean 'width'?"),
    ("pairs.p.student", None, "pairs.p.student|None|give a value of type object"),
    ("pairs.Q", {"teacher": VGG, "student": VGG}, "pairs|'Q'|lower-case"),
    ("pairs.q", {"teacher": VGG}, "pairs.q|'student'|add it"),
    ("methods.cold", {"method": "kdd"}, "methods.cold|'kdd'|did you mean 'kd'?"),
    ("methods.hot.temprature", 2.0, "methods.hot|'temprature'|did you mean 'temperature'?"),
    ("methods.hot.training", {"epoch": 3}, "methods.hot.training|'epoch'|did you mean 'epochs'?"),
    ("methods.hot.pairs", ["q"], "methods.hot.pairs.0|'q'|known: p"),
    ("methods.hot.weights.kl", 1.0, "methods.hot.weights|'kl'|known: ce, kd"),
    ("distillation.methods", ["kdd"], "distillation.methods.0|'kdd'|did you mean 'kd'?"),
    ("distillation.pairs", ["q"], "distillation.pairs.0|'q'|known: p"),
    ("multi_exit.pairs", ["pp"], "multi_exit.pairs.0|'pp'|did you mean 'p'?"),
    ("two_stage.regime", "imagnet", "two_stage.regime|'imagnet'|did you mean 'imagenet'?"),
    (
        "multi_exit.controls",
        ["wide"],
        "multi_exit.controls.0: 'wide' needs|set pairs.p.wide|scripts/widths.py",
    ),
    (
        "multi_exit",
        {"pairs": ["q"], "methods": ["mskd"], "controls": ["twice"]},
        "multi_exit.controls.0: 'twice' needs|distillation.methods and 'q' to distillation.pairs",
    ),
    ("pairs.p.wide", {"network": "resnet7"}, "pairs.p.wide.network: 'resnet7'|did you mean"),
    ("multi_exit.head", "liner", "multi_exit.head|'liner'|did you mean 'linear'?"),
    ("multi_exit.head", "base", "multi_exit.head|'base'|known: bottleneck"),
    ("multi_exit.places", [2, 1], "multi_exit.places|[2, 1] must rise|give [1, 2]"),
    ("multi_exit.places", [1, 1], "multi_exit.places|repeated"),
    ("multi_exit.places", [0, 1], "multi_exit.places.0|0"),
    ("methods.mskd.exits", {"head": "sepat"}, "methods.mskd.exits.head|'sepat'|did you mean 'sep"),
    ("methods.mskd.exits", {"heads": "sep"}, "methods.mskd.exits|'heads'|did you mean 'head'?"),
    ("pruning.0.pair", "q", "pruning.0.pair|'q'|known: p"),
    ("pruning.0.criterion", "l1", "pruning.0.criterion|'l1'|known: l2, random"),
    ("pruning.0.recover", ["kdd"], "pruning.0.recover.0|'kdd'|did you mean 'kd'?"),
    ("pruning.0.ratio", 2, "pruning.0|'ratio'|did you mean 'ratios'?"),
    ("claims_tested", ["A9"], "claims_tested.0|'A9'|known: A1"),
    ("claims_tested", ["A4", "A3"], "claims_tested.1|'A3' is now several claims|list A3a, A3b"),
    ("comparison.methods", ["kdd"], "comparison.methods.0|'kdd'|did you mean 'kd'?"),
    (
        "comparison.references",
        ["alone"],
        "comparison.references.0|'alone'|did you mean 'baseline'?",
    ),
    ("comparison.published", {"q": TABLE}, "comparison.published|'q'|known: p"),
    (
        "comparison.published",
        {"p": {**TABLE, "teacher": "wrn40"}},
        "comparison.published.p.teacher|'wrn40'|did you mean 'wrn40-",
    ),
    ("learning_rates", {"distillation/p.kdd": 0.1}, "'distillation/p.kdd'|did you mean"),
    ("learning_rates", {"pruning/p.baseline.l2-2x": 0.1}, "'pruning/p.baseline.l2-2x'|did you"),
    # ranges
    ("seeds", [], "seeds|[]|non-empty"),
    ("seeds", [1, 1], "seeds|[1, 1]|remove the repeated entry"),
    ("seeds", [-1], "seeds.0|-1|minimum of 0"),
    ("seeds", [2**32], "seeds.0|4294967296|maximum"),
    ("seeds", [0.5], "seeds.0|0.5|give a value of type integer"),
    ("seeds", [True], "seeds.0|True|give a value of type integer"),
    ("training.epochs", 0, "training.epochs|0|minimum of 1"),
    ("training.epochs", 10**9, "training.epochs|1000000000|maximum"),
    ("training.batch_size", 1, "training.batch_size|1|minimum of 2"),
    ("training.lr", 0, "training.lr|0|choose a value within the limit"),
    ("training.lr", "fast", "training.lr|'fast'|give a value of type number"),
    ("training.lr", float("nan"), "training.lr|nan|give one"),
    ("training.weight_decay", float("inf"), "training.weight_decay|inf|give one"),
    ("training.momentum", 1, "training.momentum|1|choose a value within the limit"),
    ("training.schedule", "cosin", "training.schedule|'cosin'|did you mean 'cosine'?"),
    ("training.milestones", 3, "training.milestones|3|give a value of type array"),
    ("training.milestones", [0.5, 0], "training.milestones.1|0|choose a value within the limit"),
    ("training.cutmix", -1, "training.cutmix|-1|Alpha of CutMix"),
    ("training.nesterov", 1, "training.nesterov|1|give a value of type boolean"),
    ("training.flip", "no", "training.flip|'no'|give a value of type boolean"),
    ("training.threads", 65, "training.threads|65|part of the spec"),
    ("methods.hot.temperature", 0, "methods.hot.temperature|0|choose a value"),
    ("methods.hot.temperature", "hot", "methods.hot.temperature|'hot'|type number"),
    ("methods.hot.temperature", True, "methods.hot.temperature|True|type number"),
    ("methods.hot.weights.ce", -1, "methods.hot.weights.ce|-1|choose a value"),
    ("methods.hot.weights", {"ce": 0, "kd": 0}, "methods.hot.weights|all are 0|raise one"),
    ("pairs.p.student.width", 0, "pairs.p.student.width|0|a whole number from 1 to 1024"),
    ("pairs.p.student.width", 10**9, "pairs.p.student.width|1000000000|from 1 to 1024"),
    ("pairs.p.student.width", True, "pairs.p.student.width|True|a whole number"),
    ("pruning.0.ratios", [1], "pruning.0.ratios.0|1|choose a value"),
    ("pruning.0.ratios", [2, 2.0], "pruning.0.ratios|2.0|remove the repeated entry"),
    ("pruning.0.ratios", [2, 2.0000001], "pruning.0.ratios.1|2 is repeated|keep one"),
    ("pruning", [FEW, FEW], "pruning.1.ratios.0|2 is repeated|see pruning.0.ratios.0; keep one"),
    ("recovery.tolerance", 0.9, "recovery.tolerance|0.9|choose a value"),
    ("two_stage.stage1_share", 1, "two_stage.stage1_share|1|choose a value"),
    ("evaluation.latency_batches", [10**12], "evaluation.latency_batches.0|1000000000000"),
    ("gradcam", {"images": 0}, "gradcam.images|0|minimum of 1"),
    ("gradcam", {"images": 10**9}, "gradcam.images|1000000000|maximum of 100000"),
    ("gradcam", {"enabled": "no"}, "gradcam.enabled|'no'|give a value of type boolean"),
    ("tune", {"rates": []}, "tune.rates|[]|non-empty"),
    ("tune", {"rates": [0.1]}, "tune.rates|[0.1]|give more rates, or tune.strengths"),
    ("tune", {"rates": [0.1], "strengths": [2]}, "tune.rates|[0.1]|nothing to choose"),
    (
        "tune",
        {"rates": [0.1], "strengths": [2, 2.0000001]},
        "tune.strengths.1|2 is repeated|keep one",
    ),
    ("tune", {"rates": [0.1, 0.10000001]}, "tune.rates.1|0.1 is repeated|keep one"),
    # what YAML reads otherwise than it looks, and what is too much of anything
    ("training.batch_size", 25.0, "training.batch_size|25.0|write 25"),
    ("training.batch_size", 25.5, "training.batch_size|25.5|give a value of type integer"),
    ("training.lr", "1e-3", "training.lr|'1e-3'|YAML reads a text; write 1.0e-3"),
    ("training.lr", "1e3", "training.lr|'1e3'|YAML reads a text; write 1.0e+3"),
    ("students.training", {"lr": "0.5"}, "students.training.lr|'0.5'|write 0.5"),
    ("learning_rates", {"distillation/p.kd": "2e-2"}, "distillation/p.kd|'2e-2'|write 2.0e-2"),
    ("training.lr", True, "training.lr|True|give a value of type number"),
    ("training.flip", 1, "training.flip|1|give a value of type boolean"),
    ("seeds", ["3"], "seeds.0|'3'|give a value of type integer"),
    ("seeds", [*range(300_000)], "seeds|300000 entries are too many|at most 1000"),
    ("data.classes", 10**12, "data.classes|1000000000000|maximum of 100000"),
    ("data.classes", [0.5, "a"], "data.classes|0.5|give a value of type integer"),
    ("title", "x" * 10**7, "title|is too long|at most 1000"),
    ("title", "caf\ud800", "title|'caf\\ud800'|no Unicode text"),
    ("training", deep([]), "training.0.0.0.0|nested too deeply; flatten it"),
    ("extra", deep({}), "extra.a.a.a.a|nested too deeply; flatten it"),
    ("pairs.p.assistants", [{}], "pairs.p.assistants.0|'network' is a required property"),
    ("methods.hot.teacher", "asistant", "methods.hot.teacher|did you mean 'assistant'?"),
    # settings against each other and against the data
    ("data.validation", -0.1, "data.validation|-0.1|with 0 all are trained on"),
    ("data.validation", 1, "data.validation|1|with 0 all are trained on"),
    ("data.validation", 0, "two_stage.probe: true|data.validation is 0|probe: false"),
    ("data.test", 0.9, "data.validation: 0.2|data.test: 0.9|lower one"),
    ("data.student_images_per_class", 500, "data.student_images_per_class|500|lower it"),
    ("data.source_classes", [3], "data.source_classes|[3]|list at least two"),
    ("data.source_classes", [], "data.source_classes|two_stage|list at least two"),
    ("data.source_classes", [0, 10], "data.source_classes|[10]|use 0 to 9"),
    ("data.source_classes", [*range(9)], "data.source_classes|1 of 10|leave at least two"),
    ("data.source_classes", [*range(10)], "data.source_classes|0 of 10|leave at least two"),
    ("training.crop", 16, "training.crop|16|choose at most 8"),
    ("methods.hot.training", {"crop": 16}, "methods.hot.training.crop|16|choose at most 8"),
    ("training.milestones", [3, 5], "training.milestones: [3, 5]|'cosine'|say schedule: steps"),
    (
        "training",
        {"schedule": "steps", "epochs": 10, "milestones": [5, 0.4]},
        "training.milestones: [5, 0.4] must rise|the 10 epochs|correct them",
    ),
    (
        "students.training",
        {"schedule": "steps", "milestones": [5, 10]},
        "students.training.milestones: [5, 10] must rise, and end before the 10 epochs",
    ),
    (
        "methods.hot.training",
        {"schedule": "steps", "epochs": 480, "milestones": [150, 150]},
        "methods.hot.training.milestones: [150, 150] must rise|480 epochs",
    ),
    (
        "two_stage.training",
        {"nesterov": True, "momentum": 0},
        "two_stage.training.nesterov: true, but momentum is 0|raise it, or remove nesterov",
    ),
    ("two_stage.regime", "imagenet", "two_stage.regime|those of 'digits' are grey|another source"),
    ("two_stage.mirrors", ["/w"], "two_stage.mirrors|'split' fetches no weights|remove them"),
    ("recovery.training", {"crop": 30}, "recovery.training.crop|30|choose at most 8"),
    ("two_stage.training", {"epochs": 1}, "two_stage.training.epochs|1|give at least 2"),
    ("recovery.training", {"epochs": 1}, "recovery.training.epochs|1|give at least 2"),
    ("methods.kd", {"training": {"epochs": 1}}, "methods.kd.training.epochs|1|give at least 2"),
    ("distillation.methods", ["mskd"], "distillation.methods.0|'mskd'|multi_exit.methods"),
    ("multi_exit.methods", ["kd"], "multi_exit.methods.0|'kd'|distillation or two_stage"),
    ("methods.mskd", {"teacher_exits": "joint"}, "methods.mskd.teacher_exits|'joint'|remove it"),
    ("methods.ce", {"method": "kd"}, "methods.ce.method|'kd'|'ce'|choose another label"),
    ("methods.mskd", {"method": "exits_ce"}, "methods.mskd.method|'exits_ce'|another label"),
    ("two_stage.methods", [], "pruning.1.chain|two_stage.methods is empty|add a method"),
    ("two_stage.pairs", [], "pruning.1.chain|two_stage.pairs lacks 'p'|add it there"),
    ("recovery.min_share", 0.9, "pruning.0.ratios.0|2 cannot be reached|by 1.3 at most|lower"),
    ("recovery.min_channels", 60, "pruning.0.ratios.1|4 cannot be reached|by 1.2 at most|lower"),
]


def changed(path: str, value: Any, base: dict[str, Any] = GOOD) -> dict[str, Any]:
    raw = copy.deepcopy(base)
    *keys, last = path.split(".")
    place: Any = raw
    for key in keys:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value
    return raw


def message(raw: Any) -> str:
    """What a user reads of a configuration that cannot be planned."""
    with pytest.raises(UserError) as caught:
        make_plan(resolve_config(raw, "toy.yaml"), "toy.yaml")
    return str(caught.value)


def test_the_good_one_is_good() -> None:
    plan = make_plan(resolve_config(GOOD), "toy.yaml")
    assert len(plan.runs) > 100
    assert find_warnings(plan) == []


@pytest.mark.parametrize(("path", "value", "parts"), CASES)
def test_a_single_change_is_refused(path: str, value: Any, parts: str) -> None:
    lines = message(changed(path, value)).splitlines()
    assert all(line.startswith("toy.yaml: ") for line in lines), lines
    assert any(all(part in line for part in parts.split("|")) for line in lines), lines


def test_all_problems_stand_in_one_message() -> None:
    raw = changed("training.epochs", 0)  # breaks the schema
    raw["data"]["source"] = "digit"  # breaks a check of another block
    raw["distillation"]["methods"] = ["kdd"]
    raw["claims_tested"] = ["A9"]
    raw["extra"] = 1
    lines = message(raw).splitlines()
    assert len(lines) == 5
    for part in ("training.epochs", "data.source", "distillation.methods.0", "tested.0", "'extra'"):
        assert sum(part in line for line in lines) == 1, part


@pytest.mark.parametrize("arm", ["nothing/there", "teachers/q"])
def test_all_unknown_arms_stand_in_one_message(arm: str) -> None:
    rates = {"distillation/p.kdd": 0.1, arm: 0.1, "distillation/p.hot": 0.1}
    assert len(message({**GOOD, "learning_rates": rates}).splitlines()) == 2


def test_a_student_that_cannot_be_pruned_is_refused() -> None:
    raw = changed("pairs.p.student", {"network": "shufflenetv1-crd"})
    text = message(raw)
    assert "pruning.0.pair: its student 'shufflenetv1-crd' cannot be pruned, as its channel" in text
    assert "prune a student of another kind" in text


def test_the_widest_layer_bounds_the_ratio() -> None:
    raw = changed("recovery.min_channels", 48)
    raw["pairs"]["p"]["student"] = {"network": "mobilenetv2-crd"}
    raw["pruning"][0]["ratios"] = [12]
    raw["multi_exit"]["pairs"] = []
    resolve_config(raw)
    raw["pruning"][0]["ratios"] = [40]
    assert "40 cannot be reached" in message(raw)


def test_networks_without_imagenet_weights_are_refused() -> None:
    raw = changed("two_stage.regime", "imagenet")
    raw["data"] = {"source": "cifar100"}
    raw["two_stage"]["pretraining"] = {"training": {"epochs": 3}}
    raw["pairs"]["p"]["student"] = VGG | {"network": "vgg11"}
    raw["multi_exit"]["pairs"] = []
    lines = message(raw).splitlines()
    assert [re.split("[;,] (?!but)", line.partition(": ")[2])[0] for line in lines] == [
        "two_stage.pretraining.training: regime 'imagenet' pretrains no student",
        "pairs.p.teacher.network: 'resnet14' has no ImageNet weights",
        "pairs.p.student.width: 16, but the ImageNet weights of 'vgg11' are for 64",
    ]
    raw["two_stage"]["pretraining"] = {}
    raw["pairs"]["p"] = {"teacher": {"network": "vgg16"}, "student": {"network": "vgg11"}}
    resolve_config(raw)


def test_only_regime_split_needs_source_classes() -> None:
    raw = changed("data.source_classes", [])
    assert "data.source_classes: two_stage pretrains" in message(raw)
    resolve_config(changed("two_stage.regime", "scratch", raw))


def test_an_image_that_a_network_pools_away_is_refused() -> None:
    raw = changed("data.image_size", 4)
    raw["pairs"]["p"]["student"] = VGG
    raw["multi_exit"]["pairs"] = []
    raw["training"]["crop"] = 1
    text = message(raw)
    assert "pairs.p.student.network: 'vgg8' pools images of 4 pixels away" in text
    assert "data.image_size to at least 8" in text
    assert len(text.splitlines()) == 1


def places(value: Any) -> list[tuple[Any, ...]]:
    """Where each value of a configuration stands."""
    below: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        below = list(value.items())
    if isinstance(value, list):
        below = list(enumerate(value))
    return [(key, *rest) for key, child in below for rest in ((), *places(child))]


JUNK: list[Any] = [
    *(None, True, -1, 0, 1, 10**30, 0.5, 1e300, float("nan"), float("inf")),
    *("", "x", "../../x", "\x00", b"x", [], {}, [[]], [None], {"a": 1}, {1: 2}, [1, "a"], {"": {}}),
]


def problem(raw: Any) -> str:
    """The message of a configuration that is refused; empty for one that is planned."""
    try:
        make_plan(resolve_config(raw, "toy.yaml"), "toy.yaml")
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("place", places(GOOD), ids=lambda place: ".".join(map(str, place)))
def test_junk_anywhere_is_refused_or_planned(place: tuple[Any, ...]) -> None:
    for value in JUNK:
        raw = copy.deepcopy(GOOD)
        inside: Any = raw
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = value
        text = problem(raw)
        assert all(line.startswith("toy.yaml: ") for line in text.splitlines())


@pytest.mark.parametrize("raw", [None, [], "words", 1, {}, {1: 2}, {None: None}, {"data": 1}])
def test_junk_instead_of_a_configuration_is_refused(raw: Any) -> None:
    assert message(raw).startswith("toy.yaml: ")


# -- YAML ----------------------------------------------------------------------------------------


def bomb() -> str:
    """A few hundred bytes that stand for 9^12 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 13)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("study: a\nstudy: b\n", "study: the key stands twice|keep one"),
        ("data: {source: digits, source: digits}\n", "source: the key stands twice|line 1"),
        ("? [a, b]\n: 1\n? [a, b]\n: 2\n", "the key stands twice"),
        ("? {a: 1}\n: 1\n", "not valid YAML"),
        (bomb(), "an alias|line 2|write the value out"),
        ("a: &a [*a]\n", "an alias|line 1|write the value out"),
        ("a: " + "[" * 2000, "not valid YAML|nested too deeply"),
        ("a: " + "{a: " * 900 + "1" + "}" * 900, "nested too deeply"),
        ("title: " + "x" * 2_000_000, "larger than 1,000,000 bytes"),
        ("training: {lr: 1e-3, batch_size: 25.0}\n", "training.lr|write 1.0e-3|write 25"),
        ("title: 2001-99-99\n", "not valid YAML|month"),
        ("title: 2001-01-01\n", "title|give a value of type string"),
        ("1: 2\n", "(top level)|the key 1 is no text|quotes"),
        ("training: {yes: 1}\n", "training|the key True is no text|quotes"),
        ("training: {lr: .nan}\n", "training.lr|nan|give one"),
        ("study: \x00\n", "not valid YAML"),
        ("study: [\n", "not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, parts: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert all(part in str(caught.value) for part in parts.split("|")), caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"\x80\x04\x95",
        bytes(100),
        "é: 1".encode("latin-1"),
        "a: 1".encode("utf-16"),
    ],
)
def test_binary_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: not valid YAML"):
        load_config(path)


def test_a_broken_file_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for content in (b"caf\xe9: 1\n", b"study: [\n", b"a: b: c\n", b"study: a\n\tb: c\n"):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_config(path)
        assert len(str(caught.value).splitlines()) == 1, content


def test_endless_problems_end(tmp_path: Path) -> None:
    methods = {f"m{number}": {"method": "kdd"} for number in range(1000)}
    lines = message({**copy.deepcopy(GOOD), "methods": methods, "distillation": {}}).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "toy.yaml: and maybe more; mend these 100 first"
    rates = {f"students/p.{number}": 0.1 for number in range(50_000)}
    assert message({**copy.deepcopy(GOOD), "learning_rates": rates}).endswith("and 49900 more")
    unknown = {f"key-{number}": 1 for number in range(100_000)}
    [line] = message({**copy.deepcopy(GOOD), "training": unknown}).splitlines()
    assert line.endswith("and 99980 more")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}: .*name a readable file"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir", "python/name:os.mkdir"]
)
def test_no_tag_runs_anything(tmp_path: Path, tag: str) -> None:
    path, mark = tmp_path / "study.yaml", tmp_path / "ran"
    path.write_text(f'study: !!{tag} ["{mark}"]\n')
    with pytest.raises(UserError, match=f"{path}: not valid YAML"):
        load_config(path)
    assert not mark.exists()


# -- warnings ------------------------------------------------------------------------------------


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


# -- data from elsewhere -------------------------------------------------------------------------


def with_data(**data: Any) -> dict[str, Any]:
    """The good study on other data."""
    block = {**GOOD["data"], "student_images_per_class": None, "target_images_per_class": None}
    return {**copy.deepcopy(GOOD), "data": {**block, **data}}


def own_images(path: Path, *counts: int) -> Path:
    """A folder of classes whose images are not looked at yet."""
    for number, count in enumerate(counts):
        (path / f"class-{number}").mkdir(parents=True)
        for image in range(count):
            (path / f"class-{number}" / f"{image}.jpg").touch()
    return path


def test_without_validation_there_is_no_tuning() -> None:
    config = {**GOOD, "two_stage": {}, "pruning": [], "data": {**GOOD["data"], "validation": 0}}
    resolve_config(config)
    lines = message({**config, "tune": {"rates": [0.1, 0.2]}}).splitlines()
    assert len(lines) == 1
    assert "data.validation: 0, but tune chooses rates on held-out images; hold some" in lines[0]


CIFAR = {"source": "cifar100", "image_size": 32, "validation": 0.1}
DATA_CASES: list[tuple[dict[str, Any], str]] = [
    ({**CIFAR, "student_images_per_class": 460}, "data.student_images_per_class|460|the 450"),
    ({**CIFAR, "source_classes": [0, 100]}, "data.source_classes|[100]|use 0 to 99"),
    ({**CIFAR, "classes": 101}, "data.classes|101|100 classes of 'cifar100'"),
    ({**CIFAR, "classes": [0, 1, 100]}, "data.classes|100 classes of 'cifar100'"),
    ({**CIFAR, "subset": True}, "data|'subset' is unknown"),
    ({"source": "tiny_imagenet", "subset": 1}, "data.subset|1 is of the wrong type|true or false"),
    ({"source": "image_folder"}, "data.path: missing; name the folder"),
    ({"source": "image_folder", "path": 3}, "data.path|3 is of the wrong type|give a text"),
]


@pytest.mark.parametrize(("data", "parts"), DATA_CASES)
def test_other_data_are_checked_as_well(data: dict[str, Any], parts: str) -> None:
    lines = message(with_data(**data)).splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts.split("|")), lines


def test_the_subset_of_tiny_imagenet_has_fewer_images() -> None:
    tiny = {"source": "tiny_imagenet", "image_size": 64, "student_images_per_class": 90}
    assert "90 are more than the 80" in message(with_data(**tiny, subset=True))
    resolve_config(with_data(**tiny))


@pytest.mark.parametrize(
    ("counts", "data", "parts"),
    [
        ((5,), {}, "data.path|holds 1 folders|two or more"),
        ((5, 0, 5), {}, "data.path|'class-1'|holds no image"),
        ((5, 5, 2), {}, "data.path|'class-2'|has 2 images|need 3"),
        ((9, 9, 9, 9), {"source_classes": [0, 4]}, "data.source_classes|[4]|use 0 to 3"),
        ((90, 90, 9, 90), {"student_images_per_class": 30}, "30|the 4 training images"),
    ],
)
def test_own_images_are_counted_before_any_work(
    tmp_path: Path, counts: tuple[int, ...], data: dict[str, Any], parts: str
) -> None:
    path = str(own_images(tmp_path / "own", *counts))
    data = {"source": "image_folder", "path": path, "source_classes": [0, 1], **data}
    lines = message(with_data(**data)).splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts.split("|")), lines


def test_the_smallest_class_is_that_of_the_classes_in_use(tmp_path: Path) -> None:
    path = str(own_images(tmp_path / "own", 90, 90, 90, 90, 9))
    data = {"source": "image_folder", "path": path, "source_classes": [0, 1]}
    few = {"student_images_per_class": 30}
    resolve_config(with_data(**data, **few, classes=4))
    assert "more than the 4" in message(with_data(**data, **few, classes=[0, 1, 2, 4]))


def test_a_folder_that_is_not_here_does_not_hinder_redrawing(tmp_path: Path) -> None:
    data = {"source": "image_folder", "path": str(tmp_path / "absent"), "source_classes": [0, 1]}
    assert make_plan(resolve_config(with_data(**data))).runs


# -- what the checks know ------------------------------------------------------------------------


def test_facts_of_the_digits_are_true() -> None:
    import numpy as np

    from stagewise.data.sources.base import load_source

    raw = load_source("digits", {}, Path())
    assert raw.images.shape[2] == catalogue.source_fact("digits", "SIZE", {})
    assert len(raw.classes) == catalogue.source_fact("digits", "CLASSES", {})
    assert np.bincount(raw.labels).tolist() == catalogue.source_fact("digits", "IMAGES", {})


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "vgg13"])
def test_facts_of_the_networks_are_true(name: str) -> None:
    import torch
    from helpers import network

    built = network(name).eval()
    smallest = catalogue.network_fact(name, "SMALLEST") or 4
    built(torch.zeros(2, 1, smallest, smallest))
    if smallest > 4:
        with pytest.raises(RuntimeError):
            built(torch.zeros(2, 1, smallest - 1, smallest - 1))


def test_the_least_seeds_are_those_of_the_rules() -> None:
    from stagewise.analysis.claims.rules import MIN_SEEDS

    assert catalogue.least_seeds() == MIN_SEEDS


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom stagewise.study.config import load_config\n"
        "from stagewise.study.plan import make_plan\n"
        "from stagewise.study.warnings import find_warnings\n"
        "find_warnings(make_plan(load_config('config.yaml')))\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- one setting in two places --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"hint": 1},
            "methods.f.recipe.hint: 2, but the method's own 'hint' is 1; give both the same",
        ),
        ({"hint": 1, "recipe": {"recipe": "hint_first", "hint": 1}}, ""),
        (
            {"recipe": {"recipe": "hint_first", "hint": 3}},
            "hint: 3, but the method's own 'hint' is 2",
        ),
        ({}, ""),
        ({"hint": 1, "recipe": {"recipe": "one_stage"}}, ""),
        ({"method": "fitnet", "hint": 1}, ""),
    ],
)
def test_a_recipe_and_its_method_mean_one_hint(entry: dict[str, Any], said: str) -> None:
    config = copy.deepcopy(GOOD)
    config["methods"]["f"] = {"method": "fitnet_two_stage", **entry}
    config["distillation"]["methods"] = ["kd", "f"]
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert said in str(caught.value)


def fsp_between(teacher: dict[str, Any], student: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(GOOD)
    config["pairs"]["q"] = {"teacher": teacher, "student": student}
    config["distillation"] = {"pairs": ["q"], "methods": ["fsp"]}
    return config


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        ({"network": "wrn40-2"}, {"network": "wrn16-2"}, ""),
        ({"network": "resnet110"}, {"network": "resnet20"}, ""),
        ({"network": "vgg13"}, {"network": "vgg8"}, ""),
        ({"network": "resnet10", "width": 16}, {"network": "resnet8x4", "width": 16}, ""),
        (
            {"network": "wrn40-2"},
            {"network": "wrn40-1"},
            "stages have 16, 16, 32, 64 channels and the teacher's 16, 32, 64, 128; choose",
        ),
        (
            {"network": "resnet14", "width": 16},
            {"network": "resnet8", "width": 8},
            "stages have 8, 8, 16, 32 channels and the teacher's 16, 16, 32, 64; choose",
        ),
        ({"network": "resnet50"}, {"network": "vgg8"}, "the teacher's 64, 256, 512, 1024, 2048;"),
    ],
)
def test_flows_of_other_channels_are_refused_before_anything_runs(
    teacher: dict[str, Any], student: dict[str, Any], said: str
) -> None:
    config = fsp_between(teacher, student)
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert "distillation.methods.0: 'fsp' compares maps channel by channel" in str(caught.value)
    assert said in str(caught.value)


def test_the_last_assistants_channels_count_where_it_teaches() -> None:
    config = fsp_between({"network": "resnet14", "width": 16}, {"network": "resnet8", "width": 8})
    config["pairs"]["q"]["assistants"] = [{"network": "resnet8", "width": 8}]
    config["methods"]["below"] = {"method": "fsp", "teacher": "assistant"}
    config["distillation"]["methods"] = ["below"]
    resolve_config(config)
    config["pairs"]["q"]["assistants"].append({"network": "resnet8", "width": 4})
    with pytest.raises(UserError, match="and the teacher's 4, 4, 8, 16; choose"):
        resolve_config(config)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"term": "boundary", "weight": 0.1}, ""),
        ({"term": "flow"}, "methods.f.recipe.term: 'flow' is unknown; known: ce, kd, boundary"),
        ({"share": 0.2}, "methods.f.recipe: 'features_first' needs 'term'; add it"),
    ],
)
def test_a_recipes_term_is_one_of_the_methods(recipe: dict[str, Any], said: str) -> None:
    config = copy.deepcopy(GOOD)
    config["methods"]["f"] = {"method": "ab", "recipe": {"recipe": "features_first", **recipe}}
    config["distillation"]["methods"] = ["kd", "f"]
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert said in str(caught.value)


def test_tabs_and_lines_are_text() -> None:
    assert resolve_config({**GOOD, "title": "a\tb\nc"}).title == "a\tb\nc"


# -- as a user meets it --------------------------------------------------------------------------


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
