"""A synthetic study on disk: the digits plan with made-up records, logits and logs."""

import json
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.results import Results, read_results
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.gradcam import SMALLEST, picture
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import summarise
from stagewise.study.config import resolve_config
from stagewise.study.gradcam import compared
from stagewise.study.plan import make_plan
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import TrainSpec

SCRIPTS = Path(__file__).parents[2] / "scripts"
IMAGES, CLASSES, EXITS = 200, 10, 3
CONFIG: dict[str, Any] = {
    "study": "toy",
    "title": "A synthetic study",
    "claims_tested": ["A4", "A5a", "A5b", "B1a", "B1b", "B2", "B4"],
    "data": {"source": "digits", "source_classes": [0, 1, 2, 3, 4]},
    "pairs": {
        "resnet": {
            "teacher": {"network": "resnet14"},
            "student": {"network": "resnet8"},
            "wide": {"network": "resnet8", "width": 17},
        },
        "vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}},
    },
    "methods": {"kd": {}},
    "distillation": {"pairs": ["resnet", "vgg"], "methods": ["kd"]},
    "two_stage": {"pairs": ["resnet"]},
    "multi_exit": {"pairs": ["resnet"], "controls": ["wide", "twice"]},
    "pruning": [
        {
            "pair": "resnet",
            "ratios": [2, 4],
            "recover": ["bn", "ce", "kd", "two_stage_kd", "scratch_kd"],
        },
        {"pair": "resnet", "criterion": "random", "ratios": [2]},
        {"pair": "resnet", "chain": "two_stage", "ratios": [2]},
        {"pair": "vgg", "ratios": [2]},
    ],
}

Accuracy = Callable[[str], float]


def made_logits(rng: np.random.Generator, labels: np.ndarray, accuracy: float) -> np.ndarray:
    """(images, classes) float32 logits of which ``accuracy`` percent, rounded, are right."""
    logits = rng.normal(0, 0.7, (len(labels), CLASSES)).astype(np.float32)
    right = np.zeros(len(labels), bool)
    right[: round(accuracy / 100 * len(labels))] = True
    rng.shuffle(right)
    top = np.where(right, labels, (labels + 1) % CLASSES)
    logits[np.arange(len(labels)), top] = logits.max(axis=1) + 1.5
    return logits


def made_costs(names: list[str], macs: int) -> list[dict[str, Any]]:
    """Costs of outputs: exit k of K does k/K of the work, and a tenth for its head where it is not
    the last; exits before it have cost their heads."""
    exits = max(len(names) - 1, 1)
    rows = []
    for number, name in enumerate(names, start=1):
        depth, heads = macs * min(number, exits) // exits, macs // 10
        alone = depth + (heads if number < exits else 0)
        passed = depth + heads * min(number, exits - 1)
        alone = passed if name == "ensemble" else alone
        cost = {"exit": name, "parameters": alone // 50, "macs": alone}
        cost |= {"cumulative_parameters": passed // 50, "cumulative_macs": passed}
        rows.append(cost)
    return rows


def write_run(
    root: Path, run: PlannedRun, accuracy: float, seed: int, noise: float, held_out: bool = True
) -> None:
    """One run folder as the trainer would leave it; ``noise``: sd over seeds in points,
    ``held_out``: whether there are validation images."""
    row = {"path": run.path, "step": run.step, "name": run.name, **run.labels}
    folder = root / row["path"]
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *row["path"].encode()])
    exits = EXITS if getattr(run.spec, "exits", "") else 1
    labels = np.random.default_rng(7).integers(0, CLASSES, IMAGES)
    level = accuracy + rng.normal(0, noise) if noise else accuracy
    splits: dict[str, np.ndarray] = {}
    for split in ("validation", "test") if held_out else ("test",):
        drops = [2.0 * (exits - 1 - k) for k in range(exits)]
        splits[split] = np.stack([made_logits(rng, labels, level - drop) for drop in drops])
        splits[f"{split}_labels"] = labels
    np.savez(folder / "logits.npz", **splits)
    macs = int(4_000_000 / row.get("ratio", 1.0)) * (4 if row.get("network") == "teacher" else 1)
    names = ["final"] if exits == 1 else [*map(str, range(1, exits + 1)), "ensemble"]
    record = {
        "spec": run.spec.written(),
        "settings": run.spec.settings(),
        "parents": {k: {"path": p, "sha256": "b" * 64} for k, p in run.parents.items()},
        "data_sha256": "d" * 64,
        "model_sha256": "b" * 64,
        "code": "c" * 12,
        "classes": [str(c) for c in range(CLASSES)],
        "costs": made_costs(names, macs),
        "file_bytes": macs // 10,
        "final": {"train_loss": 0.1, "test_accuracy": level}
        | {"validation_accuracy": level if held_out else None},
        "protocol": {
            "selection": "last epoch",
            "epochs": 100,
            "dtype": "float32",
            "device": "cpu",
            "threads": 1,
        },
    }
    (folder / "record.json").write_text(json.dumps(record))
    epochs = np.arange(1, 101)
    curve = np.where(held_out & (epochs % 25 == 0), level - 40 * np.exp(-epochs / 20), np.nan)
    history = pd.DataFrame(
        {"epoch": epochs, "phase": "all", "lr": 0.05, "train_loss": 1 / epochs}
    ).assign(train_accuracy=level, validation_accuracy=curve, validation_loss=0.3, ce=0.2)
    history.to_csv(folder / "history.csv", index=False)
    if getattr(run.spec, "observers", ()):
        write_shock(folder, rng, "one-stage" in row["name"])


def write_shock(folder: Path, rng: np.random.Generator, shaken: bool) -> None:
    """A shock log with a ratio of about 8 (shaken) or 2, and a probe that is 4 points lower or 1
    lower at step 50."""
    steps = np.array([*range(21), 50, *range(90, 101)])
    peak, fall = (8.0, 4.0) if shaken else (2.0, 1.0)
    shape = np.exp(-steps / 8)
    dip = fall + rng.normal(0, 0.2)
    log = pd.DataFrame(
        {
            "step": steps,
            "phase": "all",
            "lr": 0.05,
            "displacement": 0.3 * (1 - shape),
            "cka_stage1": 1 - 0.1 * (1 - shape),
            "cka_stage2": 1 - 0.3 * (1 - shape),
            "validation_loss": 1.0,
            "update": 0.01 * (1 + (peak - 1) * shape),
        }
    )
    gradient = 1 + (peak - 1) * shape + rng.normal(0, 0.02, len(steps))
    probe = 90 - dip * np.exp(-((steps - 50) ** 2) / 40)
    for kind, lag in (("_batch", 1), ("", 3)):  # running statistics make both larger
        log[f"g_backbone{kind}"] = gradient**lag
        log[f"probe_accuracy{kind}"] = 90 + lag * (probe - 90)
        log[f"cka_stage2{kind}"] = 1 - 0.1 * lag * (1 - shape)
        features = log["step"].isin([0, 1, 2, 5, 10, 20, 50, 100])
        log.loc[~features, [f"probe_accuracy{kind}", f"cka_stage2{kind}"]] = np.nan
    log.to_csv(folder / "shock.csv", index=False)


def write_gradcam(root: Path, config: dict[str, Any], side: int = 16) -> Path:
    """``gradcam.csv`` and ``gradcam.npz`` of a study: exit k has maps of ``side`` / 2^(k-1) pixels,
    students without exits those of the last; taught ones are nearer to the teacher's."""
    plan = make_plan(resolve_config(config))
    rng, rows = np.random.default_rng(5), []
    images = rng.integers(0, 256, (4, 1, side, side)).astype(np.uint8)
    pictures: dict[str, Any] = {"images": images}
    for path, teacher in compared(plan).items():
        run = plan.runs[path]
        assert isinstance(run.spec, TrainSpec)
        outputs = [*map(str, range(1, EXITS + 1))] if run.spec.exits else ["final"]
        for output in outputs:
            place = EXITS if output == "final" else int(output)
            pixels = side >> (place - 1)
            row = {"path": path, "exit": output, "side": pixels, "teacher": teacher}
            row |= {"teacher_exit": str(place), "teacher_side": pixels, "images": 0}
            if pixels >= SMALLEST:
                taught = 0.2 if run.labels["method"] not in ("ce", "exits_ce") else 0.0
                rho = 0.5 + taught + rng.normal(0, 0.02)
                row |= {"images": 190 + place, "spearman": rho, "overlap": rho / 2}
                if run.seed == config["seeds"][0]:
                    for name in (picture(path, output), picture(teacher, str(place))):
                        maps = rng.integers(0, 256, (4, side, side)).astype(np.uint8)
                        pictures.setdefault(name, maps)
            rows.append(row)
    pd.DataFrame(rows).to_csv(root / "gradcam.csv", index=False)
    np.savez(root / "gradcam.npz", **pictures)
    return root / "gradcam.csv"


@pytest.fixture(scope="session")
def gradcam_writer() -> Callable[..., Path]:
    """``write_gradcam``."""
    return write_gradcam


def usual(arm: str) -> float:
    """Accuracies, percent, of a study in which all is as the papers say, roughly."""
    if arm.startswith("teachers"):
        return 97.0
    if arm.startswith("pruning"):
        return 45.0
    if arm.endswith(".bn"):
        return 70.0
    learned = 3.0 if "kd" in arm or "oto" in arm or "mskd" in arm else 0.0
    return 88.0 + learned - (1.5 if "4x" in arm else 0.0)


def at_rates(runs: Iterable[PlannedRun], rates: Iterable[float]) -> Iterator[PlannedRun]:
    """The students that log the shock, at each rate."""
    students = [run for run in runs if run.step != "recovery"]
    logging = [run for run in students if isinstance(run.spec, TrainSpec) and run.spec.observers]
    for rate in rates:
        for run in logging:
            spec = replace(run.spec, training=replace(run.spec.training, lr=rate))
            labels = {**run.labels, "common_rate": rate}
            yield replace(run, arm=f"{run.arm}.lr-{rate:g}", spec=spec, labels=labels)


def write_study(
    root: Path,
    accuracy: Accuracy = usual,
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5),
    noise: float = 0.6,
    draw: int = 0,
    common_rates: tuple[float, ...] = (),
    **changes: Any,
) -> Study:
    """Write a study and read its plan: ``accuracy`` by arm, percent; ``changes`` to the config;
    ``common_rates`` at which the arms that log the shock are repeated."""
    config = resolve_config({**CONFIG, "seeds": list(seeds), **changes})
    study = make_plan(config)
    study.runs.update({run.path: run for run in at_rates(study.runs.values(), common_rates)})
    for run in study.runs.values():
        held_out = config.data.validation > 0
        write_run(root, run, accuracy(run.arm), draw, noise, held_out)
    (root / "plan.json").write_text(json.dumps(study.written()))
    return read_study(root / "plan.json", root)


@pytest.fixture(scope="session")
def study_writer() -> Callable[..., Study]:
    """``write_study`` into a folder that is shared."""
    return write_study


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """``write_study`` into the test's own folder."""
    return partial(write_study, tmp_path)


@pytest.fixture
def make_results(make_study: Callable[..., Study]) -> Callable[..., Results]:
    """The same, evaluated and summarised."""

    def make(*args: Any, **options: Any) -> Results:
        study = make_study(*args, **options)
        return Results(study, summarise(study, evaluate(study)))

    return make


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A study of three chains of pruning in one pair, with two families of rates, where every
    network was timed and its training counted. Shared by all tests: change nothing."""
    blocks = [{"pair": "resnet", "ratios": [2, 4], "recover": ["ce", "kd", "scratch_ce"]}]
    blocks += [{**blocks[0], "chain": name, "ratios": [2]} for name in ("pretrained", "two_stage")]
    probed = ["kd", "two_stage_kd"]
    blocks[2] |= {"recover": [*blocks[2]["recover"], "two_stage_kd"], "probe": probed}
    study = write_study(
        tmp_path_factory.mktemp("hybrid"),
        seeds=(0, 1),
        pairs={"resnet": CONFIG["pairs"]["resnet"]},
        distillation={"pairs": ["resnet"], "methods": ["kd", "at"]},
        multi_exit={},
        pruning=blocks,
        recovery={"families": {"low": {"lr": 0.01}}, "dense": ["ce", "kd", "kd_throughout"]},
    )
    summary = summarise(study, evaluate(study)).assign(training_macs=1000.0, teacher_macs=10.0)
    timed = summary.drop_duplicates("arm")[["arm", "macs"]].assign(batch=1, exit="final")
    return Results(study, summary, timed.assign(milliseconds=timed["macs"] / 1e6))


def script(folder: Path, name: str, *arguments: str) -> None:
    """Run a script in this process, in ``folder``; raises ``SystemExit`` where it fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise


@pytest.fixture(scope="session")
def run_script() -> Callable[..., None]:
    """``script`` for tests."""
    return script


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a study with every step, taken by the scripts from its plan to its report.

    Shared by all tests: read it, change nothing.
    """
    folder = tmp_path_factory.mktemp("published")
    study = write_study(folder, title="<script>alert(1)</script>", common_rates=(0.05, 0.1))
    write_gradcam(folder, study.config)
    latency = "arm,batch,milliseconds\nstudents/vgg.baseline,1,0.5\nstudents/vgg.baseline,128,9\n"
    (folder / "latency.csv").write_text(latency)
    plan, summary = ("--plan", "plan.json"), ("--summary", "summary.csv")
    maps = ("--gradcam", "gradcam.csv")
    measured = ("--latency", "latency.csv", *maps)
    made = ("--evaluation", "evaluation.csv", "--out", "summary.csv", "--metrics", "metrics.json")
    drawn = ("--claims", "claims.csv", "--figures", "figures", "--out", "report.html")
    script(folder, "evaluate", *plan, "--out", "evaluation.csv")
    script(folder, "summarise", *plan, *made)
    script(folder, "claims", *plan, *summary, "--out", "claims.csv")
    script(folder, "tables", *plan, *summary, *measured, "--out", "tables", "--guide", "README.md")
    script(folder, "figures", *plan, *summary, *measured, "--out", "figures")
    script(folder, "report", *plan, *summary, *measured, *drawn)
    return folder


@pytest.fixture
def results(published: Path) -> Results:
    """That study, as the later scripts read it back."""
    files = published / "plan.json", published, published / "summary.csv"
    return read_results(*files, gradcam=published / "gradcam.csv")
