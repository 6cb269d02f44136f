"""A ninth and a twentieth method: no text is cut, no colour changes, in every format."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from stagewise import catalogue
from stagewise.analysis.claims.comparison import PairComparison
from stagewise.analysis.claims.frontier import frontier
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import accuracy, drawing, learning, pairwise, tradeoff
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study
from stagewise.analysis.records.summary import summarise

METHODS = (
    *("kd", "fitnet", "crd", "dkd", "at", "sp", "vid", "rkd", "pkt", "ab", "ft", "fsp", "nst"),
    *("afd", "cc", "hsakd", "wttm", "mlkd", "dist", "reviewkd"),
)
LONG = "a variant with a rather long name that somebody chose"


def level(arm: str) -> float:
    """One of the methods fails badly."""
    if arm.startswith("teachers"):
        return 93.0
    label = arm.rsplit(".", maxsplit=1)[-1]
    better = METHODS.index(label) / 4 if label in METHODS else 0.0
    return 20.0 if label == "crd" else 85.0 + better


@pytest.fixture(scope="module")
def studies(
    study_writer: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Results]:
    """Studies of so many methods, timed."""
    found = {}
    for count in (8, 9, 20, 40):
        more = {f"kd_{number}": {"method": "kd"} for number in range(count - len(METHODS))}
        config: dict[str, Any] = {
            "pairs": {
                "wide": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}
            },
            "distillation": {"pairs": ["wide"], "methods": [*METHODS[:count], *more]},
            **{"methods": more, "multi_exit": {}, "two_stage": {"pairs": []}, "pruning": []},
            "claims_tested": [],
        }
        folder = tmp_path_factory.mktemp(f"methods{count}")
        study = study_writer(folder, level, seeds=(0, 1), **config)
        runs = study.runs
        runs.loc[runs["method"] == "fitnet", "display"] = LONG
        results = Results(study, summarise(study, evaluate(study)))
        arms = results.main.drop_duplicates("arm")
        times = {"arm": arms["arm"], "exit": arms["exit"], "batch": 1, "milliseconds": 0.5}
        found[count] = replace(results, latency=pd.DataFrame(times))
    return found


def shown(figure: Figure) -> Iterator[Artist]:
    """Axes with what they draw, and the texts of a figure: what has a box."""
    ticks = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            marks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            ticks |= {label for mark in marks for label in (mark.label1, mark.label2)}
            if axes.get_visible() and axes.axison:
                yield axis
    for text in figure.findobj(Text):
        hidden = text.axes and not text.axes.get_visible()
        if text.get_visible() and text.get_text().strip() and text not in ticks and not hidden:
            yield text


def cut(figure: Figure) -> list[str]:
    """What of a figure does not lie on its canvas."""
    drawing.settle(figure)
    figure.draw_without_rendering()  # axes of a given shape take it when they are drawn
    renderer = FigureCanvasAgg(figure).get_renderer()
    canvas = figure.bbox.padded(1)
    found = []
    for artist in shown(figure):
        box = artist.get_tightbbox(renderer)
        if box is None or box.width == 0:
            continue
        inside = canvas.x0 <= box.x0 <= box.x1 <= canvas.x1
        if not (inside and canvas.y0 <= box.y0 <= box.y1 <= canvas.y1):
            found.append(f"{artist}: {box}")
    return found


@pytest.mark.parametrize(
    ("count", "form"), [(9, "column"), (40, "column"), *((20, form) for form in drawing.FORMATS)]
)
def test_no_text_is_cut(studies: dict[int, Results], count: int, form: str) -> None:
    with drawing.style(form):
        for name, path in catalogue.figures().items():
            figure = import_module(catalogue.module_name(path)).draw(studies[count])
            assert not cut(figure), name
            ratio = drawing.FORMATS[form].ratio
            across, high = figure.get_size_inches()
            assert not ratio or across / high == pytest.approx(ratio), name


@pytest.mark.parametrize("count", [9, 20, 40])
def test_a_matrix_has_room_for_its_title_names_and_numbers(
    studies: dict[int, Results], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairComparison, "title", "wide, target classes")
    with drawing.style():
        figure = pairwise.draw(studies[count])
        assert not cut(figure)
        [axes] = figure.axes
        renderer = FigureCanvasAgg(figure).get_renderer()
        for texts in (axes.texts, axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [text.get_window_extent(renderer) for text in texts]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_each_of_many_curves_is_named_once(studies: dict[int, Results]) -> None:
    """In a panel of so many that they can be told apart, which shows the others too; as few as
    before have one panel and a legend."""
    with drawing.style():
        figure = learning.draw(studies[40])
        assert not cut(figure)
        panels = [axes for axes in figure.axes if axes.get_visible()]
        named = [[text.get_text() for text in axes.texts] for axes in panels]
        assert not figure.legends
        [axes] = learning.draw(studies[8]).axes
        assert not axes.texts
    runs = studies[40].study.runs
    names = [drawing.method_name(name) for name in runs["display"][runs["network"] == "student"]]
    assert sorted(name for panel in named for name in panel) == sorted({*names})
    assert max(map(len, named)) <= learning.MOST
    lines = [[line for line in axes.lines if len(line.get_xdata()) > 2] for axes in panels]
    assert {*map(len, lines)} == {40 + 1}
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in panels:
        boxes = [Text.get_window_extent(text, renderer) for text in axes.texts]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_long_name_has_two_lines_where_they_fit() -> None:
    assert drawing.method_name("two-stage CE (LP-FT)", 2) == "two-stage CE\n(LP-FT)"
    assert drawing.method_name(LONG, 2) == "a variant with a\nrather long name…"
    assert drawing.method_name(LONG) == "a variant with a …"


def test_a_text_that_is_cut_is_found() -> None:
    with drawing.style():
        figure = Figure(figsize=(2, 1))
        figure.text(0.9, 0.5, "too long for its place")
        assert cut(figure)


def colours(figure: Figure) -> dict[str, str]:
    """Method → its colour, of the figure of accuracies."""
    [axes] = [axes for axes in figure.axes if axes.get_visible()]
    labels = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    names = {tick: label.get_text() for tick, label in labels}
    found = {}
    for line in axes.lines:
        place = line.get_ydata()[0]
        if len(line.get_ydata()) == 1 and place in names:
            found[names[place]] = f"{to_hex(line.get_color())} {line.get_marker()}"
    return found


def test_no_look_changes_where_methods_are_added(studies: dict[int, Results]) -> None:
    eight, nine, twenty = (colours(accuracy.draw(studies[count])) for count in (8, 9, 20))
    assert len(eight) == 8 + 2
    assert eight.items() <= nine.items() <= twenty.items()
    own = {name: look for name, look in twenty.items() if not name.startswith("teacher")}
    assert len({*own.values()}) == len(own) == 20 + 1


def test_one_very_bad_method_does_not_flatten_the_others(studies: dict[int, Results]) -> None:
    """85 to 93 %, and one of 20 %."""
    for draw in (accuracy.draw, lambda r: tradeoff.draw(r, macs(r), "MACs")):
        [axes] = [axes for axes in draw(studies[20]).axes if axes.get_visible()]
        limits = axes.get_xlim() if draw is accuracy.draw else axes.get_ylim()
        assert limits[0] > 70
        told = " ".join(text.get_text() for text in axes.texts)
        means = studies[20].main.groupby("arm")["test_accuracy"].mean()
        assert f"{means['distillation/wide.crd']:.1f}" in told


def macs(results: Results) -> dict[str, float]:
    return dict(results.main.groupby("arm")["macs"].mean())


def test_points_stand_at_their_true_cost(studies: dict[int, Results]) -> None:
    results = studies[9]
    costs = {arm: 1.0 + number for number, arm in enumerate(macs(results))}
    [axes] = [axes for axes in tradeoff.draw(results, costs, "x").axes if axes.get_visible()]
    marks = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    drawn = sorted(float(line.get_xdata()[0]) for line in marks)
    used = tradeoff.networks(results)["arm"].unique()
    assert drawn == sorted(costs[arm] for arm in used)


def test_the_line_joins_what_nothing_cheaper_equals() -> None:
    points = {"a": (1.0, 90.0), "b": (2.0, 89.0), "c": (2.0, 92.0), "d": (3.0, 92.0), "e": (9, 93)}
    assert frontier(points) == ["a", "c", "e"]


def test_methods_of_one_marker_have_colours_apart() -> None:
    looks = yaml.safe_load((Path(drawing.__file__).parent / "looks.yaml").read_text())
    assert len(looks) > 20
    for (one, (first, marker)), (other, (second, same)) in combinations(looks.items(), 2):
        apart = 255 * np.linalg.norm(np.subtract(to_rgb(first), to_rgb(second)))
        assert marker != same or apart > 45, (one, other)


def test_an_unknown_method_has_a_look_by_its_name_alone() -> None:
    assert drawing.look("nobody_wrote_it_yet") == drawing.look("nobody_wrote_it_yet")
    assert len({drawing.look(f"variant_{number}") for number in range(20)}) == 20
