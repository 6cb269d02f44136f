"""The RO-Crate of a study passes the community's validator, which wants an environment of its own:
it pins libraries that this project has in newer versions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import PROJECT, copy_project

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
VALIDATE = """
import json, sys
from rocrate_validator import models, services
from rocrate_validator.utils import document_loader, http

class Answer:
    status_code, headers = 200, {"Content-Type": "application/ld+json"}
    text = sys.argv[2]

    def json(self):
        return json.loads(self.text)

asked = {"https://w3id.org/ro/crate/1.1/context": Answer()}
http.HttpRequester.get = lambda self, url, **_: asked[url]
document_loader._fetch_json_ld = lambda url: asked[url].json()
said = {}
for profile in sys.argv[3:]:
    settings = services.ValidationSettings(
        rocrate_uri=sys.argv[1],
        profile_identifier=profile,
        requirement_severity=models.Severity.REQUIRED,
    )
    said[profile] = [issue.message for issue in services.validate(settings).get_issues()]
print(json.dumps(said))
"""


@pytest.fixture
def validator(tmp_path: Path) -> Path:
    """Python of an environment that has the validator."""
    folder = tmp_path / "validator"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/pip", "install", "--quiet", "roc-validator==0.13.0"]
    subprocess.run(install, check=True)
    return folder / "bin/python"


def test_the_crate_keeps_to_its_profiles(tmp_path: Path, validator: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    project.snakemake()
    crate = tmp_path / "smoke.crate.zip"
    script = str(PROJECT / "scripts/crate.py")
    options = ("--results", "results/smoke", "--author", "A. Reader", "--out", str(crate))
    project.run("python", script, *options)
    command = [validator, "-c", VALIDATE, crate, json.dumps(CONTEXT), *PROFILES]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={})
    assert json.loads(done.stdout.splitlines()[-1]) == {profile: [] for profile in PROFILES}
