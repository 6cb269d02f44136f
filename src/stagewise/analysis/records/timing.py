"""What the runs and the analysis were computed with, as far as it is known."""

import platform
from importlib import metadata

import pandas as pd

from stagewise.analysis.records.study import Study

PACKAGES = (
    *("stagewise", "snakemake", "dvc", "torch-pruning", "scikit-learn"),
    *("numpy", "pandas", "scipy", "statsmodels", "matplotlib"),
)


def timings(study: Study) -> pd.DataFrame:
    """A row per run that left its timing: step, total_seconds, device, python, torch."""
    columns = ["total_seconds", "device", "python", "torch"]
    found = [
        {"step": step, **{column: timing[column] for column in columns}}
        for step, path in zip(study.runs["step"], study.runs["path"], strict=True)
        if (timing := study.timing(path))
    ]
    return pd.DataFrame(found, columns=["step", *columns])


def training_facts(times: pd.DataFrame, summary: pd.DataFrame) -> dict[str, str]:
    """What the records say of the machines that trained; more than one value where runs differ."""
    facts = {
        "Python": times["python"],
        "PyTorch": times["torch"],
        "Processor": times["device"],
        "Computed on": summary["device"],
        "Number format": summary["dtype"],
        "Threads a run": summary["threads"].astype(str).str.removesuffix(".0"),
    }
    listed = {
        name: sorted({str(value) for value in values} - {""}) for name, values in facts.items()
    }
    return {name: ", ".join(values) for name, values in listed.items() if values}


def analysis_facts() -> dict[str, str]:
    """Versions of what made this page; packages that are not installed are left out."""
    facts = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def time_table(times: pd.DataFrame) -> pd.DataFrame:
    """Step, runs, seconds in all and of the median run; no row where no run left its timing."""
    groups = times.groupby("step", sort=False)["total_seconds"]
    table = groups.agg(["count", "sum", "median"]).reset_index()
    return pd.DataFrame(
        {
            "Step": [step.replace("_", " ") for step in table["step"]],
            "Runs": table["count"].astype(str),
            "Seconds in all": [f"{seconds:.1f}" for seconds in table["sum"]],
            "Median run, seconds": [f"{seconds:.1f}" for seconds in table["median"]],
        }
    )


def duration(seconds: float) -> str:
    """``3.2 seconds``, ``14 minutes``, ``5.1 hours``."""
    if seconds < 90:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
