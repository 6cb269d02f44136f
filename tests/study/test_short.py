"""The short form of pairs is the long form, and is told of as it was written."""

import pytest

from stagewise.errors import UserError
from stagewise.study.config import resolve_config

TEACHER, SMALL, WIDE = (
    {"network": "resnet14"},
    {"network": "resnet8", "width": 8},
    {"network": "resnet8", "width": 12},
)
SHORT = {"study": "s", "data": {"source": "digits"}, "teacher": TEACHER, "student": SMALL}


def test_one_student_is_a_pair_of_its_networks_name():
    long = {key: value for key, value in SHORT.items() if key not in ("teacher", "student")}
    long["pairs"] = {"resnet8": {"teacher": TEACHER, "student": SMALL}}
    assert resolve_config(SHORT) == resolve_config(long)


def test_several_are_several_pairs_and_equal_networks_are_numbered():
    vgg = {"network": "vgg8"}
    config = resolve_config({**SHORT, "student": [SMALL, WIDE, vgg]})
    students = {name: pair.student for name, pair in config.pairs.items()}
    assert [*students] == ["resnet8", "resnet8-2", "vgg8"]
    assert students["resnet8-2"].options == {"width": 12}
    assert {pair.teacher.network for pair in config.pairs.values()} == {"resnet14"}


def test_what_was_read_is_read_again_as_the_same():
    config = resolve_config(SHORT)
    assert resolve_config(config.as_dict()) == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"student": None}, ["'student' is a required property"]),
        ({"teacher": None}, ["'teacher' is a required property"]),
        ({"teacher": None, "student": None}, ["'pairs' is a required property"]),
        ({"pairs": {"p": {"teacher": TEACHER, "student": SMALL}}}, ["teacher: pairs is there too"]),
        ({"student": {"network": "resnet9"}}, ["student.network: 'resnet9'", "'resnet8'?"]),
        ({"student": {"width": 8}}, ["student: 'network' is a required property"]),
        ({"student": [SMALL, {"network": "resnet9"}]}, ["student.1.network: 'resnet9'"]),
        ({"student": [SMALL, {"netwrk": "a"}]}, ["student.1: 'network' is a required"]),
        ({"student": "resnet8"}, ["student: 'resnet8'", "give a value of type array"]),
        ({"teacher": {**TEACHER, "weights": "no.pth"}}, ["teacher.weights: 'no.pth' is no file"]),
    ],
)
def test_what_is_wrong_is_said_of_the_keys_that_were_written(change, said):
    raw = {key: value for key, value in {**SHORT, **change}.items() if value is not None}
    with pytest.raises(UserError) as raised:
        resolve_config(raw)
    message = str(raised.value)
    assert all(words in message for words in said), message
    assert "pairs." not in message
