"""Write ``benchmarks/README.md`` and ``docs/verdicts.md`` from the results of the benchmarks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from our_loop import BATCH, EPOCHS
from scipy import stats
from throughput import DTYPES, PUBLISHED, RUNS, VIEWS, cold_share

from stagewise.analysis.tables.cells import plus_minus
from stagewise.analysis.tables.files import markdown
from stagewise.catalogue import method_title

FOLDER = Path(__file__).resolve().parent
TEACHING = {
    "live": "teacher runs at every step",
    "cold": "empty table",
    "amortised": "table, mean of 5 runs of 240 epochs",
    "warm": "full table",
}


def machine(result: dict[str, Any]) -> str:
    """What it was measured on."""
    facts = result["machine"]
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != '1')}"
    return (
        f"{facts['processor']} ({facts['capability']}), {threads},"
        f" torch {facts['torch']}, Python {facts['python']}, {facts['date']}"
    )


def throughput(result: dict[str, Any]) -> str:
    """Images per second, ratios to the published style, share of the machine's matmul rate."""
    rows = []
    for pair in result["pairs"]:
        speeds, flops = pair["images_per_second"], pair["flops"]
        reference = speeds[PUBLISHED]
        for key in [PUBLISHED, *(f"{d}, {t}" for d in ("float32", "bfloat16") for t in TEACHING)]:
            dtype, _, teaching = key.partition(", ")
            rate = result["matmul_flops"].get(dtype, result["matmul_flops"]["float32"])
            done = flops["student"] + (flops["teacher"] if teaching in ("", "live", "cold") else 0)
            rows.append(
                {
                    "Pair": pair["pair"],
                    "Loop": f"ours, {dtype}" if teaching else key,
                    "Teacher": TEACHING.get(teaching, TEACHING["live"]),
                    "Images/s": f"{speeds[key]:.0f}",
                    "Ratio": f"{speeds[key] / reference:.2f}×",
                    "Share of matmul rate": "–"
                    if teaching == "amortised"
                    else f"{100 * speeds[key] * done / rate:.0f} %",
                }
            )
    rates = ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in result["matmul_flops"].items())
    head = f"{machine(result)}. Matrix products: {rates}."
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def methods(result: dict[str, Any]) -> str:
    """A row for each method: ours beside its published script, and beside the floor."""
    share = cold_share(RUNS, EPOCHS, VIEWS)
    rows = []
    for case in result["pairs"]:
        speeds, flops = case["images_per_second"], case["flops"]
        teaching = "live" if "float32, live" in speeds else "amortised"
        done = flops["student"] + flops["teacher"] * (1 if teaching == "live" else share)
        row = {
            "Method": method_title(case["method"]),
            "Teacher": "live" if teaching == "live" else "table",
            "GFLOP": f"{BATCH * done / 1e9:.1f}",
            "Published style": f"{speeds[PUBLISHED]:.0f}",
        }
        for dtype in DTYPES:
            rate = result["matmul_flops"][dtype]
            speed = speeds[f"{dtype}, {teaching}"]
            row[f"Ours, {dtype}"] = f"{speed:.0f}"
            row[f"Ratio, {dtype}"] = f"{speed / speeds[PUBLISHED]:.2f}×"
            row[f"Above the floor, {dtype}"] = f"{rate / done / speed:.2f}×"
        rows.append(row)
    rates = ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in result["matmul_flops"].items())
    head = (
        f"{machine(result)}. Matrix products: {rates}. {result['pairs'][0]['pair']}, images/s."
        f" The opponent has the method's loss as its published script has it"
        " ([published_losses/](published_losses/__init__.py)). *Table*: the mean of"
        f" {RUNS} runs of {EPOCHS} epochs; *live*: the teacher runs at every step, because the"
        " method asks for its maps or for more views. AB and FSP are in their first phase. *GFLOP*:"
        " of our step of 64 images, with gradients and the teacher's share; *above the floor*: the"
        " step's time over that of as many FLOPs at the rate of matrix products."
    )
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def scaling(result: dict[str, Any]) -> str:
    """A row for each point."""
    meaning = {
        "runs": "planning the study (`snakemake -n`)",
        "classes": "one KD step, VGG8 of width 16, batch 64, one thread",
        "images": "loading prepared 32×32 images",
        "image size": "one KD step, the same",
        "jobs": "a training step of ResNet8 (width 16, 16×16, batch 50): jobs sharing two cores",
    }
    rows = [
        {
            "Grows": sweep,
            "to": f"{row['value']:,}",
            "Measured": meaning[sweep],
            "Milliseconds": f"{1000 * row['seconds']:,.0f}",
            "Peak memory, MiB": f"{row['mib']:,.0f}",
        }
        for sweep in meaning
        for row in result["sweeps"][sweep]
    ]
    return f"{machine(result)}.\n\n{markdown(pd.DataFrame(rows))}"


def loops(runs: pd.DataFrame) -> str:
    """A row for each way to make batches and to step: means, and what it differs from ours by."""
    groups = {str(arm): part for arm, part in runs.groupby("arm", sort=False)}
    rows = [
        {
            "Loop": arm,
            "Seeds": len(part),
            **{
                title: plus_minus(part[column].mean(), part[column].std(), np.nan, digits)
                for column, (title, digits) in MEASURED.items()
            },
            **{
                f"{title}, minus ours": "–" if arm == "ours" else apart(part, groups["ours"], *key)
                for key, title in ((("test_accuracy", 1), "Points"), (("train_loss", 3), "Loss"))
            },
        }
        for arm, part in groups.items()
    ]
    head = (
        "WRN-16-1 alone on 10,000 CIFAR-100 images (100 a class), 12 epochs, batches of 64,"
        " float32, one thread a run; all 10,000 test images, last epoch. Mean ± sd over seeds;"
        " differences with 95 % intervals (Welch's t)."
    )
    if runs.groupby("arm").size().min() < WANTED:
        head += f" **Not finished**: {WANTED} seeds of each are wanted, and nothing is decided yet."
    else:
        head += f"\n\n{answered(groups)}"
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def answered(groups: Mapping[str, pd.DataFrame]) -> str:
    """Whether the published-style loop, or a cross, differs from ours."""
    low, high = between(groups["published style"], groups["ours"], "test_accuracy")
    others = [
        arm
        for arm, part in groups.items()
        if arm not in ("ours", "published style")
        and np.prod(between(part, groups["ours"], "test_accuracy")) > 0
    ]
    crosses = (
        f"crosses that differ from ours: {', '.join(others)}"
        if others
        else "no cross differs from ours"
    )
    if low * high > 0:
        return f"**The loops differ**, by {low:+.1f} to {high:+.1f} points; {crosses}."
    return (
        f"**No difference is shown**: the published-style loop is between {-low:.1f} points below"
        f" and {high:.1f} above ours; {crosses}."
    )


WANTED = 8
"""Seeds of each loop."""
MEASURED = {"test_accuracy": ("Test accuracy, %", 1), "train_loss": ("Training loss", 3)}


def apart(part: pd.DataFrame, ours: pd.DataFrame, column: str, digits: int) -> str:
    """Mean difference to our loop, and its interval."""
    mean = part[column].mean() - ours[column].mean()
    if min(len(part), len(ours)) < 2:
        return f"{mean:+.{digits}f}"
    low, high = between(part, ours, column)
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def between(part: pd.DataFrame, ours: pd.DataFrame, column: str) -> tuple[float, float]:
    """95 % interval of the difference to our loop."""
    test = stats.ttest_ind(part[column], ours[column], equal_var=False)
    low, high = test.confidence_interval(0.95)
    return float(low), float(high)


def pipeline(result: dict[str, Any]) -> str:
    """Shares of the CPU time."""
    rows = [
        {"Activity": name, "Share of CPU time": f"{100 * share:.1f} %"}
        for name, share in result["shares"].items()
    ]
    head = (
        f"{machine(result)}. {result['runs']} runs, {result['wall_seconds'] / 60:.1f} minutes,"
        f" {result['cpu_seconds']:.0f} CPU-s; a run steps after"
        f" {result['median_start_up_cpu_seconds']:.2f} CPU-s (median); planning takes"
        f" {result['planning_cpu_seconds']:.1f} CPU-s."
    )
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def forecast(result: dict[str, Any]) -> str:
    """A row for each rule: seconds of a run, forecast and real."""
    rules = result["rules"]
    count = sum(row["runs"] for row in rules)
    means = {
        side: sum(row["runs"] * row[side] for row in rules) / count for side in ("forecast", "real")
    }
    rows = [
        {
            "Rule": row["rule"],
            "Runs": row["runs"],
            "Forecast, s a run": f"{row['forecast']:.2f}",
            "Real, s a run": f"{row['real']:.2f}",
            "Forecast / real": f"{row['forecast'] / row['real']:.2f}",
        }
        for row in [*rules, {"rule": "all runs", "runs": count, **means}]
    ]
    head = (
        f"{machine(result)}. `make forecast` of the study {result['study']}, beside its finished"
        f" runs: {result['seconds'] / 60:.1f} minutes in all with {result['jobs']} jobs at once."
    )
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def shipping(result: dict[str, Any]) -> str:
    """A row for each file: milliseconds, and how many times faster than the whole network."""
    table = pd.DataFrame(result["rows"])
    rows = []
    for (name, file), part in table.groupby(["network", "file"], sort=False):
        row = {"Network": name, "File": file}
        macs = part["macs"].iloc[0]
        for _, given in part.iterrows():
            batch = given["batch"]
            same = table[(table["network"] == name) & (table["batch"] == batch)]
            whole = same[same["file"] == "whole, float32"].iloc[0]
            row["MACs, × fewer"] = f"{whole['macs'] / macs:.2f}" if macs == macs else "–"
            quartiles = f"{given['low']:.3f} to {given['high']:.3f}"
            row[f"Batch {batch}, ms"] = f"{given['median']:.3f} ({quartiles})"
            row[f"Batch {batch}, × faster"] = f"{whole['median'] / given['median']:.2f}"
        rows.append(row)
    head = (
        f"{machine(result)}. ONNX Runtime, one thread, 32×32 pixels, 100 classes; medians and"
        f" quartiles of {result['repeats']} calls, all files of a network by turns. Pruned evenly,"
        " in multiples of 8 channels. Exits: the chain of files up to one, with its heads."
    )
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


def grouped(result: dict[str, Any]) -> str:
    """A row for each network: milliseconds of a step, and how many times faster than float32."""
    rows = [
        {
            "Network": f"{result['network']}, width {row['width']}",
            "Exits": row["exits"],
            "float32, ms": f"{row['float32']:.1f}",
            "bfloat16, ms": f"{row['bfloat16']:.1f}",
            "× faster": f"{row['float32'] / row['bfloat16']:.2f}",
            "bfloat16, in groups too, ms": f"{row['bfloat16, all of it']:.1f}",
            "× faster than float32": f"{row['float32'] / row['bfloat16, all of it']:.2f}",
        }
        for row in result["rows"]
    ]
    head = (
        f"{machine(result)}. Forward and backward, batch {BATCH}. Ours computes strided"
        " convolutions in groups (the exits' heads have them) in float32."
    )
    return f"{head}\n\n{markdown(pd.DataFrame(rows))}"


SECTIONS = {
    "throughput": ("Throughput of one distillation step", throughput),
    "methods": ("One step of each method", methods),
    "grouped": ("A step of exits in bfloat16", grouped),
    "scaling": ("Growth", scaling),
    "shipping": ("What ships: whole, pruned, eight bits, early exits", shipping),
    "pipeline": ("The default study", pipeline),
    "forecast": ("The forecast, and what came", forecast),
}


def page() -> str:
    """The README, from all results that are there."""
    template = (FOLDER / "README.template.md").read_text(encoding="utf-8")
    parts = [template.strip()]
    for name, (title, make) in SECTIONS.items():
        for file in sorted((FOLDER / "results").glob(f"{name}*.json")):
            section = make(json.loads(file.read_text(encoding="utf-8")))
            parts.append(f"## {title}\n\n{section.strip()}")
    compared = FOLDER / "results/loops.csv"
    if compared.exists():
        parts.append(f"## Are the loops equal?\n\n{loops(pd.read_csv(compared)).strip()}")
    return "\n\n".join(parts) + "\n"


TRUTHS = {
    "difference": "a difference of {truth:g} points, sd {sd:g}",
    "difference, published": "a difference of {truth:g} points, 1.5 published, sd {sd:g}",
    "above": "a level of {truth:g}× against 3×, sd of its logarithm {sd:g}",
    "above, paired": "a difference of {truth:g} points against 1, sd {sd:g}",
    "halved": "{truth:g} of a harm of {level:g}× is left, sd of the logarithm {sd:g}",
    "below": "a difference of {truth:g} points, sd {sd:g}",
}
"""Rule of ``verdicts.py`` → a scenario's truth in words."""


def _by_seeds(outcomes: list[dict[str, Any]], columns: dict[str, str], share: str) -> str:
    """A row per truth: a share of the studies at each number of seeds."""
    table: dict[tuple[str, str, str], dict[str, str]] = {}
    for outcome in outcomes:
        truth = TRUTHS[outcome["rule"]].format(**outcome)
        row = table.setdefault((outcome["rule"], truth, " or ".join(outcome["wrong"])), {})
        value = outcome["false"] if share == "false" else outcome["shares"].get(share, 0.0)
        row[f"{outcome['n']} seeds"] = f"{100 * value:.1f} %"
    rows = [
        {columns["rule"]: rule, columns["truth"]: truth}
        | ({columns["wrong"]: wrong} if wrong else {})
        | shares
        for (rule, truth, wrong), shares in sorted(table.items(), key=lambda item: item[0][0])
    ]
    return markdown(pd.DataFrame(rows))


def verdicts() -> str:
    """``docs/verdicts.md``: how verdicts are made, how often they are wrong, what they find."""
    template = (FOLDER / "verdicts.template.md").read_text(encoding="utf-8").strip()
    outcomes = json.loads((FOLDER / "results/verdicts.json").read_text(encoding="utf-8"))
    columns = {"rule": "Rule", "truth": "Truth", "wrong": "False here"}
    false = [outcome for outcome in outcomes if outcome["wrong"]]
    real = [outcome for outcome in outcomes if not outcome["wrong"]]
    counts = " and ".join(f"{part[0]['studies']:,}" for part in (false, real))
    return "\n\n".join(
        [
            template,
            _by_seeds(false, columns, "false").strip(),
            "## What is found",
            "The share of studies whose verdict is *reproduced*, by the size of what is there.",
            _by_seeds(real, columns, "reproduced").strip(),
            f"{counts} studies of each truth and number of seeds; one claim is tested in each.\n",
        ]
    )


def main() -> None:
    """Write them."""
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
    (FOLDER.parent / "docs/verdicts.md").write_text(verdicts(), encoding="utf-8")


if __name__ == "__main__":
    main()
