"""Results in spite of failed runs: what is there is reported, what is not is said, with why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stagewise.analysis.claims.tuning import choose_rates
from stagewise.analysis.publish.partial import last_error, present_plan, write_partial
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study, read_study
from stagewise.errors import UserError
from stagewise.files import canonical_json
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan

MakeStudy = Callable[..., Study]
SMALL: dict[str, Any] = {
    "seeds": (0, 1),
    "pairs": {"vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}},
    "distillation": {"pairs": ["vgg"], "methods": ["kd"]},
    "two_stage": {},
    "multi_exit": {},
    "pruning": [{"pair": "vgg", "ratios": [2], "recover": ["ce"]}],
    "claims_tested": [],
}
TEACHER, PRUNED = "runs/toy/teachers/vgg/seed-0", "runs/toy/pruning/vgg.baseline.l2-2x/seed-1"


def planned(study: Study) -> Plan:
    return make_plan(resolve_config(study.config))


@pytest.fixture
def plan(make_study: MakeStudy) -> Plan:
    """A small study whose runs are all there."""
    return planned(make_study(**SMALL))


def reasons(plan: Plan, root: Path, **failed: str) -> dict[str, str]:
    return {run["path"]: run["why"] for run in present_plan(plan, root, failed)["missing"]}


def test_a_whole_study_lacks_nothing(plan: Plan, tmp_path: Path) -> None:
    assert not reasons(plan, tmp_path)
    assert present_plan(plan, tmp_path, {})["runs"] == plan.written()["runs"]


def test_what_starts_from_a_failed_run_is_missing_too(plan: Plan, tmp_path: Path) -> None:
    found = reasons(plan, tmp_path, **{PRUNED: "failed: no channels"})
    assert found[PRUNED] == "failed: no channels"
    [waiting] = [path for path in found if path != PRUNED]
    assert "recovery/" in waiting
    assert found[waiting] == f"not done: it starts from {PRUNED}"


def test_two_networks_are_missing_where_the_first_is(make_study: MakeStudy, tmp_path: Path) -> None:
    exits = {"pairs": ["vgg"], "methods": ["exits_ce"], "controls": ["twice"]}
    plan = planned(make_study(**{**SMALL, "multi_exit": exits}))
    first = "runs/toy/distillation/vgg.kd/seed-1"
    found = reasons(plan, tmp_path, **{first: "failed: no room"})
    second = "runs/toy/multi_exit/vgg.kd_twice/seed-1"
    assert found[second] == f"it answers with {first}"
    assert len(found) == 2


def test_without_its_teacher_a_student_has_no_fidelity(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / TEACHER / "record.json").unlink()
    study = write_partial(plan, tmp_path, tmp_path / "partial", {})
    assert {run.path: run.why for run in study.missing}[TEACHER] == "not done"
    assert not study.runs["arm"].str.startswith("distillation").any()  # taught by it
    evaluation = pd.read_csv(tmp_path / "partial/evaluation.csv")
    baseline = evaluation[evaluation["arm"] == "students/vgg.baseline"]
    assert len(baseline) == 4
    assert baseline["kl"].isna().all()


@pytest.mark.parametrize("content", ["", "{}", '{"spec": 1e999}'])
def test_a_damaged_record_is_missing(plan: Plan, tmp_path: Path, content: str) -> None:
    (tmp_path / PRUNED / "record.json").write_text(content)
    assert reasons(plan, tmp_path)[PRUNED].startswith(f"{tmp_path / PRUNED}/record.json: ")


def test_a_record_of_other_settings_is_missing(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / PRUNED / "record.json"
    record = json.loads(file.read_text())
    record["data_sha256"] = "e" * 64
    file.write_text(json.dumps(record))
    found = {run.path: run.why for run in write_partial(plan, tmp_path, tmp_path / "p", {}).missing}
    assert found[PRUNED] == "its record is not as planned (data eeeeeeee, now dddddddd)"


def test_nothing_to_report_is_said(plan: Plan, tmp_path: Path) -> None:
    for file in tmp_path.glob("runs/**/record.json"):
        file.unlink()
    with pytest.raises(UserError, match="nothing to report"):
        write_partial(plan, tmp_path, tmp_path / "partial", {})
    assert not (tmp_path / "partial").exists()


def test_the_script_says_what_failed_everywhere(
    plan: Plan, tmp_path: Path, run_script: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs/pruning/vgg.baseline.l2-2x.seed-1.log"
    log.parent.mkdir(parents=True)
    log.write_text("starts\nerror: <b>channels</b> | cannot go\n")
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial/old.txt").write_text("of an older start")
    settings = ("--settings", canonical_json(plan.config.as_dict()))
    options = ("--logs", "logs", "--failed", PRUNED, "--out", "partial")
    run_script(tmp_path, "partial", *settings, *options)
    assert (
        capsys.readouterr().out
        == f"partial: without 2 of {len(plan.runs)} runs, of which 1 failed\n"
    )
    folder = tmp_path / "partial"
    assert not (folder / "old.txt").exists()
    assert [path.name for path in tmp_path.glob(".partial*")] == []
    page = (folder / "report.html").read_text()
    assert '<a href="#missing">What failed</a>' in page
    assert "failed: &lt;b&gt;channels&lt;/b&gt; | cannot go" in page
    assert "Not the whole study: 2 of" in page
    for name in ("README.md", "tables/study.md"):
        text = (folder / name).read_text()
        assert f"| {PRUNED} | 1 of 2 | failed: <b>channels</b> \\| cannot go |" in text, name
    assert "Not the whole study: 2 of" in (folder / "tables/study.tex").read_text()
    with pytest.raises(SystemExit, match="--failed: 'runs/elsewhere' is no run of this study"):
        run_script(tmp_path, "partial", *settings, "--logs", "l", "--out", "p", "--failed",
                   "runs/elsewhere")  # fmt: skip


def test_a_whole_report_says_nothing_of_failures(published: Path) -> None:
    for name in ("report.html", "README.md", "tables/study.md"):
        assert "What failed" not in (published / name).read_text()


def test_a_rate_that_failed_is_not_chosen(make_study: MakeStudy, tmp_path: Path) -> None:
    plan = planned(make_study(**{**SMALL, "tune": {"rates": [0.1, 0.2]}, "pruning": []}))
    best = "runs/toy/distillation/vgg.kd.lr-0.2/seed-1"
    study = write_partial(plan, tmp_path, tmp_path / "partial", {best: "failed"})
    table = choose_rates(study, evaluate(study))
    assert table.loc[table["arm"] == "distillation/vgg.kd", "rate"].tolist() == [0.1]
    assert "distillation/vgg.kd: 0.1" in (tmp_path / "partial/learning_rates.yaml").read_text()
    assert best in (tmp_path / "partial/README.md").read_text()
    every = {path: "failed" for path, run in plan.runs.items() if "tuned_arm" in run.labels}
    with pytest.raises(UserError, match="every rate lacks a run that failed"):
        write_partial(plan, tmp_path, tmp_path / "partial", every)
    assert read_study(tmp_path / "partial/plan.json", tmp_path).missing  # the older one stays


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"epoch 1\nerror: the loss is not finite\n", "the loss is not finite"),
        (b"error: first\nerror: second\nmore\n", "second"),
        (
            b"\rhalf\rValueError: odd\x1b[0m \xff\n\n",
            "ValueError: odd [0m \N{REPLACEMENT CHARACTER}",
        ),
        (b"", "it said nothing"),
        (b"error: " + b"x" * 100_000, "x" * 400),
    ],
)
def test_a_logs_last_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "log").write_bytes(content)
    assert last_error(tmp_path / "log") == said
    assert last_error(tmp_path) == last_error(tmp_path / "none") == "it left no log"
