"""The methods, recipes and networks of a study, as the report lists them."""

from typing import Any

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.records.study import Study
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.tables.table import shape

NEEDS = {
    "teacher": "a teacher",
    "exits": "exits",
    "teacher_exits": "a teacher with exits",
    "teacher_pooled": "the teacher's pooled vectors",
    "teacher_taps": "the teacher's features",
}
IMAGES = {"few": "few", "full": "all"}


def first_records(study: Study) -> pd.DataFrame:
    """The first run of every arm with its ``spec``, as its record tells it."""
    first = study.runs.drop_duplicates("arm")
    return first.assign(spec=[study.record(path)["spec"] for path in first["path"]])


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())


def method_table(first: pd.DataFrame) -> pd.DataFrame:
    """Each method: what it is, its loss, its options, what it needs, its file."""
    rows = []
    for label, arms in first[first["method"] != ""].groupby("method", sort=False):
        specs = list(arms["spec"])
        name = specs[0].get("method", {}).get("method", label)
        if name not in catalogue.methods():
            continue
        file = catalogue.methods()[name]
        weights = specs[0].get("weights", catalogue.method_weights(name))
        options = specs[0].get("method", catalogue.method_options(name))
        title = catalogue.method_title(name)
        rows.append(
            {
                "Method": title if name == label else f"{label} ({title})",
                "What it is": catalogue.first_line(file),
                "Loss": " + ".join(f"{weight:g} {term}" for term, weight in weights.items()),
                "Options": _listed({k: v for k, v in options.items() if k != "method"}) or "–",
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
        options = [spec.get("recipe", {"recipe": name}) for spec in arms["spec"]]
        texts = [_listed({k: v for k, v in entry.items() if k != "recipe"}) for entry in options]
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
        spec, training = run["spec"], run["spec"].get("training", {})
        images = spec.get("data", {}).get("images", "")
        rate = training.get("lr")
        rows.append(
            {
                "Pair": run["pair"],
                "Step": run["step"].replace("_", " "),
                "Network": run["display"],
                "Shape": shape(run),
                "Built as": spec.get("network", {}).get("network", "–"),
                "Method": run["method"] or "–",
                "Recipe": run["recipe"].replace("_", " ") or "–",
                "Images": IMAGES.get(images, images or "–"),
                "Epochs": str(training.get("epochs", "–")),
                "Batch": str(training.get("batch_size", "–")),
                "Rate": "–" if rate is None else f"{rate:g}",
                "Runs": provenance.link(
                    str(seeds[run["arm"]]), [provenance.arm_anchors[run["arm"]]]
                ),
            }
        )
    return pd.DataFrame(rows)
