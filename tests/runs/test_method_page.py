"""The page of all methods says what the methods are, and what they cost."""

from helpers import ROOT

from stagewise.catalogue import method_title, methods, teacher_part
from stagewise.runs.method_page import cost, page

PAGE = ROOT / "docs/methods.md"


def test_the_page_is_up_to_date() -> None:
    expected = page(ROOT / "tests/methods")
    assert PAGE.read_text(encoding="utf-8") == expected, "run `make method-docs`"
    for name in methods():
        assert f'<a id="{name}"></a>\n\n## {method_title(name)}\n' in expected
        assert teacher_part(name) or f" | `{name}` | " in expected


def test_costs_are_those_of_the_formulas() -> None:
    """WRN-40-2 → WRN-16-2: a step is three forward passes of the student and one of the teacher."""
    student, teacher, images = 101_000_000, 328_000_000, 240 * 781 * 64
    assert abs(cost("ce").macs / (3 * student * images) - 1) < 0.02
    assert abs(cost("kd").macs / ((3 * student + teacher) * images) - 1) < 0.02
    assert cost("kd").parameters == 0
    assert cost("crd").parameters == 2 * (128 * 128 + 128)
