"""An RO-Crate of a finished study: its workflow, results and records, and which job made what.

The crate follows the profiles Workflow RO-Crate and Provenance Run Crate (``PROFILES``). What jobs
did is read from Snakemake's own memory of them, `.snakemake/metadata`; where that is missing, the
crate says only that the workflow made the results. Neither data nor weights nor logits are in it.
"""

import mimetypes
import re
import tempfile
import tomllib
from base64 import urlsafe_b64decode
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, Person
from rocrate.rocrate import ROCrate

from stagewise.analysis.publish.evidence import public_plan, record_files, result_files
from stagewise.files import atomic, read_json, write_json
from stagewise.schemas import checked

PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/ro/wfrun/provenance/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
WORKFLOW = "workflow/Snakefile"
CODE = (
    *("README.md", "LICENSE", "CITATION.cff", "Snakefile", "pyproject.toml", "requirements.lock"),
    *("workflow/**/*", "scripts/*.py", "profiles/*/*", "src/stagewise/**/*"),
)
"""Files that do the study again."""
SCRIPT = ["File", "SoftwareSourceCode"]
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LICENCE = "https://spdx.org/licenses/MIT"


@dataclass
class Job:
    """A job that Snakemake remembers; times in seconds since 1970."""

    rule: str
    script: str
    inputs: list[str]
    outputs: list[str]
    start: float
    end: float


def jobs(root: Path, wanted: Container[str]) -> dict[str, Job]:
    """The jobs that wrote ``wanted`` files, by their commands, as Snakemake remembers them."""
    found: dict[str, Job] = {}
    memory = root / ".snakemake/metadata"
    for file in sorted(path for path in memory.rglob("*") if path.is_file()):
        # A name is the path of an output; a long one is cut into folders that start with @.
        coded = "".join(part.removeprefix("@") for part in file.relative_to(memory).parts)
        name = urlsafe_b64decode(coded).decode(errors="replace")
        if name not in wanted:
            continue
        problem, mend = f"{file}: is no memory of a job", "delete it and run again"
        kept = checked(read_json(file), "analysis/publish/job.schema.yaml", problem, mend)
        command = kept["shellcmd"] or ""
        if script := re.search(r"scripts/\w+\.py", command):
            times = (kept["starttime"], kept["endtime"])
            job = Job(kept["rule"], script[0], kept["input"], [], *times)
            job = found.setdefault(command, job)
            job.outputs.append(name)
            job.end = max(job.end, kept["endtime"])
    return found


def write_crate(results: Path, root: Path, code: Path, out: Path, author: str) -> int:
    """Write the crate as a ZIP file. Returns the number of jobs that it tells of.

    ``results`` is the study's folder, ``root`` holds ``runs/`` and Snakemake's memory, ``code`` the
    workflow; ``author`` did the study.

    Raises:
        UserError: the study is not finished, or the crate cannot be written.
    """
    shown = result_files(results)  # refuses where the study is not finished
    records = record_files(results / "plan.json", root)
    plan = public_plan(read_json(results / "plan.json"))
    place = Path("results", plan["study"])
    files = {str(place / path.relative_to(results)): path for path in _files(results, ["**/*"])}
    files |= {str(path.relative_to(root)): path for path in records}
    told = jobs(root, files)
    files |= {str(path.relative_to(code)): path for path in _files(code, CODE)}
    with tempfile.TemporaryDirectory() as folder, atomic(out) as temporary:
        files[f"{place}/plan.json"] = Path(folder, "plan.json")
        write_json(files[f"{place}/plan.json"], plan)
        crate = _described(plan, author, max(path.stat().st_mtime for path in shown))
        tool = {"@type": SCRIPT, "version": _version(code)}
        for name, path in files.items():
            facts: dict[str, Any] = {
                "contentSize": str(path.stat().st_size),
                "encodingFormat": _format(name),
            }
            if name == WORKFLOW:
                facts |= tool | {"@type": [*SCRIPT, "ComputationalWorkflow", "HowTo"]}
                crate.add_workflow(path, name, main=True, lang="snakemake", properties=facts)
            else:
                facts |= tool | {"name": name} if name.startswith("scripts/") else {}
                crate.add_file(path, name, properties=facts)
        _tell(crate, list(told.values()), place)
        crate.write_zip(temporary)
    return len(told)


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _version(code: Path) -> str:
    project = tomllib.loads((code / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _format(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "text/plain"


def _described(plan: dict[str, Any], author: str, finished: float) -> ROCrate:
    """An empty crate: what it is, whose, under which licence, by which profiles."""
    crate = ROCrate(version="1.1")
    title = plan.get("title") or plan["study"]
    crate.name = f"{title} (Stagewise study {plan['study']})"
    crate.description = (
        f"Results and records of the {len(plan['runs'])} runs of a Stagewise study, and the"
        " Snakemake workflow that made them."
    )
    crate.datePublished = datetime.fromtimestamp(finished, UTC)
    crate.license = crate.add(
        ContextEntity(crate, LICENCE, {"@type": "CreativeWork", "name": "MIT licence"})
    )
    crate.root_dataset["author"] = crate.add(Person(crate, "#author", {"name": author}))
    for profile in PROFILES:
        page = ContextEntity(crate, profile, {"@type": "CreativeWork", "name": profile})
        crate.root_dataset.append_to("conformsTo", crate.add(page))
    return crate


def _tell(crate: ROCrate, told: list[Job], place: Path) -> None:
    """Add the run of the workflow, and every job: the script that did it, what it read and made."""
    workflow, given = crate.mainEntity, crate.get(f"{place}/plan.json")
    author = crate.root_dataset["author"]
    workflow["conformsTo"] = crate.add(ContextEntity(crate, BIOSCHEMAS, {"@type": "CreativeWork"}))
    crate.get("README.md")["about"] = crate.root_dataset
    made = [one for one in crate.get_entities() if one.id.startswith(f"{place}/")]
    study = crate.add_action(workflow, "#study", given, [one for one in made if one is not given])
    study["name"], study["description"] = "The whole study", crate.description
    study["agent"] = author
    crate.root_dataset.append_to("mentions", study)
    for number, job in enumerate(told):
        script = _tool(crate, job)
        read = [entity for name in job.inputs if (entity := crate.get(name))]
        wrote = [crate.get(name) for name in job.outputs]
        action = crate.add_action(script, f"#job-{number}", _plain(read), _plain(wrote))
        action["name"] = f"{job.rule}: {Path(job.outputs[0]).parent}"
        action["description"] = f"One job of the workflow's rule {job.rule}"
        action["agent"] = author
        crate.root_dataset.append_to("mentions", action)
        action["startTime"], action["endTime"] = _time(job.start), _time(job.end)
    if told:
        study["startTime"] = _time(min(job.start for job in told))
        study["endTime"] = _time(max(job.end for job in told))


def _tool(crate: ROCrate, job: Job) -> Any:
    """The script of a job's rule, as a tool and a step of the workflow."""
    script, step = crate.get(job.script), f"#step-{job.rule}"
    if script not in crate.mainEntity.get("hasPart", []):
        crate.mainEntity.append_to("hasPart", script)
    if not crate.get(step):
        facts = {"@type": "HowToStep", "name": job.rule, "workExample": script}
        crate.mainEntity.append_to("step", crate.add(ContextEntity(crate, step, facts)))
    return script


def _plain(entities: list[Any]) -> Any:
    """One entity as itself, as the profile wants it."""
    return entities[0] if len(entities) == 1 else entities


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
