"""A finished study packed as an RO-Crate is a valid one, and says which job made what."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from projects import PROJECT, Project
from rocrate_validator import models, services
from rocrate_validator.utils import document_loader, http

PROFILES = (
    "ro-crate-1.1",
    "workflow-ro-crate-1.0",
    "process-run-crate-0.5",
    "workflow-run-crate-0.5",
    "provenance-run-crate-0.5",
)
SCHEMA = (
    "about agent author contentSize datePublished description encodingFormat endTime hasPart"
    " identifier instrument license mainEntity mentions name object programmingLanguage result"
    " startTime step url version workExample ComputerLanguage CreateAction CreativeWork Dataset"
    " HowTo HowToStep Person SoftwareSourceCode"
)
CONTEXT = {
    "@context": {term: f"http://schema.org/{term}" for term in SCHEMA.split()}
    | {
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "File": "http://schema.org/MediaObject",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
    }
}
"""What RO-Crate 1.1 says of the terms that the crate uses; the validator would fetch all of it."""
URL = "https://w3id.org/ro/crate/1.1/context"


class Answer:
    """The network's answer."""

    status_code, headers = 200, {"Content-Type": "application/ld+json"}
    text = json.dumps(CONTEXT)

    def json(self) -> Any:
        return CONTEXT


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


@pytest.mark.parametrize("profile", PROFILES)
def test_it_keeps_to_its_profiles(
    crate: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {URL: Answer()}
    monkeypatch.setattr(http.HttpRequester, "get", lambda self, url, **_: asked[url], raising=False)
    monkeypatch.setattr(document_loader, "_fetch_json_ld", lambda url: asked[url].json())
    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier=profile,
        requirement_severity=models.Severity.REQUIRED,
    )
    result = services.validate(settings)
    assert [issue.message for issue in result.get_issues()] == []


def test_what_it_names_is_in_it(crate: Path, entities: dict[str, dict[str, Any]]) -> None:
    with zipfile.ZipFile(crate) as archive:
        held = {entry.filename: entry.file_size for entry in archive.infolist()}
    named = {part["@id"] for part in entities["./"]["hasPart"]}
    assert named == held.keys() - {"ro-crate-metadata.json"}
    for name in named:
        assert int(entities[name]["contentSize"]) == held[name]
    assert {"results/smoke/report.html", "workflow/Snakefile", "src/stagewise/files.py"} <= named
    assert not [name for name in named if name.endswith((".safetensors", ".npz", ".pyc"))]


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
