"""Evidence: what is kept of a study beside the code, and its page."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers import ROOT

from stagewise.analysis.figures.drawing import notice, save, style
from stagewise.analysis.publish.evidence import page

Script = Callable[..., None]


@pytest.fixture
def project(published: Path, tmp_path: Path) -> Path:
    """A project whose study ``toy`` is finished."""
    shutil.copytree(published, tmp_path / "results/toy", ignore=shutil.ignore_patterns("runs"))
    shutil.copytree(published / "runs", tmp_path / "runs")
    for record in (tmp_path / "runs").rglob("record.json"):
        (record.parent / "model.safetensors").write_bytes(b"weights")
        timing = {"total_seconds": 90.0, "training_seconds": 80.0, "cpu_seconds": {}, "epochs": 100}
        timing |= {"device": "x86_64", "python": "3.11.2", "torch": "2.14.0"}
        (record.parent / "timing.json").write_text(json.dumps(timing))
    return tmp_path


def keep(project: Path, script: Script, *more: str) -> Path:
    """Keep ``toy`` by the script."""
    script(project, "evidence", "--results", "results/toy", "--command", "snakemake -q", *more)
    return project / "evidence/toy"


def test_verdicts_tables_pictures_and_records_are_kept_and_no_weights(
    project: Path, run_script: Script
) -> None:
    evidence = keep(project, run_script)
    names = {path.name for path in evidence.rglob("*") if path.is_file()}
    assert {"README.md", "plan.json", "claims.csv", "study.md", "differences.svg"} <= names
    assert {"record.json", "history.csv", "shock.csv", "timing.json"} <= names
    assert not names & {"model.safetensors", "logits.npz", "differences.png", "report.html"}
    runs = json.loads((evidence / "plan.json").read_text())["runs"]
    assert len(list(evidence.rglob("record.json"))) == len(runs)


def test_the_page_tells_what_was_run_and_each_of_its_links_leads_somewhere(
    project: Path, run_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = keep(project, run_script)
    text = (evidence / "README.md").read_text()
    monkeypatch.chdir(project)
    assert page(Path("evidence/toy"), "snakemake -q") == text
    runs = len(json.loads((evidence / "plan.json").read_text())["runs"])
    assert f"{runs} of {runs} runs, {90 * runs / 3600:.1f} hours" in text
    assert "`snakemake -q`" in text
    assert "PyTorch: 2.14.0" in text
    claims = pd.read_csv(evidence / "claims.csv")
    assert all(verdict in text for verdict in claims["claim_verdict"].unique())
    assert [name for name in claims["contrast"] if name not in text] == []
    assert "nan" not in text
    assert f"| {claims['mde'].dropna().iloc[-1]:.2f} |" in text
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "gallery" not in link]
    assert len(links) > runs
    assert all((evidence / link).is_file() for link in links)


def test_a_figure_that_shows_nothing_is_not_on_the_page(project: Path, run_script: Script) -> None:
    assert "figures/shock.svg" in (keep(project, run_script) / "README.md").read_text()
    with style():
        save(notice("this study logs none"), project / "results/toy/figures", "shock", dpi=50)
    assert "figures/shock.svg" not in (keep(project, run_script) / "README.md").read_text()


def test_a_part_of_a_study_is_kept_without_results(project: Path, run_script: Script) -> None:
    runs = json.loads((project / "results/toy/plan.json").read_text())["runs"]
    for run in runs[1:]:
        shutil.rmtree(project / run["path"])
    evidence = keep(project, run_script, "--runs-only")
    text = (evidence / "README.md").read_text()
    assert f"1 of {len(runs)} runs" in text
    record = json.loads((project / runs[0]["path"] / "record.json").read_text())
    assert f"{record['final']['test_accuracy']:.2f} %" in text
    assert not (evidence / "claims.csv").exists()


def test_runs_that_are_missing_were_planned(project: Path, run_script: Script) -> None:
    path = project / "results/toy/plan.json"
    plan = json.loads(path.read_text())
    *runs, lost = plan["runs"]
    why = {name: lost[name] for name in ("path", "arm", "seed")} | {"why": "it diverged"}
    path.write_text(json.dumps({**plan, "runs": runs, "missing": [why]}))
    shutil.rmtree(project / lost["path"])
    text = (keep(project, run_script, "--runs-only") / "README.md").read_text()
    assert f"{len(runs)} of {len(runs) + 1} runs" in text


def test_what_an_older_study_left_goes(project: Path, run_script: Script) -> None:
    keep(project, run_script)
    runs = json.loads((project / "results/toy/plan.json").read_text())["runs"]
    shutil.rmtree(project / runs[0]["path"])
    evidence = keep(project, run_script, "--runs-only")
    assert not (evidence / runs[0]["path"]).exists()
    assert not (evidence / "claims.csv").exists()
    assert [path.name for path in evidence.parent.iterdir()] == ["toy"]


def test_a_run_without_its_timing_is_kept(project: Path, run_script: Script) -> None:
    for timing in (project / "runs").rglob("timing.json"):
        timing.unlink()
    assert "% | – |" in (keep(project, run_script) / "README.md").read_text()


def test_mirrors_stay_out_of_the_plan(project: Path, run_script: Script) -> None:
    file = project / "results/toy/plan.json"
    plan = json.loads(file.read_text())
    for block in ("data", "two_stage"):
        plan["config"][block]["mirrors"] = ["/home/me/mirror"]
    file.write_text(json.dumps(plan))
    kept = json.loads((keep(project, run_script) / "plan.json").read_text())
    assert "/home/me" not in json.dumps(kept)
    assert kept["runs"] == plan["runs"]


def test_an_absolute_path_stays_out_of_the_page(project: Path, run_script: Script) -> None:
    evidence = keep(project, run_script, "--evidence", str(project / "evidence/toy"))
    assert str(project) not in (evidence / "README.md").read_text()


@pytest.mark.parametrize(
    ("place", "problem"),
    [("scripts", "holds no study's evidence"), ("../elsewhere", "is not in this project's folder")],
)
def test_evidence_takes_the_place_of_nothing_else(
    project: Path, run_script: Script, place: str, problem: str
) -> None:
    (project / "scripts").mkdir(exist_ok=True)
    (project / "scripts/mine.py").touch()
    with pytest.raises(SystemExit, match=problem):
        keep(project, run_script, "--evidence", place)
    assert (project / "scripts/mine.py").exists()
    assert not (project / "../elsewhere").exists()


@pytest.mark.parametrize(
    ("missing", "problem"),
    [("runs", "none of its runs is finished"), ("results", "'claims.csv' is not there")],
)
def test_what_is_not_finished_is_refused_before_anything_is_written(
    project: Path, run_script: Script, missing: str, problem: str
) -> None:
    results = project / "results/toy"
    if missing == "runs":
        shutil.rmtree(project / "runs")
    else:
        for path in [*results.glob("*.csv"), results / "tables", results / "figures"]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SystemExit, match=f"{problem}; run `snakemake` first"):
        keep(project, run_script)
    assert not (project / "evidence").exists()


def test_a_study_that_tries_no_claim_has_none_on_its_page(
    project: Path, run_script: Script
) -> None:
    assert "Every contrast" in (keep(project, run_script) / "README.md").read_text()
    text = page(ROOT / "evidence/digits-ab", "snakemake")
    assert "Accuracy of every network" in text
    for words in ("Every contrast", "Could not be decided"):
        assert words not in text
