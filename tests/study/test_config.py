"""A configuration: defaults at every depth, and every problem named at once with its mend."""

import copy
from pathlib import Path
from typing import Any

import pytest

from stagewise.errors import UserError
from stagewise.study.config import load_config, resolve_config

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "study": "toy",
    "data": {"source": "digits", "source_classes": [0, 1]},
    "pairs": {"p": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}},
}


def small(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy({**SMALL, **changes})


def problems(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve_config(small(**changes), "toy.yaml")
    return str(caught.value)


def test_the_default_study_is_valid() -> None:
    assert load_config(ROOT / "config.yaml").study == "digits"


def test_absent_keys_get_their_defaults_at_every_depth() -> None:
    config = resolve_config(small(pruning=[{"pair": "p", "ratios": [2]}]))
    assert config.seeds == (0, 1, 2, 3, 4, 5)
    assert config.data.student_images_per_class is None
    assert config.recovery.min_share == 0.25
    plain = config.as_dict()
    assert plain["seeds"] == [0, 1, 2, 3, 4, 5]
    assert plain["data"]["validation"] == 0.2
    assert plain["data"]["student_images_per_class"] is None
    assert plain["training"]["momentum"] == 0.9
    assert plain["training"]["flip"] is True
    assert plain["two_stage"]["pretraining"] == {"seed": 0, "training": {}}
    assert plain["pruning"][0]["chain"] == "baseline"
    assert plain["pruning"][0]["recover"] == ["ce", "kd", "two_stage_kd"]


def test_what_means_nothing_where_it_is_absent_is_not_written_down() -> None:
    plain = resolve_config(small(methods={"kd": {"temperature": 2}})).as_dict()
    assert not {"tune", "equivalence"} & plain.keys()
    assert plain["methods"] == {"kd": {"temperature": 2.0}}
    assert plain["pairs"] == SMALL["pairs"]
    assert "image_size" not in plain["data"]


def test_options_stand_beside_the_other_keys_again() -> None:
    raw = small(methods={"hot": {"method": "kd", "training": {"epochs": 9}}})
    raw["pairs"]["p"]["student"]["width"] = 4
    config = resolve_config(raw)
    assert config.pairs["p"].student.options == {"width": 4}
    assert config.as_dict()["pairs"]["p"]["student"] == {"network": "resnet8", "width": 4}
    assert config.as_dict()["methods"] == raw["methods"]


def test_given_values_win_over_defaults() -> None:
    config = resolve_config(small(seeds=[9], training={"lr": 0.3}))
    assert config.seeds == (9,)
    assert config.training.lr == 0.3
    assert config.training.momentum == 0.9


def test_resolving_leaves_the_input_and_the_defaults_alone() -> None:
    raw = small()
    first = resolve_config(raw).as_dict()
    assert raw == SMALL
    first["training"]["lr"] = 9.0
    first["two_stage"]["pairs"].append("p")
    first["students"]["training"]["lr"] = 9.0
    assert resolve_config(small()).as_dict()["training"]["lr"] == 0.05
    assert resolve_config(small()).as_dict()["two_stage"]["pairs"] == []
    assert resolve_config(small()).as_dict()["students"]["training"] == {}


def test_resolving_twice_changes_nothing() -> None:
    once = resolve_config(small(tune={"rates": [0.1, 0.2]}))
    assert resolve_config(once.as_dict()) == once


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"sedes": [1]}, ["(top level)", "'sedes'", "'seeds'"]),
        ({"training": {"epoch": 3}}, ["training:", "'epoch'", "'epochs'"]),
        ({"students": {"training": {"learning_rate": 3}}}, ["students.training:", "known:"]),
        ({"recovery": {"min_channel": 3}}, ["recovery:", "'min_channel'", "'min_channels'"]),
        ({"pruning": [{"pair": "p", "ratio": [2]}]}, ["pruning.0", "'ratio'", "'ratios'"]),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    changes: dict[str, Any], parts: list[str]
) -> None:
    message = problems(**changes)
    assert all(part in message for part in parts), message


def test_every_schema_problem_stands_in_one_message() -> None:
    message = problems(seeds=[0, 0], training={"batch_size": 1, "schedule": "cosin"}, extra=1)
    lines = message.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("toy.yaml: ") for line in lines)
    for part in ("seeds", "training.batch_size", "training.schedule", "'extra'"):
        assert part in message
    assert "did you mean 'cosine'?" in message


def test_every_semantic_problem_stands_in_one_message() -> None:
    message = problems(
        data={"source": "digit"},
        distillation={"pairs": ["q"], "methods": ["kdd"]},
        methods={"kd": {"weights": {"kl": 1.0}}},
    )
    assert len(message.splitlines()) == 4
    for part in ("data.source: 'digit'", "pairs.0: 'q'", "methods.0: 'kdd'", "weights: 'kl'"):
        assert part in message


def pair(**student: Any) -> dict[str, Any]:
    return {"p": {"teacher": {"network": "resnet14"}, "student": student}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"pairs": pair(network="resnet9")}, ["pairs.p.student.network", "'resnet9'", "'resnet"]),
        ({"pairs": pair(network="vgg8", widht=8)}, ["pairs.p.student", "'widht'", "'width'"]),
        ({"pairs": pair(network="vgg8", width=0)}, ["pairs.p.student.width", "whole number"]),
        ({"pairs": pair(network="vgg8", width=True)}, ["pairs.p.student.width", "whole number"]),
        ({"data": {"source": "digitz"}}, ["data.source", "'digitz'", "'digits'"]),
        ({"data": {"source": "digits", "root": "x"}}, ["data", "'root'"]),
        (
            {"data": {"source": "digits", "validation": 0.5, "test": 0.5}},
            ["data.validation: 0.5", "data.test: 0.5", "lower one"],
        ),
        ({"data": {"source": "digits", "test": 1}}, ["data.test: 1", "maximum of 1"]),
        ({"data": {"source": "digits", "source_classes": [3]}}, ["data.source_classes", "two"]),
        (
            {"data": {"source": "digits"}, "two_stage": {"pairs": ["p"]}},
            ["data.source_classes", "two_stage"],
        ),
        ({"distillation": {"pairs": ["q"]}}, ["distillation.pairs.0", "'q'", "known: p"]),
        ({"multi_exit": {"pairs": ["pp"]}}, ["multi_exit.pairs.0", "'pp'", "'p'"]),
        (
            {"distillation": {"pairs": ["p"], "methods": ["kdd"]}},
            ["distillation.methods.0", "'kdd'", "'kd'"],
        ),
        ({"methods": {"hot": {"method": "kdd"}}}, ["methods.hot", "'kdd'", "'kd'"]),
        ({"methods": {"kd": {"temprature": 2}}}, ["methods.kd", "'temprature'", "'temperature'"]),
        (
            {"methods": {"kd": {"weights": {"kl": 1}}}},
            ["methods.kd.weights", "'kl'", "known: ce, kd"],
        ),
        ({"methods": {"kd": {"weights": {"ce": 0, "kd": 0}}}}, ["methods.kd.weights", "all are 0"]),
        ({"methods": {"kd": {"temperature": 0}}}, ["methods.kd.temperature", "0"]),
        (
            {"distillation": {"pairs": ["p"], "methods": ["mskd"]}},
            ["distillation.methods.0", "'mskd'", "multi_exit.methods"],
        ),
        (
            {"two_stage": {"pairs": ["p"], "methods": ["oto"]}},
            ["two_stage.methods.0", "'oto'", "multi_exit.methods"],
        ),
        (
            {"multi_exit": {"pairs": ["p"], "methods": ["kd"]}},
            ["multi_exit.methods.0", "'kd'", "distillation or two_stage"],
        ),
        (
            {"multi_exit": {"pairs": ["p"], "methods": ["mskd", "exits_ce"], "places": [1, 3]}},
            ["multi_exit.places: 3", "'resnet8'", "'p'", "from 1 to 2"],
        ),
        (
            {
                "multi_exit": {"pairs": ["p"], "methods": ["few"], "places": [2]},
                "methods": {"few": {"method": "oto", "exits": {"places": [1]}}},
            },
            ["methods.few.exits.places", "[1]", "[2]", "add them to multi_exit.places"],
        ),
        ({"pruning": [{"pair": "q", "ratios": [2]}]}, ["pruning.0.pair", "'q'"]),
        (
            {"pruning": [{"pair": "p", "chain": "two_stage", "ratios": [2]}]},
            ["pruning.0.chain", "two_stage.pairs", "'p'"],
        ),
        ({"pruning": [{"pair": "p", "ratios": [1]}]}, ["pruning.0.ratios.0", "1"]),
        ({"pruning": [{"pair": "p", "ratios": [2, 2]}]}, ["pruning.0.ratios", "repeated"]),
        ({"seeds": [1, 1]}, ["seeds", "repeated"]),
        ({"seeds": []}, ["seeds"]),
        ({"study": "My Study"}, ["study", "lower-case"]),
        ({"pairs": {}}, ["pairs"]),
    ],
)
def test_a_problem_is_named_with_its_key_and_its_mend(
    changes: dict[str, Any], parts: list[str]
) -> None:
    message = problems(**changes)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) == 1, message


@pytest.mark.parametrize("key", ["study", "data", "pairs"])
def test_a_missing_key_is_named(key: str) -> None:
    raw = small()
    del raw[key]
    with pytest.raises(UserError, match=f"'{key}' is a required property; add it"):
        resolve_config(raw)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("study: a\nseeds: [1]\nstudy: b\n", "study"),
        ("study: a\ntraining:\n  lr: 0.1\n  lr: 0.2\n", "lr"),
    ],
)
def test_a_repeated_yaml_key_is_refused(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path}.*{key}: the key stands twice"):
        load_config(path)


@pytest.mark.parametrize("text", ["a: [1\n", "a: b: c\n", "!!python/object:os.system {}\n"])
def test_what_is_not_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path}: not valid YAML"):
        load_config(path)


@pytest.mark.parametrize("text", ["", "- 1\n", "words\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="must be a mapping"):
        load_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")
