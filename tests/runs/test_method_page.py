"""The page of all methods says what the methods are, and what they cost."""

import ast
import re
from collections.abc import Iterator

import pytest
from helpers import ROOT

from stagewise.catalogue import method_needs, method_title, methods, teacher_part
from stagewise.papers.methods import load_origins
from stagewise.runs.method_page import cost, page

PAGE = ROOT / "docs/methods.md"
TESTS = ROOT / "tests/methods"
EVERY = sorted(methods())
Function = ast.FunctionDef


def test_the_page_is_up_to_date() -> None:
    expected = page(TESTS)
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


def literal(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def made(function: Function) -> Iterator[str]:
    """Names that a test gives a function first, as ``make("ab")``, or is parametrised by. A name
    in a set, as of what is left out, is none of them."""
    for call in ast.walk(function):
        if isinstance(call, ast.Call):
            yield from map(literal, call.args[:1])
            if call in function.decorator_list and isinstance(call.args[-1], ast.List):
                yield from map(literal, call.args[-1].elts)


def used(function: Function, functions: dict[str, Function]) -> set[str]:
    """Names that a test's body refers to, and those of the helpers that it refers to."""
    found: set[str] = set()
    wanted = [function.name]
    while wanted:
        body = functions[wanted.pop()]
        names = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)} - found
        found |= names
        wanted += [name for name in names if name in functions]
    return found


def subjects(file: str, name: str) -> set[str]:
    """Methods that a test of ``tests/methods`` is about: those that it makes, those whose parts of
    a teacher it reads, and those of whose files it uses what its module imports."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    function = functions[name]
    found = {each for each in made(function) if each in methods()}
    attributes = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    if "teacher_part" in attributes:
        found |= {method_needs(each).teacher_part for each in found}
    names = used(function, functions)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            room, _, method = node.module.rpartition(".")
            if room == "stagewise.methods" and {a.asname or a.name for a in node.names} & names:
                found.add(method)
    return found


def test_every_method_says_whose_it_is() -> None:
    assert sorted(load_origins()) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_the_oracles_test_is_about_the_method(name: str) -> None:
    file, _, function = load_origins()[name].test.partition("::")
    assert name in subjects(file, function)


def test_a_method_that_a_test_leaves_out_is_not_its_subject() -> None:
    about = subjects("test_losses.py", "test_loss_and_gradient_are_finite_at_any_margin")
    assert not about & {"paraphraser", "rotation_heads", "fitnet_two_stage"}


@pytest.mark.parametrize("name", EVERY)
def test_the_paper_is_that_of_the_methods_file(name: str) -> None:
    said = ast.get_docstring(ast.parse(methods()[name].read_text(encoding="utf-8"))) or ""
    own = load_origins()[name]
    assert own.arxiv in said
    if own.arxiv:
        assert re.split(" et al| &| 2", own.paper)[0] in said
        assert own.paper[-4:] in said
