"""Which networks' maps are compared: students from scratch, with the exits that taught them."""

from typing import Any

from stagewise.study.config import resolve_config
from stagewise.study.gradcam import compared
from stagewise.study.plan import make_plan

PAIR = {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}
BASE: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1],
    "data": {"source": "digits", "student_images_per_class": 5, "source_classes": [0, 1, 2]},
    "pairs": {"p": {**PAIR, "wide": {"network": "resnet8", "width": 18}}, "q": PAIR},
    "distillation": {"pairs": ["p", "q"], "methods": ["kd"]},
    "two_stage": {"pairs": ["p"]},
    "pruning": [{"pair": "p", "ratios": [2]}],
}
FROZEN = "runs/toy/teachers/p.exits/seed-0"


def found(labels: list[str], seed: int = 0, **changes: Any) -> dict[str, str]:
    """Arm → folder of the teacher, of a seed's students."""
    exits = {"pairs": ["p"], "methods": labels, "controls": ["wide", "twice"]}
    plan = make_plan(resolve_config({**BASE, "multi_exit": exits, **changes}))
    students = compared(plan)
    assert {*students} | {*students.values()} <= {*plan.runs}
    return {plan.runs[s].arm: t for s, t in students.items() if plan.runs[s].seed == seed}


def test_students_from_scratch_of_pairs_with_exits_and_no_others() -> None:
    arms = ["students/p.baseline", "distillation/p.kd", "multi_exit/p.ce", "multi_exit/p.mskd"]
    assert [*found(["exits_ce", "mskd"])] == arms


def test_without_a_teacher_with_exits_there_is_the_plain_one() -> None:
    assert {*found(["exits_ce", "mskd"]).values()} == {"runs/toy/teachers/p/seed-0"}


def test_exits_on_the_frozen_teacher_stand_for_it_whoever_learned_from_them() -> None:
    assert {*found(["exits_ce", "mskd", "oto"]).values()} == {FROZEN}


def test_a_student_of_other_exits_is_compared_with_these() -> None:
    joint = {"oto_joint": {"method": "oto", "teacher_exits": "joint"}}
    arms = found(["mskd", "oto", "oto_joint"], methods=joint)
    assert arms.pop("multi_exit/p.oto_joint") == "runs/toy/teachers/p.joint-exits/seed-0"
    assert {*arms.values()} == {FROZEN}


def test_where_a_seed_is_a_chain_it_has_its_own_teacher() -> None:
    arms = found(["oto"], seed=1, replicates="chains")
    assert {*arms.values()} == {"runs/toy/teachers/p.exits/seed-1"}


def test_it_can_be_switched_off_and_needs_exits() -> None:
    assert not found(["oto"], gradcam={"enabled": False})
    assert not compared(make_plan(resolve_config(BASE)))


def test_a_study_that_says_nothing_of_it_is_written_as_before() -> None:
    assert "gradcam" not in resolve_config(BASE).as_dict()
