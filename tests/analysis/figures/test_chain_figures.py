"""The figures of chains and of recovery."""

import numpy as np

from stagewise.analysis.claims.chains import chained
from stagewise.analysis.claims.recovery import DOINGS, points
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import chain, recovery


def test_the_hybrid_chain_stands_over_every_cost(hybrid: Results) -> None:
    """On its own task alone, with a line of those that nothing cheaper equals."""
    grid = [axes for axes in chain.draw(hybrid).axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in grid] == [unit for _, unit in chain.PANELS.values()]
    assert {axes.get_title() for axes in grid} == {"resnet, target classes"}
    [group] = [group for group in chained(hybrid) if group.task == "target"]
    for axes, kind in zip(grid, chain.PANELS, strict=True):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
        assert len(marks) == len(group.costs(kind)) == 17
        line = next(line for line in axes.lines if line not in marks)
        assert len(line.get_xdata()) == len(group.front(kind).arms)


def test_recovery_is_drawn_over_ratios_with_families_dashed(hybrid: Results) -> None:
    figure = recovery.draw(hybrid)
    back, doing = [axes for axes in figure.axes if axes.get_visible()][:2]
    assert [tick.get_text() for tick in back.get_xticklabels()] == ["2×", "4×"]
    courses = [line for line in doing.lines if len(line.get_xdata()) == 2]
    assert {line.get_linestyle() for line in courses} >= {"-", "--"}
    own = [p for p in points(hybrid) if (p.chain, p.family) == ("baseline", "")]
    means = [point.effect(DOINGS["kd"]).mean for point in own]
    assert any(np.allclose(line.get_ydata(), means) for line in courses)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "rates: low" in labels
    assert "rates: better" not in labels
