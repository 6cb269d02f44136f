"""Tables on disk: CSV with plain numbers, Markdown for people, LaTeX for papers."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.study import Study
from stagewise.analysis.tables.latex import document, latex
from stagewise.analysis.tables.layout import layout
from stagewise.analysis.tables.missing import missing_line, missing_table
from stagewise.analysis.tables.table import Table
from stagewise.files import write_text
from stagewise.study.spec import STILL

MEAN = re.compile(r"^[^ ]+")
"""The mean of a cell ``94.5 ± 0.7 (6)``."""


def markdown(shown: pd.DataFrame) -> str:
    """A GitHub table; the first text columns left, others as they are."""
    rows = [list(map(str, shown.columns)), ["---"] * shown.shape[1]]
    rows += [[str(cell).replace("|", "\\|") for cell in row] for row in shown.to_numpy()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def table_text(table: Table) -> str:
    """A table to read: its caption, then its rows laid out, or a sentence where it has none."""
    plan = layout(table)
    # The mean alone, as papers have it.
    rows = plan.of(table.shown, lambda cell: MEAN.sub(r"**\g<0>**", str(cell)))
    text = markdown(rows) if len(rows) else f"{table.empty}\n"
    return f"{plan.caption}\n\n{text}"


FEW = ("student_images_per_class", "target_images_per_class")
"""Keys of ``data`` that give students fewer images."""


def replicates_line(results: Results) -> str:
    """What is new with a seed, of what the study has."""
    config, data = results.study.config, results.study.config["data"]
    parts = ["teacher"]
    if (results.study.runs["step"] == "pretraining").any():
        parts.append("pretrained backbone")
    if data.get("source_classes"):
        parts.append("class split on the two-stage task")
    if any(data.get(key) for key in FEW):
        parts.append("draw of images")
    whole = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    if config.get("replicates", "students") == "chains":
        return f"every seed has its own {whole}, so that this variation is in the intervals"
    return f"one {whole} per pair serves all seeds, so that this variation is not in the intervals"


def trained_arms(results: Results) -> pd.DataFrame:
    """A row per arm that was trained at a rate of its own: arm, step, name, and whether it was
    ``tuned``, that is, is among the config's ``learning_rates``."""
    trained = results.summary.query("epochs > 0 and lr.notna() and common_rate.isna()")
    trained = trained[~trained["recipe"].isin(STILL)].drop_duplicates("arm")
    runs = results.study.runs
    trained = trained[~trained["arm"].isin(runs.loc[runs["partner"] != "", "arm"])]
    listed = trained["arm"].isin(results.study.config.get("learning_rates", {}))
    return trained[["arm", "step", "name"]].assign(tuned=listed)


def rates_said(results: Results) -> str:
    """In a clause: which learning rates were tuned on validation."""
    trained, what = trained_arms(results), _settings(results)
    count, tuned_count = len(trained), int(trained["tuned"].sum())
    if not (results.study.holds_out and tuned_count):
        return "learning rates were fixed before, none was tuned"
    if tuned_count == count:
        return f"{what} were tuned on validation images"
    return (
        f"the {what} of {tuned_count} of {count} networks were tuned on validation images,"
        " the others fixed before"
    )


def _settings(results: Results) -> str:
    """What was chosen: of some arms loss weights (``strengths``), at the rate of all."""
    weights = results.study.config.get("strengths")
    return "learning rates or loss weights" if weights else "learning rates"


def images_line(config: Mapping[str, Any]) -> str:
    """That teachers see more images than students, and what shows the part that this has; empty
    where they do not."""
    classes = config["data"].get("classes")
    some = len(classes) if isinstance(classes, list | tuple) else classes
    everything = f"the {some}" if some else "all"
    counts = {
        task: config["data"].get(key)
        for key, task in zip(FEW, (everything, "the target"), strict=True)
    }
    told = [f"{count} a class of {task} classes" for task, count in counts.items() if count]
    if not told:
        return ""
    control = (
        "the networks \"teacher's network, student's images\" show what it does with these"
        if config.get("teachers", {}).get("same_data", True)
        else "no network shows how much of a gain over training alone is the images'"
    )
    seen = " and ".join(told)
    return f"Teachers see all training images, students {seen}: {control}."


def tuned(results: Results) -> str:
    """For how many arms the rate was chosen on validation, and which are the others, by step."""
    trained = trained_arms(results)
    listed = trained["tuned"]
    others = []
    for step, part in trained.groupby("step", sort=False):
        names = [str(name) for name in part.loc[~listed[part.index], "name"]]
        if names:
            others.append(
                f"all {step}" if len(names) == len(part) else f"{step}/{', '.join(names)}"
            )
    what = _settings(results).capitalize()
    said = f"{what} tuned on validation: {listed.sum()} of {len(trained)} networks"
    return f"{said}; fixed before, not tuned: {'; '.join(others)}." if others else f"{said}."


def protocol_lines(results: Results) -> list[str]:
    """How the numbers were made, in sentences."""
    summary, config = results.summary, results.study.config
    first = summary.iloc[0]
    choices = f"{tuned(results)} The test set made no choice."
    shown = "; ".join(results.gate.sentences) or "nothing, as no pair has a larger teacher"
    judged = f"What the networks had to show first: {shown}."
    if not results.study.holds_out:
        choices = "No images were held out, and nothing was chosen: all settings were fixed before."
        judged = "What the networks had to show first was not judged, as no images were held out."
    return [
        *filter(None, [missing_line(results.study)]),
        f"Study {results.study.name}: {summary['path'].nunique()} runs, "
        f"seeds {', '.join(map(str, config['seeds']))}; data source {config['data']['source']}.",
        f"Reported: test accuracy after the {first['selection'] or 'last epoch'}. {choices}",
        f"Paired by seed: the seed fixes initialisation, data order and augmentation of all "
        f"networks; {replicates_line(results)}.",
        *filter(None, [images_line(config)]),
        judged,
    ]


GUIDE = """\
# Results of study {study}

| file | what it is |
| --- | --- |
| `report.html` | everything on one page: verdicts, figures, tables, protocol, runs; start here |
| `claims.csv` | a row for each claim, contrast and pair: effect, interval, p-values, verdict |
| `summary.csv` | a row for each run and exit: settings, metrics, costs, checksums |
| `evaluation.csv` | the same metrics, a row for each run, exit and split |
| `latency.csv` | measured latency, a row for each network and batch size |
| `gradcam.csv` | where exits look beside their teachers', a row for each student and exit |
| `gradcam.npz` | the maps of some images, which the figure shows |
| `metrics.json` | mean test accuracy of each network, percent; what `dvc metrics` shows |
| `plan.json` | the study: its settings with all defaults, and its runs with their parents |
| `figures/` | the figures, each as vector and as pixels; the report says what to see |
| `tables/study.md` | protocol and all tables, to read |
| `tables/study.tex` | the same for LaTeX: `cd tables && pdflatex study.tex` |
{tables}
Each table has a `.csv` with plain numbers, a `.md` to read, and a `.tex` for `\\input`, which needs
the LaTeX packages array, booktabs and longtable.

The files are made from the records in `runs/{study}/`. Change nothing here: `snakemake` makes again
what is changed or deleted.
"""


def failures(study: Study) -> str:
    """What failed, as a section in Markdown; empty where nothing did."""
    if not study.missing:
        return ""
    return f"## What failed\n\n{missing_line(study)}\n\n{markdown(missing_table(study))}\n"


def guide(study: Study, tables: Sequence[Table]) -> str:
    """The README of a study's results: what each file is, and what failed."""
    lines = "".join(
        f"| `tables/{table.name}` | {re.split('[:.] ', table.caption)[0].rstrip('.')} |\n"
        for table in tables
    )
    text = GUIDE.format(study=study.name, tables=lines)
    return f"{text}\n{failures(study)}" if study.missing else text


def write_tables(results: Results, tables: Sequence[Table], folder: Path) -> None:
    """Write ``NAME.csv``, ``NAME.md`` and ``NAME.tex`` of every table, and of all of them with the
    protocol ``study.md`` and ``study.tex``, a document that LaTeX takes as it is.

    A table without rows is written too, and says so: the files are the same for every study.
    """
    protocol = protocol_lines(results)
    parts = [f"# {results.study.title}\n", *(f"{line}\n" for line in protocol)]
    parts += filter(None, [failures(results.study)])
    for table in tables:
        text = table_text(table)
        write_text(folder / f"{table.name}.csv", table.data.to_csv(index=False))
        write_text(folder / f"{table.name}.md", text)
        write_text(folder / f"{table.name}.tex", latex(table))
        parts.append(f"## {table.name.capitalize()}\n\n{text}")
    write_text(folder / "study.md", "\n".join(parts))
    names = [table.name for table in tables]
    write_text(folder / "study.tex", document(f"Study {results.study.name}", protocol, names))
