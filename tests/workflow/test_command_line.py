"""Targets that ``--configfile`` swallows are met by one line that shows the order that works."""

import runpy

import pytest
from projects import PROJECT, copy_project

problem = runpy.run_path(str(PROJECT / "workflow/command_line.py"))["problem"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("--configfile config.yaml tables", "tables --configfile config.yaml"),
        ("-n --configfile=config.yaml tables claims --cores 2",
         "tables claims -n --configfile=config.yaml --cores 2"),
        ("--configfiles config.yaml config/smoke.yaml data -n",
         "data --configfiles config.yaml config/smoke.yaml -n"),
    ],
)  # fmt: skip
def test_the_order_that_works_is_shown(
    typed: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    assert problem(typed.split()).endswith(f"type targets first: snakemake {shown}")


@pytest.mark.parametrize(
    "typed",
    [
        "tables --configfile config.yaml",
        "--configfile config.yaml -- tables",
        "--configfile config.yaml --cores 2 tables",
        "--configfile config.yaml config/digits-tune.yaml",
        "tables",
        "",
    ],
)
def test_right_orders_pass(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert problem(typed.split()) == ""


def test_a_mistyped_config_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    said = problem(["--configfile", "config/smok.yaml"])
    assert said == "--configfile: 'config/smok.yaml' is not there; correct its name"


@pytest.mark.parametrize("profile", ["default", "smoke", "slurm"])
def test_every_profile_asks(profile: str, tmp_path) -> None:
    project = copy_project(tmp_path)
    command = ("snakemake", "--workflow-profile", f"profiles/{profile}", "-n")
    done = project.run(*command, "--configfile", "config/smoke.yaml", "distillation", check=False)
    assert done.returncode == 1
    assert "error: --configfile: 'distillation' is no file;" in done.stderr
    assert "snakemake distillation --workflow-profile" in done.stderr
    assert "Traceback" not in done.stderr
