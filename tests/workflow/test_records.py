"""Runs that came without Snakemake's memory are not believed where the plan says something else."""

import shutil

from projects import Project


def test_results_of_other_settings_are_refused(project: Project) -> None:
    """Runs copied without ``.snakemake``, from a study with one more epoch."""
    for name in (".snakemake", "results"):
        shutil.rmtree(project.folder / name)
    project.snakemake("results/smoke/evaluation.csv", "--rerun-triggers", "mtime")
    shutil.rmtree(project.folder / "results")
    project.replace("config/smoke.yaml", "epochs: 2", "epochs: 3")
    project.snakemake("results/smoke/evaluation.csv", "--rerun-triggers", "mtime", check=False)
    said = (project.folder / "logs/smoke/evaluate.log").read_text()
    assert "runs are not what the plan says: runs/smoke/" in said
    assert "(training.epochs 2, planned 3" in said
    assert not (project.folder / "results/smoke/evaluation.csv").exists()
