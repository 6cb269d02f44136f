"""An RO-Crate of a finished study: its workflow, results and records, and which job made what.

The crate follows the profiles Workflow RO-Crate and Provenance Run Crate (``PROFILES``). What jobs
did is read from Snakemake's own memory of them, `.snakemake/metadata`; where that is missing, the
crate says only that the workflow made the results. Neither data nor weights nor logits are in it.
"""

import mimetypes
import re
import tempfile
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, Person
from rocrate.rocrate import ROCrate

from stagewise.analysis.publish.evidence import public_plan, record_files, result_files
from stagewise.files import atomic, read_json, write_json

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
LICENCE = "https://spdx.org/licenses/MIT"


@dataclass(frozen=True)
class Job:
    """A job that Snakemake remembers: files it read and wrote, and when, in seconds since 1970."""

    rule: str
    command: str
    inputs: tuple[str, ...]
    start: float
    end: float


def jobs(root: Path, wanted: Iterable[str]) -> dict[Job, list[str]]:
    """The jobs that wrote the ``wanted`` files, as Snakemake remembers them, and their files."""
    found: dict[Job, list[str]] = defaultdict(list)
    names = set(wanted)
    memory = root / ".snakemake/metadata"
    for file in sorted(path for path in memory.rglob("*") if path.is_file()):
        coded = "".join(part.removeprefix("@") for part in file.relative_to(memory).parts)
        name = urlsafe_b64decode(coded).decode()
        if name in names:
            kept = read_json(file)
            inputs = tuple(kept["input"] or ())
            times = (kept["starttime"], kept["endtime"])
            found[Job(kept["rule"], kept["shellcmd"] or "", inputs, *times)].append(name)
    return found


def write_crate(results: Path, root: Path, code: Path, out: Path, author: str) -> int:
    """Write the crate as a ZIP file. Returns the number of jobs that it tells of.

    ``results`` is the study's folder, ``root`` holds ``runs/`` and Snakemake's memory, ``code`` the
    workflow; ``author`` did the study.

    Raises:
        UserError: the study is not finished, or the crate cannot be written.
    """
    shown = result_files(results)  # refuses where the study is not finished
    plan = public_plan(read_json(results / "plan.json"))
    place = Path("results", plan["study"])
    files = {str(place / path.relative_to(results)): path for path in _files(results, ["**/*"])}
    files |= {str(path.relative_to(root)): path for path in record_files(results / "plan.json", root)}
    told = jobs(root, files)
    files |= {str(path.relative_to(code)): path for path in _files(code, CODE)}
    with tempfile.TemporaryDirectory() as folder, atomic(out) as temporary:
        files[str(place / "plan.json")] = Path(folder, "plan.json")
        write_json(files[str(place / "plan.json")], plan)
        crate = _described(plan, author, max(path.stat().st_mtime for path in shown))
        workflow = crate.add_workflow(
            files.pop(WORKFLOW), WORKFLOW, main=True, lang="snakemake", lang_version=">=9.22"
        )
        for name, path in files.items():
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            size = str(path.stat().st_size)
            crate.add_file(path, name, properties={"encodingFormat": kind, "contentSize": size})
        _tell(crate, workflow, told, place)
        crate.write_zip(temporary)
    return len(told)


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _described(plan: dict[str, Any], author: str, finished: float) -> ROCrate:
    """An empty crate: what it is, whose, under which licence, by which profiles."""
    crate = ROCrate(version="1.1")
    crate.name = f"{plan['title']} (Stagewise study {plan['study']})"
    crate.description = (
        f"Results and records of the {len(plan['runs'])} runs of a Stagewise study, and the"
        " Snakemake workflow that made them."
    )
    crate.datePublished = datetime.fromtimestamp(finished, UTC)
    crate.license = crate.add(
        ContextEntity(crate, LICENCE, {"@type": "CreativeWork", "name": "MIT licence"})
    )
    crate.author = crate.add(Person(crate, f"#{author}", {"name": author}))
    profiles = [
        crate.add(ContextEntity(crate, profile, {"@type": "CreativeWork", "name": profile}))
        for profile in PROFILES
    ]
    crate.root_dataset["conformsTo"] = profiles
    return crate


def _tell(crate: ROCrate, workflow: Any, told: dict[Job, list[str]], place: Path) -> None:
    """Add the run of the workflow, and every job: the script that did it, what it read and made."""
    made = [entity for entity in crate.get_entities() if entity.id.startswith(f"{place}/")]
    given = crate.get(f"{place}/plan.json")
    times = {
        "startTime": _time(min(job.start for job in told)),
        "endTime": _time(max(job.end for job in told)),
    } if told else {}
    run = crate.add_action(
        workflow,
        "#study",
        [given],
        [entity for entity in made if entity is not given],
        {"name": "The study", "agent": crate.author, **times},
    )
    for number, (job, outputs) in enumerate(told.items()):
        script = crate.get(re.findall(r"scripts/\w+\.py", job.command)[0])
        inputs = [entity for name in job.inputs if (entity := crate.get(name))]
        crate.add_action(
            script,
            f"#job-{number}",
            inputs,
            [crate.get(name) for name in outputs],
            {"name": f"{job.rule}: {Path(outputs[0]).parent}",
             "startTime": _time(job.start), "endTime": _time(job.end)},
        )
    crate.root_dataset["mentions"] = [run]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
