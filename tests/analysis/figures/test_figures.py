"""Figures: equal bytes, true captions, and what must be seen in them."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import (
    compression,
    exits,
    gradcam,
    overview,
    reliability,
    shock,
    thresholds,
)
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.figures.files import write_figures
from stagewise.analysis.records.gradcam import IMAGES, picture, read_pictures
from stagewise.analysis.records.study import read_study

Make = Callable[..., Results]
TINY = {"pruning": [], "two_stage": {"pairs": []}, "multi_exit": {}, "seeds": (0,)}
SCRIPTS = Path(__file__).parents[3] / "scripts"


def test_figures_are_equal_byte_by_byte(published: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "figures.py"), "--plan", "plan.json"]
    command += ["--summary", "summary.csv", "--latency", "latency.csv", "--gradcam", "gradcam.csv"]
    command += ["--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(command, cwd=published, env=environment, check=True)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == sorted(
        f"{name}.{end}" for name in catalogue.figures() for end in ("pdf", "png", "svg")
    )
    for name in files:
        assert (tmp_path / name).read_bytes() == (published / "figures" / name).read_bytes()
    assert "<dc:date>" not in (tmp_path / "accuracy.svg").read_text()
    pdf = (tmp_path / "accuracy.pdf").read_bytes()
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf, "TrueType outlines, as publishers ask"


def test_dots_are_the_pngs_alone(results: Results, published: Path, tmp_path: Path) -> None:
    write_figures(results, tmp_path, ["exits"], dpi=60)
    for end, equal in (("svg", True), ("pdf", True), ("png", False)):
        drawn, other = (folder / f"exits.{end}" for folder in (tmp_path, published / "figures"))
        assert (drawn.read_bytes() == other.read_bytes()) == equal


def test_figures_of_a_study_without_most_steps(make_results: Make, tmp_path: Path) -> None:
    results = make_results(**TINY)
    write_figures(results, tmp_path, list(catalogue.figures()))
    assert (tmp_path / "compression.svg").is_file()
    chapters = overview.draw(results).axes
    absent = [any("not in this study" in text.get_text() for text in a.texts) for a in chapters]
    assert absent == [False, True, True, True]


def test_the_overview_counts_the_runs(results: Results) -> None:
    runs = results.study.runs
    exits = overview.draw(results).axes[2]
    assert exits.get_title("right") == f"{(runs['step'] == 'multi_exit').sum()} runs"


def test_exits_stand_at_their_cost(results: Results) -> None:
    axes = exits.draw(results).axes[0]
    rows = results.summary[results.summary["arm"] == "multi_exit/resnet.oto"]
    costs = rows.groupby("exit")["macs"].mean() / 1e6
    drawn = np.concatenate([line.get_xdata() for line in axes.lines])
    assert all(np.abs(drawn - cost).min() < 0.1 for cost in costs)


def test_early_exit_is_drawn_over_macs_and_where_exits_were_timed_over_time(
    results: Results,
) -> None:
    arm = "multi_exit/resnet.mskd"
    taken = {(arm, "1"): 1.0, (arm, "2"): 3.0, (arm, "ensemble"): 4.0}
    taken[("distillation/resnet.kd", "final")] = 2.5
    latency = pd.DataFrame(
        [
            {"arm": arm, "exit": exit, "batch": 1, "milliseconds": milliseconds}
            for (arm, exit), milliseconds in taken.items()
        ]
    )
    macs, time = thresholds.draw(replace(results, latency=latency)).axes
    assert "multiply-adds" in macs.get_xlabel()
    assert "milliseconds" in time.get_xlabel()
    [curve] = [line.get_xdata() for line in time.lines if len(line.get_xdata()) > 1]
    assert curve[0] == pytest.approx(1.0), "all leave at the first exit"
    assert curve[-1] == pytest.approx(4.0), "all reach the last"
    [star] = [line.get_xdata() for line in time.lines if line.get_marker() == "*"]
    assert [*star] == [2.5]
    assert not [line for line in time.lines if line.get_marker() == "x"], "not timed alone"
    [alone] = thresholds.draw(results).axes
    assert len([line for line in alone.lines if line.get_marker() == "x"]) == 3


def test_a_recovery_that_failed_does_not_flatten_the_others(results: Results) -> None:
    arm = "recovery/resnet.baseline.l2-4x.ce"
    failed = results.summary["arm"] == arm
    assert failed.any()
    accuracies = results.summary["test_accuracy"].mask(failed, 12.0)
    summary = results.summary.assign(test_accuracy=accuracies)
    axes = compression.draw(replace(results, summary=summary)).axes[0]
    kd = results.summary["arm"] == "recovery/resnet.baseline.l2-4x.kd"
    assert 50 < axes.get_ylim()[0] < results.summary.loc[kd, "test_accuracy"].min()
    assert any("12" in text.get_text() for text in axes.texts)


def test_the_shock_has_its_boundary_and_four_quantities(results: Results) -> None:
    grid = shock.draw(results).axes
    assert len(grid) == 4 * 2
    assert [axes.get_title() for axes in grid[:2]] == [
        "resnet\ntuned rates",
        "resnet\nall at 0.1",
    ]
    assert [axes.get_yscale() for axes in grid[::2]] == ["log", "log", "linear", "linear"]
    for axes in grid:
        assert axes.get_xlim()[0] < 0
        assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)


def test_no_course_leaves_its_panel(results: Results) -> None:
    """Panels of a row share a scale that holds the courses of all of them."""
    for axes in shock.draw(results).axes:
        low, high = axes.get_ylim()
        drawn = [line for line in axes.lines if list(line.get_xdata()) != [0, 0]]
        values = np.concatenate([line.get_ydata() for line in drawn])
        assert low <= values.min()
        assert values.max() <= high


def test_running_statistics_are_dashed_beside_those_of_the_probe(results: Results) -> None:
    axes = shock.draw(results).axes[0]
    runs = results.shock[results.shock["arm"] == "two_stage/resnet.one-stage.kd"]
    logs = [results.study.files(path).shock.set_index("step") for path in runs["path"]]
    tops = []
    for column, dashed in (("g_backbone_batch", False), ("g_backbone", True)):
        mean = np.exp(np.mean([np.log(log[column].loc[0]) for log in logs]))
        drawn = [line for line in axes.lines if line.is_dashed() and line.get_linestyle() != ":"]
        lines = drawn if dashed else [line for line in axes.lines if line.get_linestyle() == "-"]
        starts = [line.get_ydata()[0] for line in lines if line.get_xdata()[0] == 0]
        assert min(abs(start / mean - 1) for start in starts) < 1e-6
        tops.append(mean)
    assert tops[1] > 50 * tops[0]


def test_an_arm_at_a_common_rate_looks_like_the_one_that_it_repeats(results: Results) -> None:
    figure = shock.draw(results)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["standard", "one-stage KD", "two-stage KD", "running statistics"]


def test_a_log_of_before_batch_statistics_is_drawn_as_it_is(make_results: Make) -> None:
    results = make_results(pruning=[], multi_exit={})
    for path in results.shock["path"]:
        log = results.study.folder(path) / "shock.csv"
        kept = pd.read_csv(log)
        kept.drop(columns=[c for c in kept if c.endswith("_batch") or c == "update"]).to_csv(log)
    old = Results(read_study(results.study.root / "plan.json", results.study.root), results.summary)
    figure = shock.draw(old)
    assert len(figure.axes) == 3  # no row for the update
    assert len(figure.legends[0].get_texts()) == 3
    assert len(figure.axes[0].lines) > 3


def test_reliability_says_the_error_of_the_tables(results: Results) -> None:
    summary = results.summary
    ece = 100 * summary.loc[summary["arm"] == "distillation/vgg.kd", "test_ece"]
    titles = [axes.get_title() for axes in reliability.draw(results).axes]
    assert f"KD\nECE {ece.mean():.1f} ± {ece.std():.1f}" in titles


def test_captions_import_nothing_heavy() -> None:
    """Snakemake asks for them at every start."""
    heavy = {"matplotlib", "numpy", "pandas", "scipy", "statsmodels", "torch"}
    code = "import stagewise.analysis.figures.captions, sys; "
    code += f"sys.exit(bool({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("figure", catalogue.figures())
def test_captions_say_n_and_protocol(figure: str, results: Results) -> None:
    text = caption(figure, results.study.config)
    assert "6 seeds" in text
    assert "{" not in text
    uses_accuracies = figure not in ("overview", "learning", "shock")
    assert ("after the last epoch" in text and "(0–5)" in text) == uses_accuracies
    single = caption(figure, {**results.study.config, "seeds": [3]})
    assert "1 seed" in single
    assert "1 seeds" not in single


def test_where_exits_look_has_the_teacher_and_its_students(results: Results) -> None:
    [axes] = gradcam.draw(results).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ["test image", "teacher"]
    assert [name.partition("\n")[0] for name in names[2:]] == ["exits, no teacher", "MSKD", "OtO"]
    assert results.gradcam is not None
    oto = results.gradcam.query("arm == 'multi_exit/resnet.oto' and exit == '2'")
    assert names[-1].endswith(f"ρ +{oto['spearman'].mean():.2f}")


def test_maps_lie_where_their_names_are(results: Results) -> None:
    assert results.pictures is not None
    pictures = read_pictures(results.pictures)
    [axes] = gradcam.draw(results).axes
    drawn, size = axes.images[0].get_array(), pictures[IMAGES].shape[2]
    assert drawn is not None
    step = size + size // 8
    np.testing.assert_allclose(drawn[:size, :size, 0], pictures[IMAGES][0, 0] / 255)
    assert (drawn[size:step] == 0).all(), "a gap is not painted"
    name = picture("runs/toy/multi_exit/resnet.oto/seed-0", "2")
    tile = drawn[4 * step : 4 * step + size, step : step + size]
    brightest = np.unravel_index(pictures[name][1].argmax(), (size, size))
    darker = (1 - gradcam.VEIL) * pictures[IMAGES][1, 0][brightest] / 255
    yellow = gradcam.VEIL * np.array(matplotlib.colormaps["viridis"](pictures[name][1].max()))
    np.testing.assert_allclose(tile[brightest][:3], darker + yellow[:3])


def test_without_pictures_the_figure_says_so(results: Results, tmp_path: Path) -> None:
    assert results.gradcam is not None
    assert results.pictures is not None
    images = read_pictures(results.pictures)[IMAGES]
    np.savez(tmp_path / "gradcam.npz", **{IMAGES: images})
    bare = replace(results, pictures=tmp_path / "gradcam.npz")
    none = replace(results, gradcam=results.gradcam.assign(images=0))
    for given in (bare, none, replace(results, gradcam=None)):
        [text] = gradcam.draw(given).texts
        assert "Grad-CAM maps" in text.get_text()
