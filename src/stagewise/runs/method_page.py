"""The page of all methods, ``docs/methods.md``: what each needs and costs, and what its file says
of its paper, with ``papers/methods.yaml`` in short.

Costs are counted on torch's ``meta`` device in one step of each phase of WRN-40-2 → WRN-16-2 as the
papers' benchmark has it. No clock is read, so the page is the same on every machine.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from stagewise import catalogue
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.declarations import Needs
from stagewise.methods.base import make_method
from stagewise.models.features import Network
from stagewise.models.store import Architecture, build, seeded
from stagewise.papers.methods import Origin, origin
from stagewise.recipes.base import make_phases
from stagewise.runs.start import make_part, make_setup
from stagewise.study.spec import Training
from stagewise.training.cost import training_effort

TEACHER, STUDENT = "wrn40-2", "wrn16-2"
CLASSES, SIZE, IMAGES = 100, 32, 50_000
SETTINGS = Training(epochs=240, batch_size=64)
HEADER = (
    *("Method", "File", "Paper", "Needs", "Weights", "Whose", "Extra parameters", "Training"),
    *("Before it", "Oracle", "Paper, code and here disagree"),
)

PREAMBLE = f"""# The methods

`make method-docs` writes this page from the methods' files and from
[methods.yaml](../src/stagewise/papers/methods.yaml); nothing in it is typed by hand.

A method is a file of [src/stagewise/methods](../src/stagewise/methods): its loss as a function,
what it needs, its weights. Name any of them in `distillation: {{methods: […]}}` (those that need
exits in `multi_exit`); under `methods:` it takes options, weights, a recipe and a training of its
own. The terms `ce` (labels) and `kd` (the teacher's softened answers) are those of all, so "method
+ KD" is a weight.

*Training* is multiply-adds beside plain KD's: student, teacher and the method's own layers over
{SETTINGS.epochs} epochs of {TEACHER} → {STUDENT}, batches of {SETTINGS.batch_size}, by the method's
own recipe, the teacher asked at every step. Methods that need logits or pooled vectors alone take
less here, from a table of answers. What is trained on the teacher *before it* is named, not
counted. *Extra parameters* are trained beside the student and thrown away. *Whose* the default
weights are; *oracle*: what the loss is checked against, with the test's file.
"""


@dataclass(frozen=True)
class Cost:
    """Of a training: multiply-adds, and parameters that are trained beside the student."""

    macs: int
    parameters: int


@cache
def cost(name: str) -> Cost:
    """Of the method ``name`` with its defaults."""
    needs, recipe = catalogue.method_needs(name), catalogue.method_recipe(name)
    labels = torch.arange(IMAGES) % CLASSES
    names = [str(number) for number in range(CLASSES)]
    channel = torch.ones(1, 3, 1, 1)
    two = Split(torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8), labels)
    data = TaskData(two, two, two, names, channel, channel)
    part = catalogue.method_needs(needs.teacher_part) if needs.teacher_part else Needs()
    student = _network(STUDENT, needs)
    teacher = _network(TEACHER, part) if needs.teacher else None
    setup = make_setup(needs, student, teacher, data, seed=0)
    if needs.teacher_part and teacher:
        setup = replace(
            setup, teacher_part=make_part({"method": needs.teacher_part}, setup, teacher)
        )
    seeded(0, "method")
    method = make_method({"method": name}, setup)
    for module in (student, teacher, method, method.teacher_part):
        if isinstance(module, nn.Module):
            module.to("meta").train()
    meta = Split(
        torch.zeros(IMAGES, 3, SIZE, SIZE, dtype=torch.uint8, device="meta"), labels.to("meta")
    )
    shown = TaskData(meta, meta, meta, names, channel.to("meta"), channel.to("meta"))
    effort = training_effort(
        student,
        method,
        catalogue.method_weights(name),
        teacher,
        TrainingBatches(shown, seed=0, settings=SETTINGS),
        make_phases(recipe, epochs=SETTINGS.epochs, lr=SETTINGS.lr, paths=student.paths()),
    )
    return Cost(effort["training_macs"] + effort["teacher_macs"], effort["method_parameters"])


def page(tests: Path) -> str:
    """The page; ``tests``: the folder whose files say what each loss is checked against."""
    known = [name for name in catalogue.methods() if not catalogue.teacher_part(name)]
    parts = [name for name in catalogue.methods() if catalogue.teacher_part(name)]
    table = [_line(HEADER), _line(["---"] * len(HEADER)), *(_line(_cells(name)) for name in known)]
    sections = [_section(name, tests) for name in (*known, *parts)]
    return "\n".join([PREAMBLE, *table, "", *sections])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str) -> list[str]:
    """A method's row."""
    needs, found, own = catalogue.method_needs(name), cost(name), origin(name)
    recipe = catalogue.method_recipe(name)["recipe"]
    before = []
    if needs.teacher_part:
        before.append(f"`{needs.teacher_part}` on the teacher")
    if recipe != "one_stage":
        before.append(f"recipe `{recipe}`")
    weights = catalogue.method_weights(name)
    return [
        f"[{catalogue.method_title(name)}](#{name})",
        f"`{name}`",
        _paper(own),
        ", ".join(_needs(needs)) or "labels",
        ", ".join(f"{term} {weight:g}" for term, weight in weights.items()),
        own.weights or "–",
        f"{found.parameters:,}" if found.parameters else "–",
        f"{found.macs / cost('kd').macs:.2f} ×",
        "; ".join(before) or "–",
        f"{own.oracle}: {_link(_test_of(own)[0])}",
        own.differs or "–",
    ]


def _paper(own: Origin) -> str:
    """Who and when, with its address where that is known."""
    linked = f"[{own.paper}](https://arxiv.org/abs/{own.arxiv})"
    return linked if own.arxiv else own.paper or "–"


def _test_of(own: Origin) -> tuple[str, str]:
    """File and function."""
    file, _, function = own.test.partition("::")
    return file, function


def _link(file: str) -> str:
    return f"[{file}](../tests/methods/{file})"


def _needs(needs: Needs) -> list[str]:
    """What a method asks for, in words."""
    words = {
        "the teacher's answers": needs.teacher and not (needs.teacher_taps or needs.teacher_pooled),
        "pooled vectors": needs.teacher_pooled,
        "maps": needs.teacher_taps and not needs.blocks,
        "every block's map": needs.blocks,
        "equal channels": needs.same_channels,
        "exits": needs.exits,
        f"{needs.views} views of an image": needs.views > 1,
        "a memory of all images": needs.remembers,
    }
    return [word for word, wanted in words.items() if wanted]


def _section(name: str, tests: Path) -> str:
    """What a method's file says of it, and what it is checked against."""
    file, function = _test_of(origin(name))
    said, checked = _docstring(catalogue.methods()[name]), _docstring(tests / file)
    return (
        f'<a id="{name}"></a>\n\n## {catalogue.method_title(name)}\n\n{said}\n\n'
        f"*Checked* by `{function}` in {_link(file)}: {checked}\n"
    )


def _docstring(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").replace("``", "`")


def _network(name: str, needs: Needs) -> Network:
    options = catalogue.network_options(name)
    exits = "sepatt" if needs.exits else None
    return build(Architecture(name, options, CLASSES, 3, SIZE, exits), 0)
