"""The picture of a target: its corner, its candidates, and nothing cut."""

import importlib

import pytest
from matplotlib.patches import Rectangle
from targets import REFERENCE, SPREAD, targeted

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing

FAST, SMALL = {"latency": 45.0, "bytes": 90.0}, {"latency": 20.0, "bytes": 30.0}


@pytest.fixture
def study(results: Results) -> Results:
    return targeted(
        results,
        ("recovery/p.2x.kd", "float32", SPREAD - 0.4, FAST),
        ("recovery/p.baseline.dense.kd", "int8", SPREAD - 2, SMALL),
        bytes="1.25x",
    )


def drawn(results):
    with drawing.style():
        draw = importlib.import_module(catalogue.module_name(catalogue.figures()["target"])).draw
        return draw(results)


def test_the_corner_is_what_is_asked_for(study):
    times, sizes = (axes for axes in drawn(study).axes if axes.get_visible())
    least = sum(REFERENCE) / 6 - 1.0
    for axes, most in ((times, 50.0), (sizes, 80.0)):
        [corner] = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert corner.get_x() + corner.get_width() == pytest.approx(most)
        assert corner.get_y() == pytest.approx(least)
        low, high = axes.get_ylim()
        assert low < least < high
        assert corner.get_y() + corner.get_height() == pytest.approx(high)


def test_every_candidate_and_the_reference_have_their_places(study):
    times, sizes = (axes for axes in drawn(study).axes if axes.get_visible())
    for axes, places in ((times, {45.0, 20.0, 100.0}), (sizes, {90.0, 30.0, 100.0})):
        points = {line.get_xdata()[0]: line for line in axes.lines if len(line.get_xdata()) == 1}
        assert set(points) == places
        named = {text.get_text().replace("\n", " ") for text in axes.texts}
        assert {"p, pruned 2×, float32", "p, int8", "the whole student"} <= named


def test_nothing_is_drawn_without_a_target(results):
    figure = drawn(results)
    assert [text.get_text() for text in figure.texts] == ["this study has no target"]
