"""A finished study packed as an RO-Crate is a valid one, and says which job made what."""

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from projects import PROJECT, Project


@pytest.fixture(scope="module")
def crate(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("crate") / "smoke.crate.zip"
    script = str(PROJECT / "scripts/crate.py")
    options = ("--results", "results/smoke", "--author", "A. Reader", "--out", str(out))
    done = finished.run("python", script, *options)
    assert done.stdout.startswith(f"{out}: ")
    return out


@pytest.fixture(scope="module")
def entities(crate: Path) -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(crate) as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


def references(value: Any) -> set[str]:
    """The entities that a property names."""
    values = value if isinstance(value, list) else [value]
    return {one["@id"] for one in values if isinstance(one, dict)}


def test_it_says_what_its_profiles_want(entities: dict[str, dict[str, Any]]) -> None:
    """The main points; ``tests/system`` asks the community's validator."""
    head, root = entities["ro-crate-metadata.json"], entities["./"]
    assert "https://w3id.org/ro/crate/1.1" in references(head["conformsTo"])
    assert {"name", "description", "datePublished", "license", "author"} <= root.keys()
    for profile in ("process", "workflow", "provenance"):
        assert f"https://w3id.org/ro/wfrun/{profile}/0.5" in references(root["conformsTo"])
    workflow = entities["workflow/Snakefile"]
    assert root["mainEntity"] == {"@id": "workflow/Snakefile"}
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(workflow["@type"])
    assert entities[workflow["programmingLanguage"]["@id"]]["name"] == "Snakemake"
    tools = references(workflow["hasPart"]) | {"workflow/Snakefile"}
    actions = [one for one in entities.values() if one["@type"] == "CreateAction"]
    assert {action["@id"] for action in actions} == references(root["mentions"])
    for action in actions:
        assert action["instrument"]["@id"] in tools
        assert {"result", "agent", "startTime", "endTime"} <= action.keys()
    named = set().union(*(references(v) for one in entities.values() for v in one.values()))
    outside = {name for name in named - entities.keys() if not name.startswith("https://")}
    assert not outside


def test_what_it_names_is_in_it(crate: Path, entities: dict[str, dict[str, Any]]) -> None:
    with zipfile.ZipFile(crate) as archive:
        held = {entry.filename: entry.file_size for entry in archive.infolist()}
    named = {part["@id"] for part in entities["./"]["hasPart"]}
    assert named == held.keys() - {"ro-crate-metadata.json"}
    for name in named:
        assert int(entities[name]["contentSize"]) == held[name]
    assert {"results/smoke/report.html", "workflow/Snakefile", "src/stagewise/files.py"} <= named
    runs = [name for name in named if name.startswith("runs/")]
    assert not [name for name in runs if name.endswith((".safetensors", ".npz"))]
    assert not [name for name in named if name.endswith(".pyc")]


def test_every_run_has_its_job(finished: Project, entities: dict[str, dict[str, Any]]) -> None:
    plan = json.loads((finished.folder / "results/smoke/plan.json").read_text())
    actions = [one for one in entities.values() if one["@type"] == "CreateAction"]
    made = {}
    for action in actions:
        results = action["result"] if isinstance(action["result"], list) else [action["result"]]
        made |= {result["@id"]: action for result in results if action["@id"] != "#study"}
    for run in plan["runs"]:
        action = made[f"{run['path']}/record.json"]
        script = "prune" if run["step"] == "pruning" else "train"
        assert action["instrument"] == {"@id": f"scripts/{script}.py"}
        assert action["startTime"] <= action["endTime"] <= entities["#study"]["endTime"]
    assert entities[made["results/smoke/report.html"]["instrument"]["@id"]]["version"]


def test_an_unfinished_study_is_refused(finished: Project, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    script = str(PROJECT / "scripts/crate.py")
    options = ("--results", str(tmp_path / "results"), "--author", "A. Reader")
    done = finished.run("python", script, *options, check=False)
    assert done.returncode == 1
    assert "'claims.csv' is not there; run `snakemake` first" in done.stderr


@pytest.mark.parametrize("content", ["{}", '{"rule": 1e999}', "[]", ""])
def test_a_damaged_memory_of_a_job_is_named(project: Project, content: str) -> None:
    name = base64.urlsafe_b64encode(b"results/smoke/claims.csv").decode()
    memory = project.folder / ".snakemake/metadata" / name
    assert memory.is_file()
    memory.write_text(content)
    script = str(PROJECT / "scripts/crate.py")
    done = project.run(
        "python", script, "--results", "results/smoke", "--author", "A. Reader", check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: .snakemake/metadata/{name}: ")
    assert len(done.stderr.splitlines()) == 1
