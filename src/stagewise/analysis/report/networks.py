"""The methods, recipes and networks of a study, as the report lists them."""

from typing import Any

import numpy as np
import pandas as pd

from stagewise import catalogue
from stagewise.analysis.records.labels import shape
from stagewise.analysis.records.study import Study
from stagewise.analysis.report.provenance import Provenance

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
        title = catalogue.method_title(name)
        rows.append(
            {
                "Method": title if name == label else f"{label} ({title})",
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


def network_table(first: pd.DataFrame, seeds: pd.Series, provenance: Provenance) -> pd.DataFrame:
    """Each arm: its network, method, recipe, images, budget and chosen rate; ``seeds`` by arm."""
    rows = []
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
                "Rate": "–" if settings.lr is None else f"{settings.lr:g}",
                "Runs": provenance.link(
                    str(seeds[run["arm"]]), [provenance.arm_anchors[run["arm"]]]
                ),
            }
        )
    return pd.DataFrame(rows)
