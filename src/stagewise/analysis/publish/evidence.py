"""Evidence: what of a study is kept beside the code, and the page that shows it.

A folder of evidence has the study's plan, its results as text and vector pictures, and the records
of its runs; neither weights nor logits. It may hold a part of the runs and no results.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise.analysis.claims.wording import read_claims
from stagewise.analysis.publish.readme import (
    ALSO_SHOWN,
    SHOWN,
    contrast_table,
    section,
    tries_claims,
)
from stagewise.analysis.records.environment import duration, timings, training_environment
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.tables.files import markdown
from stagewise.errors import UserError
from stagewise.files import read_file, read_json, write_json, write_text

RESULTS = ("claims.csv", "tables/*.md", "tables/*.csv", "figures/*.svg")
NEEDED = (
    *("claims.csv", "tables/study.md", "tables/accuracy.md"),
    *(f"figures/{name}.svg" for name in (*SHOWN, *ALSO_SHOWN)),
)
"""What a page of results is made from."""
RECORDS = ("record.json", "history.csv", "shock.csv", "timing.json")

PAGE = """# {title}

{done} of {planned} runs, {time} of computing one after another. `{command}` does it again.
{facts}.

{results}

<details><summary>Runs and their records</summary>

{runs}
</details>
"""


CONTRASTS = """{section}

<details><summary>Every contrast, and the smallest effect that this study could detect</summary>

{contrasts}
</details>"""


def result_files(results: Path) -> list[Path]:
    """A study's verdicts, tables and figures.

    Raises:
        UserError: one that the page needs is missing.
    """
    for name in NEEDED:
        if not (results / name).is_file():
            raise UserError(f"{results}: '{name}' is not there; run `snakemake` first")
    return [path for name in RESULTS for path in sorted(results.glob(name))]


def record_files(plan: Path, root: Path) -> list[Path]:
    """The records of the runs that are finished.

    Raises:
        UserError: none is.
    """
    done = _done(read_study(plan, root))
    if not done:
        raise UserError(f"{plan}: none of its runs is finished; run `snakemake` first")
    return [
        root / path / name for path in done for name in RECORDS if (root / path / name).exists()
    ]


def keep(files: Iterable[Path], base: Path, evidence: Path) -> None:
    """Copy files to the places in ``evidence`` that they have in ``base``."""
    for source in files:
        target = evidence / source.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_file(source))


def keep_study(results: Path, root: Path, evidence: Path, command: str, *, runs_only: bool) -> None:
    """A folder of evidence in the place of an older one.

    Raises:
        UserError: the study is not finished, or ``evidence`` is something else than evidence.
    """
    if evidence.exists() and not (evidence / "plan.json").is_file():
        raise UserError(f"--evidence: '{evidence}' holds no study's evidence; name a new folder")
    plan = results / "plan.json"
    records = record_files(plan, root)
    shown = [] if runs_only else result_files(results)
    new = evidence.with_name(f".{evidence.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        keep(records, root, new)
        keep(shown, results, new)
        write_json(new / "plan.json", public_plan(read_json(plan)))
        write_text(new / "README.md", page(new, command))
        shutil.rmtree(evidence, ignore_errors=True)
        new.rename(evidence)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def public_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan without the user's mirrors: places on a machine, on which no result depends."""
    blocks = {name: {**plan["config"].get(name, {})} for name in ("data", "two_stage")}
    for block in blocks.values():
        block |= {"mirrors": []} if "mirrors" in block else {}
    return {**plan, "config": {**plan["config"], **blocks}}


def page(evidence: Path, command: str) -> str:
    """The folder's README; ``command`` is what makes the study."""
    study = read_study(evidence / "plan.json", evidence)
    done = _done(study)
    times = timings(study)
    facts = training_environment(times, pd.DataFrame([_protocol(study, path) for path in done]))
    results = ""
    if (evidence / "claims.csv").is_file():
        claims, results = read_claims(evidence / "claims.csv"), section(evidence, evidence)
        if tries_claims(claims):
            results = CONTRASTS.format(section=results, contrasts=contrast_table(claims))
    return PAGE.format(
        title=study.title,
        done=len(done),
        planned=len(study.runs) + len(study.missing),
        time=duration(float(times["total_seconds"].sum())),
        command=command,
        facts="; ".join(f"{name}: {value}" for name, value in facts.items()),
        results=results,
        runs=markdown(_run_table(study, done)),
    )


def _done(study: Study) -> list[str]:
    """Paths of the runs that have a record, in plan order."""
    return [path for path in study.runs["path"] if study.files(path).finished]


def _protocol(study: Study, path: str) -> dict[str, str]:
    protocol = study.files(path).record.protocol
    return {name: str(protocol.get(name, "")) for name in ("device", "dtype", "threads")}


def _run_table(study: Study, paths: list[str]) -> pd.DataFrame:
    rows = []
    for path, run in study.runs.set_index("path").loc[paths].iterrows():
        record, timing = study.files(str(path)).record, study.files(str(path)).timing
        rows.append(
            {
                "Run": f"[{run['arm']}]({path}/record.json)",
                "Seed": run["seed"],
                "Network": record.settings.network or "–",
                "Epochs": record.protocol.get("epochs", "–"),
                "Test accuracy, last epoch": f"{record.test_accuracy:.2f} %",
                "Time": duration(timing.total_seconds) if timing else "–",
            }
        )
    return pd.DataFrame(rows)
