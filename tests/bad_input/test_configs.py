"""Bad configurations: each one a valid one with a single change, each refused in one line that
names file, key, value and mend."""

import copy
import re
from typing import Any

import pytest
from configs import GOOD, changed, message

from stagewise.errors import UserError
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.warnings import find_warnings

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
    ("pruning.0.criterion", "lampp", "pruning.0.criterion|'lampp'|did you mean 'lamp'?"),
    ("pruning.0.round_to", 0, "pruning.0.round_to|0|choose a value"),
    ("pruning.0.keep", ["stem*", "stem*"], "pruning.0.keep|stem*|remove the repeated entry"),
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
    ("tune", {"rates": [0.1]}, "tune.rates|[0.1]|give more rates, tune.strengths, or"),
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
    ("two_stage.probe_own_rates", False, "probe_own_rates: false|common_rates is empty|probe: fa"),
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
    ("pruning.0.probe", ["self_kd"], "pruning.0.probe: self_kd is none of pruning.0.recover"),
    ("pruning", [{**FEW, "probe": ["bn"]}], "pruning.0.probe: bn takes no step|leave it out"),
    ("recovery.min_share", 0.9, "pruning.0.ratios.0|2 cannot be reached|by 1.3 at most|lower"),
    ("recovery.min_channels", 60, "pruning.0.ratios.1|4 cannot be reached|by 1.2 at most|lower"),
]


def test_the_good_one_is_good() -> None:
    plan = make_plan(resolve_config(GOOD), "toy.yaml")
    assert len(plan.runs) > 100
    assert find_warnings(plan) == []


@pytest.mark.parametrize(("path", "value", "parts"), CASES)
def test_a_single_change_is_refused(path: str, value: Any, parts: str) -> None:
    lines = message(changed(path, value)).splitlines()
    assert all(line.startswith("toy.yaml: ") for line in lines), lines
    assert any(all(part in line for part in parts.split("|")) for line in lines), lines


def test_a_probe_of_recovery_needs_held_out_images() -> None:
    raw = changed("pruning.0.probe", ["kd"], changed("two_stage.probe", False))
    raw["data"]["validation"] = 0
    assert "toy.yaml: pruning.0.probe: kd, but data.validation is 0" in message(raw)


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
