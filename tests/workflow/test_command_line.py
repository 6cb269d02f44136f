"""Targets that ``--configfile`` swallows are met by one line that shows the order that works."""

import os
import runpy
from pathlib import Path

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


# -- configurations that end Snakemake's own reader in a traceback -------------------------------

BROKEN = {
    "a: " + "[" * 900 + "]" * 900: "nested too deeply; flatten it",
    '{"a": ' + "[" * 9000 + "]" * 9000 + "}": "nested too deeply; flatten it",
    "a: " + "{a: " * 900 + "1" + "}" * 900: "nested too deeply; flatten it",
    "a: &a [1]\nb: [*a, *a]": "line 2: an alias (*name); write the value out instead",
    "a: 2001-02-32": "not valid YAML: day is out of range for month; correct it there",
    "a: "
    + "x" * 1_000_000: "larger than 1,000,000 bytes, which no configuration needs; shorten it",
}
BYTES = {
    "study: é".encode("latin-1"): "not valid YAML: byte 7 is no UTF-8; save the file as UTF-8",
    "study: a".encode("utf-16"): "not valid YAML: byte 0 is no UTF-8; save the file as UTF-8",
    **{text.encode(): said for text, said in BROKEN.items()},
}


@pytest.mark.parametrize(("content", "said"), BYTES.items(), ids=range(len(BYTES)))
def test_a_config_is_read_before_snakemake_does(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    assert problem(["-n", "--configfile", str(file), "--cores", "2"]) == f"{file}: {said}"


@pytest.mark.parametrize("text", ["study: [", "a: 1\na: 2", "", "title: é", "[" * 40 + "]" * 40])
def test_what_others_refuse_in_words_passes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    assert problem(["--configfile", str(file)]) == ""


def test_a_pipe_is_left_to_its_one_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problem(["--configfile", str(tmp_path / "pipe")]) == ""


def test_snakemake_ends_in_a_line(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    (tmp_path / "bad.yaml").write_bytes("study: é".encode("latin-1"))
    done = project.run("snakemake", "-n", "--configfile", "bad.yaml", check=False)
    assert done.stderr.splitlines()[-1] == (
        "error: bad.yaml: not valid YAML: byte 7 is no UTF-8; save the file as UTF-8"
    )
    (tmp_path / "bad.yaml").replace(tmp_path / "config.yaml")
    done = project.run("snakemake", "-n", check=False)
    assert "config.yaml: not valid YAML: byte 7 is no UTF-8" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1


def test_single_settings_stand_on_top_of_the_default_study(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    project.configure("small", epochs=1)
    planned = project.run("snakemake", "-n", "data", "--config", "study=other").stdout
    assert "data/other/prepared.safetensors" in planned
    (tmp_path / "half.yaml").write_text("title: half a study\n")
    done = project.run("snakemake", "-n", "--configfile", "half.yaml", check=False)
    assert "half.yaml: (top level): 'pairs' is a required property" in done.stdout
