"""The study's steps as a graph: what was made from what, and how often; laid out to be drawn."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from stagewise.analysis.records.study import Study

WIDTH, HEIGHT = 164, 54
"""Size of a box, in the drawing's units."""
GAP_X, GAP_Y = 18, 34
DATA = "data"
RESULTS = ("tables", "figures", "verdicts")
Graph = dict[str, set[str]]
Line = tuple[float, float, float, float]


@dataclass(frozen=True)
class Box:
    """One step; ``x`` and ``y`` are the middle of its upper edge."""

    name: str
    counts: str
    x: float
    y: float
    width: float = WIDTH


@dataclass(frozen=True)
class Drawing:
    """Boxes, the lines between them (x, y, x, y), the size of the whole, the same in sentences."""

    boxes: list[Box]
    lines: list[Line]
    width: float
    height: float
    sentences: list[str]


def step_graph(study: Study) -> Graph:
    """Step → the steps whose runs its own runs start from; without a run, from the data."""
    step_of = dict(zip(study.runs["path"], study.runs["step"], strict=True))
    graph: Graph = {DATA: set()}
    for step, parents in zip(study.runs["step"], study.runs["parents"], strict=True):
        made_from = {step_of[path] for path in parents.values() if path in step_of}
        graph.setdefault(step, {DATA}).update(made_from - {step})
    return graph


def without_shortcuts(graph: Graph) -> Graph:
    """The graph without lines that a longer way replaces."""

    def before(step: str) -> set[str]:
        return graph[step].union(*map(before, graph[step]))

    return {step: parents - set().union(*map(before, parents)) for step, parents in graph.items()}


def draw_steps(study: Study) -> Drawing:
    """Boxes in layers from the data down. A step without followers stands at its layer's end, so
    that its line to the records passes no box; before it the one with most: few lines cross.
    """
    graph = step_graph(study)
    short = without_shortcuts(graph)
    followers = Counter(parent for parents in short.values() for parent in parents)
    layers: dict[int, list[str]] = defaultdict(list)
    for step in graph:
        layers[_depth(graph, step)].append(step)
    width = max(map(len, layers.values())) * (WIDTH + GAP_X) - GAP_X
    places: dict[str, tuple[float, float]] = {}
    for depth, steps in sorted(layers.items()):
        steps.sort(key=lambda step: followers[step] or math.inf)
        for step, x in zip(steps, _columns(steps, short, places, width), strict=True):
            places[step] = (x, depth * (HEIGHT + GAP_Y))
    bottom = (max(layers) + 1) * (HEIGHT + GAP_Y)
    lines = [
        _line(places[parent], places[step])
        for step, parents in short.items()
        for parent in sorted(parents, key=list(graph).index)
    ]
    ends = [place for step, place in places.items() if not followers[step]]
    lines += [_line(place, (place[0], bottom)) for place in ends]
    counts = _counts(study)
    boxes = [Box(_words(step), counts[step], *place) for step, place in places.items()]
    sentences = [
        f"{_words(step).capitalize()} ({counts[step]}): from "
        f"{', '.join(_words(parent) for parent in graph if parent in graph[step])}."
        for step in graph
        if step != DATA
    ]
    more, further = _results(width, bottom, len(study.runs))
    height = bottom + 3 * (HEIGHT + GAP_Y) - GAP_Y
    return Drawing([*boxes, *more], [*lines, *further], width, height, sentences)


def _results(width: float, top: float, runs: int) -> tuple[list[Box], list[Line]]:
    """The records, what is made from them, and the report; with the lines between."""
    row = [top, top + HEIGHT + GAP_Y, top + 2 * (HEIGHT + GAP_Y)]
    share = (width - (len(RESULTS) - 1) * GAP_X) / len(RESULTS)
    middles = [share / 2 + number * (share + GAP_X) for number in range(len(RESULTS))]
    made = [Box(name, "", x, row[1], share) for name, x in zip(RESULTS, middles, strict=True)]
    records = Box("records", f"one for each of {runs} runs", width / 2, row[0], width)
    page = Box("report", "this page", width / 2, row[2], width)
    lines = [_line((x, row[0]), (x, row[1])) for x in middles]
    lines += [_line((x, row[1]), (x, row[2])) for x in middles]
    return [records, *made, page], lines


def _line(parent: tuple[float, float], child: tuple[float, float]) -> Line:
    """From the lower edge of one box to the upper edge of another."""
    return parent[0], parent[1] + HEIGHT, *child


def _depth(graph: Graph, step: str) -> int:
    return max((1 + _depth(graph, parent) for parent in graph[step]), default=0)


def _columns(
    steps: list[str], graph: Graph, places: dict[str, tuple[float, float]], width: float
) -> list[float]:
    """Middles of a layer's boxes: under their parents where one stands alone, else spread."""
    if len(steps) == 1 and graph[steps[0]]:
        above = [places[parent][0] for parent in graph[steps[0]]]
        return [sum(above) / len(above)]
    left = (width - len(steps) * (WIDTH + GAP_X) + GAP_X + WIDTH) / 2
    return [left + number * (WIDTH + GAP_X) for number in range(len(steps))]


def _counts(study: Study) -> dict[str, str]:
    groups = study.runs.groupby("step", sort=False)
    found = {
        str(step): f"{_count(part['arm'].nunique(), 'network')}, {_count(len(part), 'run')}"
        for step, part in groups
    }
    return {DATA: study.config["data"]["source"], **found}


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


def _words(step: str) -> str:
    return step.replace("_", " ")
