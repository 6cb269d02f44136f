"""The smoke study with one run that fails still ends with a report, which says so; the next start
tries that run again, and a whole report takes the place of the partial one."""

import json
import re

from projects import Project

WILD = "runs/smoke/distillation/resnet.wild/seed-0"
PARTIAL = "results/smoke/partial"
DIVERGING = "methods: {wild: {method: kd, weights: {kd: 1.0e+6}, training: {lr: 10.0}}}"


def test_a_study_with_a_failed_run_ends_with_a_report(project: Project) -> None:
    project.replace(
        "config/smoke.yaml", "methods: [kd]}\n", f"methods: [kd, wild]}}\n{DIVERGING}\n"
    )
    project.replace("config/smoke.yaml", "ratios: [2]", "ratios: [2, 3]")
    command = ("snakemake", "--configfile", "config/smoke.yaml", "--cores", "2")
    done = project.run(*command, check=False)
    assert done.returncode == 1
    assert re.search(rf"{PARTIAL}: without 1 of \d+ runs, of which 1 failed", done.stderr)
    assert not (project.folder / WILD / "record.json").exists()

    folder = project.folder / PARTIAL
    page = (folder / "report.html").read_text()
    why = "distillation/resnet.wild seed 0: the loss is not finite"
    for text in (page, (folder / "README.md").read_text()):
        assert WILD in text
        assert why in text
    plan = json.loads((folder / "plan.json").read_text())
    assert [run["path"] for run in plan["missing"]] == [WILD]
    # What does not start from the failed run was done all the same.
    assert "recovery/resnet.baseline.l2-3x.two_stage_kd" in {run["arm"] for run in plan["runs"]}
    assert "../../../runs/smoke/recovery/resnet.baseline.l2-3x" in page

    assert "Distillation resnet.wild, seed 0" in project.planned()
    project.replace("config/smoke.yaml", DIVERGING, "methods: {wild: {method: kd}}")
    project.run(*command)
    assert not folder.exists()
    page = (project.folder / "results/smoke/report.html").read_text()
    assert WILD in page
    assert "What failed" not in page


def test_a_chapter_that_fails_makes_no_report(project: Project) -> None:
    project.replace(
        "config/smoke.yaml", "methods: [kd]}\n", f"methods: [kd, wild]}}\n{DIVERGING}\n"
    )
    said = project.snakemake("distillation", check=False)
    assert "the loss is not finite" in said
    assert not (project.folder / PARTIAL).exists()
