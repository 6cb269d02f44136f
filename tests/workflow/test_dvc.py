"""What DVC's commands promise, on a repository whose default study is the smoke study."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import PROJECT, Project, copy_project

from stagewise import catalogue

TRACKED = ["data", "runs", "results", ".snakemake/metadata"]
RECOVERIES = {
    "Recovery resnet.baseline.dense.kd, seed 0",
    "Recovery resnet.baseline.l2-2x.two_stage_kd, seed 0",
}
FIGURES = "results/smoke/figures"


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A repository that ran ``dvc repro``, committed and pushed; the storage lies beside it."""
    folder = tmp_path_factory.mktemp("author") / "project"
    folder.mkdir()
    project = copy_project(folder)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "Makefile"):
        shutil.copy(PROJECT / name, folder)
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(PROJECT / ".dvc" / name, folder / ".dvc")
    shutil.copy(folder / "config/smoke.yaml", folder / "config.yaml")
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Author")
            patch.setenv(f"GIT_{role}_EMAIL", "author@example.org")
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "dvc-site"))
        project.run("git", "init", "--quiet")
        commit(project, "Sources")
        project.run("dvc", "repro")
        commit(project, "Results")
        project.run("dvc", "push")
        yield project


@pytest.fixture
def clone(author: Project, tmp_path: Path) -> Project:
    """A fresh clone that has pulled nothing."""
    return clone_of(author, tmp_path)


def clone_of(author: Project, folder: Path) -> Project:
    """A clone in ``folder``, with the storage beside it as the author has."""
    (folder / "stagewise-storage").symlink_to(author.folder.parent / "stagewise-storage")
    author.run("git", "clone", "--quiet", ".", str(folder / "project"))
    return Project(folder / "project")


def commit(project: Project, message: str) -> None:
    """Commit everything that git sees."""
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", message)


def said(project: Project, *command: str) -> str:
    """What a command prints: a dry run on stdout, a run on stderr."""
    done = project.run(*command)
    return done.stdout + done.stderr


def messages(text: str) -> set[str]:
    """Messages of the jobs in Snakemake's output."""
    return set(re.findall(r"^(?:local)?[Jj]ob \d+: (.*)$", text, re.MULTILINE))


def runs(text: str) -> set[str]:
    """Messages of the training and pruning jobs in Snakemake's output."""
    return {message for message in messages(text) if ", seed " in message}


def idle(project: Project) -> bool:
    """Whether neither Snakemake nor DVC sees anything to do, and git no change."""
    planned = said(project, "snakemake", "--dry-run")
    stands = said(project, "dvc", "status")
    changed = said(project, "git", "status", "--short")
    assert "Nothing to be done" in planned, planned
    assert "up to date" in stands, stands
    assert not changed
    return True


def pictures(project: Project) -> dict[str, bytes]:
    """Every figure's bytes."""
    return {path.name: path.read_bytes() for path in (project.folder / FIGURES).iterdir()}


def test_repro_records_data_runs_results_and_snakemakes_memory(author: Project) -> None:
    lock = (author.folder / "dvc.lock").read_text()
    recorded = lock[lock.index("    outs:") :]
    assert sorted(re.findall(r"- path: (.*)", recorded)) == sorted(TRACKED)
    assert idle(author)


def test_show_shows_the_configured_study(author: Project) -> None:
    shown = json.loads(author.run("dvc", "metrics", "show", "--json").stdout)
    path = "results/smoke/metrics.json"
    metrics = json.loads((author.folder / path).read_text())
    assert shown[""]["data"][path]["data"] == metrics
    assert "failed" not in said(author, "dvc", "plots", "show")
    page = (author.folder / "dvc_plots/index.html").read_text()
    assert {f"{name}.{form}" for name in catalogue.figures() for form in ("svg", "png", "pdf")} == (
        pictures(author).keys()
    )
    for name in catalogue.figures():
        assert f"{name}.svg" in page, "list the figure in dvc.yaml"
    assert not said(author, "git", "status", "--short")


def test_a_pulled_clone_is_idle_and_an_edit_reruns_what_it_should(clone: Project) -> None:
    clone.run("dvc", "pull")
    assert idle(clone)
    for path in (clone.folder / "runs").rglob("*"):
        path.touch()
    clone.replace(
        "config.yaml", "recovery: {training: {epochs: 2}", "recovery: {training: {epochs: 3}"
    )
    assert runs(said(clone, "snakemake", "--dry-run")) == RECOVERIES
    clone.run("git", "checkout", "--quiet", "config.yaml")
    # its own library counts, whatever environment is active
    clone.replace("src/stagewise/methods/oto.py", "if len(partners) !=", "if 0 + len(partners) !=")
    planned = said(clone, "env", "--unset=PYTHONPATH", "snakemake", "--dry-run")
    assert runs(planned) == {"Multi-exit resnet.oto, seed 0"}


def test_a_comment_changes_the_record_and_reruns_nothing(clone: Project) -> None:
    clone.run("dvc", "pull")
    with open(clone.folder / "src/stagewise/methods/kd.py", "a") as source:
        source.write("\n# a comment\n")
    assert "src" in said(clone, "dvc", "status")
    assert "Nothing to be done" in said(clone, "dvc", "repro")
    commit(clone, "A comment")
    assert idle(clone)


def test_records_alone_redraw_the_figures_byte_for_byte(author: Project, clone: Project) -> None:
    clone.run("make", "pull-records")
    assert not (clone.folder / "data").exists()
    names = {path.suffix for path in (clone.folder / "runs").rglob("*") if path.is_file()}
    assert names == {".json", ".csv", ".npz"}
    assert "Nothing to be done" in said(clone, "snakemake", "--dry-run")
    shutil.rmtree(clone.folder / FIGURES)
    made = messages(said(clone, "snakemake", "figures"))
    assert {message.split()[0] for message in made} == {"Figure"}
    assert pictures(clone) == pictures(author)


def test_an_experiment_in_the_workspace(clone: Project) -> None:
    clone.run("dvc", "pull")
    setting = "config.yaml:+figures.dpi=60"
    made = messages(said(clone, "dvc", "exp", "run", "--set-param", setting))
    assert {message.split()[0] for message in made} == {"Figure", "Report"}
    changed = json.loads(clone.run("dvc", "params", "diff", "--json").stdout)
    assert changed == {"config.yaml": {"figures.dpi": {"old": None, "new": 60}}}
    assert "Nothing to be done" in said(clone, "snakemake", "--dry-run")


def test_an_experiment_aside_then_time_travel(clone: Project) -> None:
    clone.run("dvc", "pull")
    override = "config.yaml:recovery.training.epochs=3"
    command = ("dvc", "exp", "run", "--temp", "--name", "longer", "--set-param", override)
    assert runs(said(clone, *command)) == RECOVERIES
    assert not said(clone, "git", "status", "--short")  # the workspace is untouched
    difference = ("diff", "--json", "HEAD", "longer")
    params = json.loads(clone.run("dvc", "params", *difference).stdout)
    assert params["config.yaml"]["recovery.training.epochs"] == {"old": 2, "new": 3, "diff": 1}
    metrics = json.loads(clone.run("dvc", "metrics", *difference).stdout)
    moved = metrics["results/smoke/metrics.json"]
    assert moved
    assert all(name.startswith("recovery.") for name in moved)

    clone.run("dvc", "exp", "apply", "longer")
    commit(clone, "Longer recovery")
    assert idle(clone)
    for revision in ("HEAD~1", "-"):
        clone.run("git", "checkout", "--quiet", revision)
        clone.run("dvc", "checkout")
        assert idle(clone)
