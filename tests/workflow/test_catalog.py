"""The repository keeps to the rules of Snakemake's workflow catalog, as its page *Adding workflows*
and the script that fills it state them; what its pages say is what is there."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from projects import PROJECT, Project, copy_project

SVG = "{http://www.w3.org/2000/svg}"


def text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which nothing has run."""
    return copy_project(tmp_path_factory.mktemp("catalog"))


# -- generic workflows ---------------------------------------------------------------------------


def test_the_readme_says_that_this_is_a_snakemake_workflow() -> None:
    assert {"snakemake", "workflow"} <= set(re.findall(r"\w+", text("README.md").lower()))


def test_the_workflow_is_where_the_catalog_looks() -> None:
    # Where there is a folder `workflow`, it looks nowhere else.
    assert (PROJECT / "workflow/Snakefile").is_file()
    assert list((PROJECT / "workflow/rules").glob("*.smk"))


def test_formatted_as_the_catalog_asks(project: Project) -> None:
    files = [project.folder / "workflow/Snakefile", *project.folder.glob("workflow/rules/*.smk")]
    project.run("snakefmt", "--check", *map(str, files))


def test_lint_is_content_with_what_the_catalog_runs(project: Project) -> None:
    assert "good condition" in project.run("snakemake", "--lint").stderr


# -- standardised usage --------------------------------------------------------------------------


def test_the_use_is_described_by_known_keys() -> None:
    usage = yaml.safe_load(text(".snakemake-workflow-catalog.yml"))["usage"]
    assert usage.keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["mandatory-flags"].keys() == {"desc", "flags"}
    deployment = usage["software-stack-deployment"]
    assert deployment.keys() == {"conda", "apptainer", "apptainer+conda"}
    assert all(isinstance(value, bool) for value in deployment.values())
    # What it offers is there: a report (test_workflow.py asks for it), a container for every rule.
    assert usage["report"]
    assert "report:" in text("workflow/Snakefile")
    assert deployment["apptainer"] == ("\ncontainer:" in text("workflow/Snakefile"))
    assert deployment["conda"] == bool(re.search(r"\bconda:", text("workflow/Snakefile")))


def test_the_configuration_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", text("config/README.md")))
    for file in (PROJECT / "config.yaml", *(PROJECT / "config").glob("*.yaml")):
        used = yaml.safe_load(file.read_text(encoding="utf-8")).keys()
        rare = {"tune", "equivalence", "evaluation", "table", "figures", "gate"}  # docs/config.md
        assert used - rare <= explained, file


def test_both_ways_in_plan_the_same(project: Project) -> None:
    plans = []
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        command = ("snakemake", "-n", "--snakefile", snakefile, "--configfile", "config/smoke.yaml")
        said = project.run(*command).stdout
        plans.append(sorted(re.findall(r"(?m)^Job \d+: (.*)$", said)))
    assert plans[0] == plans[1]
    assert "Report" in plans[0]


def test_every_run_of_the_largest_study_has_a_rule(project: Project) -> None:
    said = project.run("snakemake", "-n", "--configfile", "config/mskd-cifar100.yaml").stdout
    for name in ("exits", "joint-exits", "self-distilled-exits", "paraphraser"):
        assert f"Part of teacher vgg13-vgg8.{name}, seed 0" in said


def test_another_folder_serves_as_well(project: Project, tmp_path: Path) -> None:
    config = project.folder / "config/smoke.yaml"
    snakefile = project.folder / "workflow/Snakefile"
    command = ("snakemake", "-n", "--snakefile", str(snakefile), "--configfile", str(config))
    done = project.run(*command, "--directory", str(tmp_path))
    assert "Report" in done.stdout


# -- pictures and recipes ------------------------------------------------------------------------


def test_the_graph_of_the_rules_is_the_workflows(project: Project) -> None:
    dot = project.run("snakemake", "--rulegraph", "dot").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot)}
    drawn = ElementTree.fromstring(text("docs/rulegraph.svg"))
    groups = {kind: [g for g in drawn.iter(f"{SVG}g") if g.get("class") == kind] for kind in
              ("node", "edge")}  # fmt: skip
    title = {g.findtext(f"{SVG}title"): g.findtext(f"{SVG}text") for g in groups["node"]}
    shown = [g.findtext(f"{SVG}title", "").split("->") for g in groups["edge"]]
    assert set(title.values()) == set(names.values()), "make rulegraph"
    assert {(title[a], title[b]) for a, b in shown} == edges, "make rulegraph"


def test_the_container_holds_the_locked_dependencies() -> None:
    recipe = text("Containerfile")
    [image] = re.findall(r"(?m)^FROM \S+python:(3\.\d+)", recipe)
    wanted = tomllib.loads(text("pyproject.toml"))["project"]["requires-python"]
    least, below = re.findall(r"3\.(\d+)", wanted)
    assert int(least) <= int(image.partition(".")[2]) < int(below)
    [source] = re.findall(r"(?m)^COPY (\S+) (?:\S+)$", recipe)
    assert source == "requirements.lock"
    assert "--require-hashes -r /opt/stagewise/requirements.lock" in recipe
    ignored = text(".dockerignore").splitlines()
    assert [line for line in ignored if not line.startswith("#")] == ["*", f"!{source}"]
    for program in ("setpriv", "make", "git"):
        package = {"setpriv": "util-linux"}.get(program, program)
        assert package in recipe


def test_a_container_that_was_not_built_is_named(project: Project) -> None:
    done = project.run("snakemake", "-n", "--sdm", "apptainer", check=False)
    assert done.returncode == 1
    assert "stagewise.sif: the container is not here; make it: make container" in done.stdout


def test_the_version_stands_everywhere_as_in_pyproject() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == version
    released = re.findall(r"(?m)^## (\d\S*) — (\S+)$", text("CHANGELOG.md"))
    assert released[0] == (version, str(citation["date-released"]))
    assert re.findall(r"Version (\d[\w.]*)", text("README.md")) == [version]
    assert re.findall(r'image\.version="(\S+?)"', text("Containerfile")) == [version]
