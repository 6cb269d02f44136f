"""Records in, files out: evaluation, summary, tables, figures and tuning."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.tuning import at_the_edge, choose_rates, rates_yaml
from stagewise.analysis.figures import exits, overview, reliability, shock, write_figures
from stagewise.analysis.figures._captions import caption
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study, read_logits, read_study, read_table
from stagewise.analysis.records.summary import mean_accuracies, summarise
from stagewise.analysis.tables.files import markdown, write_tables
from stagewise.analysis.tables.table import Results
from stagewise.analysis.tables.tables import TABLES
from stagewise.errors import UserError

MakeStudy = Callable[..., Study]
Make = Callable[..., Results]
RunScript = Callable[..., None]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}
CONFIG_VGG = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}
TINY = {**SMALL, "multi_exit": {}, "seeds": (0,)}
SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_evaluation_agrees_with_logits(make_study: MakeStudy) -> None:
    study = make_study(**SMALL)
    table = evaluate(study)
    path = "runs/toy/multi_exit/resnet.oto/seed-2"
    rows = table[(table["path"] == path) & (table["split"] == "test")].set_index("exit")
    assert list(rows.index) == ["1", "2", "3", "ensemble"]
    part = read_logits(study.folder(path))["test"]
    right = part.logits.mean(axis=0).argmax(axis=1) == part.labels
    assert rows.loc["ensemble", "accuracy"] == pytest.approx(100 * right.mean())
    assert rows.loc["2", "accuracy"] == pytest.approx(rows.loc["3", "accuracy"] - 2, abs=0.6)


def test_a_teacher_agrees_with_itself_only(make_study: MakeStudy) -> None:
    table = evaluate(make_study(**TINY)).groupby("arm")["agreement"].mean()
    assert np.isnan(table["teachers/resnet"])  # no reference
    assert 50 < table["students/resnet.baseline"] < 100


@pytest.mark.parametrize("damage", ["truncated", "text", "missing array", "gone"])
def test_corrupted_logits_are_named(make_study: MakeStudy, damage: str) -> None:
    study = make_study(**TINY)
    file = study.folder(study.runs["path"].iloc[5]) / "logits.npz"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "text":
        file.write_text("not an archive")
    elif damage == "missing array":
        np.savez(file, test=np.zeros((1, 2, 3)))
    else:
        file.unlink()
    with pytest.raises(UserError, match=re.escape(str(file))) as error:
        evaluate(study)
    assert "run" in str(error.value)


def test_flipped_byte_is_found(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    file = study.folder(study.runs["path"].iloc[0]) / "logits.npz"
    with zipfile.ZipFile(file) as archive:
        start = archive.infolist()[0].header_offset
    content = bytearray(file.read_bytes())
    content[start + 1000] ^= 255
    file.write_bytes(content)
    with pytest.raises(UserError, match="corrupted"):
        evaluate(study)


def test_another_teachers_images_are_refused(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    file = study.folder("runs/toy/teachers/resnet/seed-0") / "logits.npz"
    arrays = dict(np.load(file))
    arrays["test_labels"] = (arrays["test_labels"] + 1) % 10
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="not those of its teacher"):
        evaluate(study)


def test_no_plan_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"runs": []}')
    with pytest.raises(UserError, match="plan"):
        read_study(tmp_path / "plan.json")
    with pytest.raises(UserError, match="no such file"):
        read_study(tmp_path / "other.json")


def test_summary_survives_the_csv(make_results: Make, tmp_path: Path) -> None:
    results = make_results(**SMALL)
    results.summary.to_csv(tmp_path / "summary.csv", index=False)
    back = read_table(tmp_path / "summary.csv")
    assert set(back["exit"]) == {"final", "1", "2", "3", "ensemble"}
    assert back["chain"].eq("").all()
    assert back["config_hash"].str.fullmatch("[0-9a-f]{12}").all()
    again = judge_claims(results.study, back)
    pd.testing.assert_frame_equal(
        again, judge_claims(results.study, results.summary), check_dtype=False
    )


def test_mean_accuracies_are_of_the_main_exit(make_results: Make) -> None:
    summary = make_results(**SMALL).summary
    rows = summary[(summary["arm"] == "multi_exit/resnet.oto") & (summary["exit"] == "ensemble")]
    found = mean_accuracies(summary)["multi_exit"]["resnet.oto"]
    assert found == pytest.approx(rows["test_accuracy"].mean(), abs=5e-3)


@pytest.fixture
def results(published: Path) -> Results:
    study = read_study(published / "plan.json", published)
    return Results(study, read_table(published / "summary.csv"))


def test_tables_recompute_their_differences(results: Results) -> None:
    table = TABLES["accuracy"](results).data.set_index("arm")
    wide = results.summary[results.summary["exit"] == "final"].pivot(
        index="seed", columns="arm", values="test_accuracy"
    )
    arm, baseline = "distillation/vgg.kd", "students/vgg.baseline"
    assert table.loc[arm, "baseline"] == baseline
    assert table.loc[arm, "difference"] == pytest.approx((wide[arm] - wide[baseline]).mean())
    assert table.loc[arm, "mean"] - table.loc[baseline, "mean"] == pytest.approx(
        table.loc[arm, "difference"]
    )
    target = "two_stage/resnet.kd"
    assert table.loc[target, "baseline"] == "students/resnet.pretrained"
    pruned = TABLES["pruning"](results).data
    hybrid = pruned[(pruned["chain"] == "two_stage") & (pruned["recovery"] == "two_stage_kd")]
    assert hybrid["macs_ratio_to_teacher"].iloc[0] == pytest.approx(8)
    dense = wide["two_stage/resnet.kd"]
    assert hybrid["difference"].iloc[0] == pytest.approx(
        (wide[hybrid["arm"].iloc[0]] - dense).mean()
    )


def test_tables_on_disk(published: Path) -> None:
    names = {path.name for path in (published / "tables").iterdir()}
    files = {f"{name}.{end}" for name in TABLES for end in ("csv", "md", "tex")}
    assert names == files | {"study.md", "study.tex"}
    text = (published / "tables/study.md").read_text()
    assert "in every pair: passed" in text
    assert "made on validation images" in text


def test_every_result_shows_spread_difference_loss_and_costs(results: Results) -> None:
    latency = pd.DataFrame({"arm": ["students/vgg.baseline"], "batch": [1], "milliseconds": [0.5]})
    results = replace(results, latency=latency)
    for name in TABLES.keys() - {"published"}:  # digits have none
        shown = TABLES[name](results).shown
        assert shown[["Parameters", "MACs"]].map(lambda text: text[0].isdigit()).all(axis=None)
        if name != "latency":  # one network of each arm, alone
            text = " ".join(shown.astype(str).to_numpy().ravel())
            assert re.search(r"\d ± \d.* \(6\)", text)
            assert re.search(r"[+−]\d.* \[[+−]\d.*, [+−]\d", text)
            assert {"ce 1", "ce 0.1, kd 0.9"} <= set(shown["Loss"])


def test_weights_tell_a_method_from_the_same_with_kd(make_results: Make) -> None:
    plain, mixed = {"weights": {"ce": 1.0, "kd": 0.0}}, {"method": "kd", "weights": {"ce": 1.0}}
    methods = {"kd": plain, "kd_both": mixed}
    arms = {"pairs": ["vgg"], "methods": ["kd", "kd_both"]}
    options = {**TINY, "pairs": {"vgg": CONFIG_VGG}, "methods": methods, "distillation": arms}
    shown = TABLES["accuracy"](make_results(**options)).shown.set_index("Network")["Loss"]
    assert shown[["KD", "kd_both"]].tolist() == ["ce 1", "ce 1, kd 0.9"]


def test_the_guide_names_every_file(published: Path) -> None:
    guide = (published / "README.md").read_text()
    for path in published.iterdir():
        if path.name not in ("README.md", "runs"):
            assert f"`{path.name}" in guide
    for name in TABLES:
        assert f"| `tables/{name}` | " in guide


def test_a_table_without_rows_says_so(make_results: Make, tmp_path: Path) -> None:
    write_tables(make_results(**TINY), tmp_path)
    assert "no such runs" in (tmp_path / "pruning.md").read_text()
    assert len(list(tmp_path.glob("*.csv"))) == len(TABLES)


def test_markdown_escapes_bars() -> None:
    text = markdown(pd.DataFrame({"a": ["x|y"], "b": [1]}))
    assert text.splitlines()[-1] == "| x\\|y | 1 |"


def test_figures_are_equal_byte_by_byte(published: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "figures.py"), "--plan", "plan.json"]
    command += ["--summary", "summary.csv", "--out", str(tmp_path)]
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


def test_the_shock_has_its_boundary_and_four_quantities(results: Results) -> None:
    grid = shock.draw(results).axes
    assert len(grid) == 4
    for axes in grid:
        assert axes.get_xlim()[0] < 0
        assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)


def test_reliability_says_the_error_of_the_tables(results: Results) -> None:
    summary = results.summary
    ece = 100 * summary.loc[summary["arm"] == "distillation/vgg.kd", "test_ece"]
    titles = [axes.get_title() for axes in reliability.draw(results).axes]
    assert f"KD\nECE {ece.mean():.1f} ± {ece.std():.1f}" in titles


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


def test_nothing_here_imports_torch() -> None:
    package = catalogue.PACKAGE
    rooms = [package / name for name in ("analysis", "papers")]
    files = [file for room in rooms for file in room.rglob("*.py")]
    assert len(files) > 30
    imports = "; ".join(f"import {catalogue.module_name(file)}" for file in files)
    code = f"{imports}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rates_are_chosen_on_validation(make_study: MakeStudy) -> None:
    def accuracy(arm: str) -> float:
        return 92.0 if arm.endswith("lr-0.02") else 88.0

    options = {**SMALL, "multi_exit": {}, "pairs": {"vgg": {}}, "distillation": {}}
    options["pairs"] = {"vgg": CONFIG_VGG}
    study = make_study(
        accuracy, seeds=(0, 1), noise=0.0, **options, tune={"rates": [0.05, 0.02, 0.01]}
    )
    evaluation = evaluate(study)
    # The test set prefers another rate, and must not matter.
    wrong = evaluation["arm"].str.endswith("lr-0.05") & (evaluation["split"] == "test")
    evaluation.loc[wrong, "accuracy"] = 99.0
    table = choose_rates(study, evaluation)
    chosen = table[table["chosen"]].set_index("arm")
    assert chosen.loc["students/vgg.baseline", "rate"] == 0.02
    assert (table["n"] == 2).all()
    assert "  students/vgg.baseline: 0.02\n" in rates_yaml(table)
    # 0.05 and 0.01 are equally accurate: without 0.02 the lower NLL decides.
    rest = evaluation[~evaluation["arm"].str.endswith("lr-0.02")].copy()
    validation = rest["split"] == "validation"
    rest.loc[validation, "nll"] = np.where(
        rest.loc[validation, "arm"].str.endswith("lr-0.01"), 0.1, 0.2
    )
    without = replace(study, runs=study.runs[study.runs["rate"] != 0.02])
    tied = choose_rates(without, rest)
    assert set(tied.loc[tied["chosen"], "rate"]) == {0.01}
    assert at_the_edge(table) == []
    assert "students/vgg.baseline" in at_the_edge(tied)
    with pytest.raises(UserError, match="not in the evaluation"):
        choose_rates(study, evaluation.iloc[:-2])


def test_no_tuning_study_is_a_user_error(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    with pytest.raises(UserError, match="no tuning study"):
        choose_rates(study, evaluate(study))


def test_summarise_reads_every_record(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    evaluation = evaluate(study)
    (study.folder(study.runs["path"].iloc[-1]) / "record.json").write_text("{")
    with pytest.raises(UserError, match=r"record\.json"):
        summarise(study, evaluation)


@pytest.mark.parametrize(
    "name",
    ["evaluate", "summarise", "claims", "tables", "figures", "report", "tune_choice", "headline"],
)
def test_scripts_explain_themselves(
    name: str, run_script: RunScript, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len((SCRIPTS / f"{name}.py").read_text().splitlines()) < 40
    run_script(tmp_path, name, "--help")
    assert "--" in capsys.readouterr().out


def test_headline_script(
    run_script: RunScript, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script(published, "headline", "--claims", "claims.csv", "--report", "report.html")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "report: report.html"
    assert any(line.startswith("B4 ") for line in lines)
    assert json.loads((published / "metrics.json").read_text())["students"]["vgg.baseline"] > 80


def test_a_missing_plan_is_one_line(run_script: RunScript, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: nowhere\.json: no such file"):
        run_script(tmp_path, "evaluate", "--plan", "nowhere.json", "--out", "x.csv")
