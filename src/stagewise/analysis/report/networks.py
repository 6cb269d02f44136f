"""The methods, recipes and networks of a study, as the report lists them."""

from typing import Any

import numpy as np
import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import shape
from stagewise.analysis.records.study import Study
from stagewise.analysis.report.page_tables import PageTable
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.tables.files import trained_arms
from stagewise.analysis.tables.layout import with_notes

NEEDS = {
    "teacher": "a teacher",
    "exits": "exits",
    "teacher_part": "a part trained on the teacher",
    "teacher_pooled": "the teacher's pooled vectors",
    "teacher_taps": "the teacher's features",
    "blocks": "the features of every block",
    "same_channels": "a teacher of the student's channels",
}
IMAGES = {"few": "few", "full": "all"}


def first_runs(study: Study) -> pd.DataFrame:
    """The first run of every arm, with its ``settings`` as its record tells them."""
    first = study.runs.drop_duplicates("arm")
    settings = [study.files(path).record.settings for path in first["path"]]
    return first.assign(settings=np.array(settings, dtype=object))


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options.items())


def method_table(first: pd.DataFrame) -> pd.DataFrame:
    """Each method: what it is, its loss, its options, what it needs, its file."""
    rows = []
    for label, arms in first[first["method"] != ""].groupby("method", sort=False):
        settings = arms["settings"].iloc[0]
        name = settings.method
        if name not in catalogue.methods():
            continue
        file = catalogue.methods()[name]
        title = catalogue.label_title(str(label), name)
        rows.append(
            {
                "Method": title if title == label or name == label else f"{title} ({label})",
                "What it is": catalogue.first_line(file),
                "Loss": " + ".join(
                    f"{weight:g} {term}" for term, weight in settings.weights.items()
                ),
                "Options": _listed(settings.method_options) or "–",
                "Needs": ", ".join(
                    text
                    for need, text in NEEDS.items()
                    if getattr(catalogue.method_needs(name), need)
                )
                or "labels only",
                "File": f"methods/{file.name}",
            }
        )
    return pd.DataFrame(rows)


def recipe_table(first: pd.DataFrame) -> pd.DataFrame:
    """Each recipe: what it is, its options, its file."""
    rows = []
    for name, arms in first[first["recipe"] != ""].groupby("recipe", sort=False):
        if name not in catalogue.recipes():
            continue
        file = catalogue.recipes()[str(name)]
        texts = [_listed(settings.recipe_options) for settings in arms["settings"]]
        rows.append(
            {
                "Recipe": str(name).replace("_", " "),
                "What it is": catalogue.first_line(file),
                "Options": "; ".join(dict.fromkeys(filter(None, texts))) or "–",
                "File": f"recipes/{file.name}",
            }
        )
    return pd.DataFrame(rows)


def network_table(results: Results, first: pd.DataFrame, provenance: Provenance) -> PageTable:
    """Each arm: its network, method, recipe, images, budget, and how its rate was chosen."""
    rows = []
    seeds = results.study.runs["arm"].value_counts()
    trained = trained_arms(results).set_index("arm")["tuned"]
    chosen = trained if results.study.holds_out else trained & False
    for _, run in first.iterrows():
        settings = run["settings"]
        rows.append(
            {
                "Pair": run["pair"],
                "Step": run["step"].replace("_", " "),
                "Network": run["display"],
                "Shape": shape(run),
                "Built as": settings.network or "–",
                "Method": run["method"] or "–",
                "Recipe": run["recipe"].replace("_", " ") or "–",
                "Images": IMAGES.get(settings.images, settings.images or "–"),
                "Epochs": str(settings.epochs or "–"),
                "Batch": str(settings.batch_size or "–"),
                "Rate": _rate(settings.lr, run, chosen),
                "Runs": provenance.link(
                    str(seeds[run["arm"]]), [provenance.arm_anchors[run["arm"]]]
                ),
            }
        )
    frame = pd.DataFrame(rows)
    order = ["Network", *(str(heading) for heading in frame if heading != "Network")]
    same = [h for h in order[1:-1] if len(frame) > 1 and frame[h].nunique() == 1]
    headings = [heading for heading in order if heading not in same]
    told = [f"{h}: {frame[h].iloc[0]}" for h in same if frame[h].iloc[0] != "–"]
    cells = frame[headings].to_numpy(dtype=object).tolist()
    return PageTable("networks", with_notes(NETWORKS_CAPTION, told), headings, cells)


NETWORKS_CAPTION = (
    "Every network of the study. Images: all training images, or the few of the students. Epochs "
    "and rate are those of the step itself; a rate was tuned on validation images, is one that all "
    "such networks have in common, or was given before."
)


def _rate(lr: float | None, run: pd.Series, tuned: pd.Series) -> str:
    """``0.2, tuned``."""
    if lr is None:
        return "–"
    how = "common" if pd.notna(run["common_rate"]) else "given"
    return f"{lr:g}, {'tuned' if tuned.get(run['arm'], False) else how}"
