"""Results in spite of failed runs: the usual files, made from the runs that are there, in a folder
of their own that Snakemake knows nothing of; what is missing stands in them.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stagewise import catalogue
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.tuning import choose_rates, rates_yaml
from stagewise.analysis.claims.wording import read_claims
from stagewise.analysis.figures.files import write_figures
from stagewise.analysis.records.agreement import disagreements
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.run_files import RunFiles
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import mean_accuracies, summarise
from stagewise.analysis.report.page import render
from stagewise.analysis.tables.files import failures, guide, write_tables
from stagewise.analysis.tables.table import make_tables
from stagewise.errors import UserError
from stagewise.files import regular_size, write_json, write_text
from stagewise.study.config.results import Figures
from stagewise.study.planned import Plan

LAST = 65_536
"""Bytes of a log's end in which its error is looked for."""
LONGEST = 400
"""Characters of an error that are shown."""


def last_error(log: Path) -> str:
    """The last error of a run's log, or else its last line."""
    try:
        size = regular_size(log)
        with log.open("rb") as stream:
            stream.seek(max(0, size - LAST))
            text = stream.read(LAST).decode(errors="replace")
    except OSError:
        return "it left no log"
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    found = [*lines[-1:], *said] or ["it said nothing"]
    return "".join(sign if sign.isprintable() else " " for sign in found[-1])[:LONGEST]


def present_plan(plan: Plan, root: Path, failed: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``plan.json`` with only the runs that are there, and, as ``missing``, the
    others: ``failed`` ones (path → why), those without a sound record, and all that descend from
    these.

    Raises:
        UserError: no run is there.
    """
    content, missing = plan.written(), dict[str, str]()
    for row in content["runs"]:
        path, parents = row["path"], row["parents"].values()
        waits = [f"not done: it starts from {parent}" for parent in parents if parent in missing]
        if row.get("partner") in missing:
            waits.append(f"it answers with {row['partner']}")
        why = waits[0] if waits else failed.get(path) or _unfit(root / path)
        if why:
            missing[path] = why
    rows = [row for row in content["runs"] if row["path"] not in missing]
    if not rows:
        raise UserError("no run of the study is there, so there is nothing to report")
    for row in rows:  # fidelity to a teacher that is missing cannot be measured
        row["reference"] = "" if row["reference"] in missing else row["reference"]
    lost = [
        {"path": path, "arm": plan.runs[path].arm, "seed": plan.runs[path].seed, "why": why}
        for path, why in missing.items()
    ]
    return {**content, "runs": rows, "missing": lost}


def write_partial(plan: Plan, root: Path, out: Path, failed: Mapping[str, str]) -> Study:
    """All results but latency and Grad-CAM maps, from the runs that are there, in the place of an
    older such folder.

    Raises:
        UserError: no run is there, logits are damaged, or nothing can be written.
    """
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        study = _study(plan, root, new / "plan.json", failed)
        evaluation = evaluate(study)
        write_text(new / "evaluation.csv", evaluation.to_csv(index=False))
        if plan.config.tune:
            choice = choose_rates(study, evaluation)
            write_text(new / "choice.csv", choice.to_csv(index=False))
            write_text(new / "learning_rates.yaml", rates_yaml(choice))
            write_text(new / "README.md", f"# Rates of study {study.name}\n\n{failures(study)}")
        else:
            summary = summarise(study, evaluation)
            write_text(new / "summary.csv", summary.to_csv(index=False))
            write_json(new / "metrics.json", mean_accuracies(summary))
            _write_pages(Results(study, summary), new, plan.config.figures)
        shutil.rmtree(out, ignore_errors=True)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return study


def _unfit(folder: Path) -> str:
    """Why there is no record to make results from; empty where there is one."""
    files = RunFiles(folder)
    if not files.finished:
        return "not done"
    try:
        _ = files.record
    except UserError as error:
        return str(error)
    return ""


def _study(plan: Plan, root: Path, file: Path, failed: Mapping[str, str]) -> Study:
    """The study of the runs whose records are as planned."""
    write_json(file, present_plan(plan, root, failed))
    others = {
        path: f"its record is not as planned ({what})"
        for path, what in disagreements(read_study(file, root)).items()
    }
    if others:
        write_json(file, present_plan(plan, root, {**others, **failed}))
    return read_study(file, root)


def _write_pages(results: Results, folder: Path, drawn: Figures) -> None:
    """Verdicts, tables, figures, report and guide."""
    write_text(folder / "claims.csv", judge_claims(results).to_csv(index=False))
    tables = make_tables(results)
    write_tables(results, tables, folder / "tables")
    write_figures(results, folder / "figures", catalogue.figures(), drawn.dpi, drawn.format)
    claims = read_claims(folder / "claims.csv")
    page = render(results, claims, folder / "figures", folder / "report.html")
    write_text(folder / "report.html", page)
    write_text(folder / "README.md", guide(results.study, tables))
