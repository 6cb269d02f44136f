"""What the runs and their results were computed with, and how long it took, as far as known."""

import platform
from importlib import metadata

import pandas as pd

from stagewise.analysis.records.run_files import Timing
from stagewise.analysis.records.study import Study

PACKAGES = (
    *("stagewise", "snakemake", "dvc", "torch-pruning", "scikit-learn"),
    *("numpy", "pandas", "scipy", "statsmodels", "matplotlib"),
)


def timings(study: Study) -> pd.DataFrame:
    """A row per run that left its timing: step, total_seconds, device, python, torch."""
    columns = ["step", *Timing.__dataclass_fields__]
    found = [
        {"step": step, **vars(timing)}
        for step, path in zip(study.runs["step"], study.runs["path"], strict=True)
        if (timing := study.files(path).timing)
    ]
    return pd.DataFrame(found, columns=columns)


def training_environment(times: pd.DataFrame, summary: pd.DataFrame) -> dict[str, str]:
    """What the records say of the machines that trained; more than one value where runs differ."""
    found = {
        "Python": times["python"],
        "PyTorch": times["torch"],
        "Processor": times["device"],
        "Computed on": summary["device"],
        "Number format": summary["dtype"],
        "Threads a run": summary["threads"].astype(str).str.removesuffix(".0"),
    }
    listed = {
        name: sorted({str(value) for value in values} - {""}) for name, values in found.items()
    }
    return {name: ", ".join(values) for name, values in listed.items() if values}


def analysis_environment() -> dict[str, str]:
    """Versions of what made this page; packages that are not installed are left out."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


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
