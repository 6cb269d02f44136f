"""Every script of the analysis on a finished study in which one file is hostile: it does its work,
or ends in one line that names the file; never in a traceback, and it waits for nothing."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile import Damage, csv_damages, json_damages, places

from stagewise.analysis.records.study import Study

PLAN, SUMMARY = ("--plan", "plan.json"), ("--summary", "summary.csv")
MAPS = ("--gradcam", "gradcam.csv")
MEASURED = ("--latency", "latency.csv", *MAPS)
COMMANDS = {
    "evaluate": (*PLAN, "--out", "out/evaluation.csv"),
    "summarise": (
        *(*PLAN, "--evaluation", "evaluation.csv", "--out", "out/summary.csv"),
        *("--metrics", "out/metrics.json"),
    ),
    "claims": (*PLAN, *SUMMARY, "--out", "out/claims.csv"),
    "tables": (*PLAN, *SUMMARY, *MEASURED, "--out", "out/tables", "--guide", "out/README.md"),
    "figures": (*PLAN, *SUMMARY, *MAPS, "--out", "out/figures", "--dpi", "20"),
    "report": (
        *(*PLAN, *SUMMARY, *MEASURED, "--claims", "claims.csv", "--figures", "figures"),
        *("--out", "out/report.html"),
    ),
    "headline": ("--claims", "claims.csv", "--report", "report.html"),
    "equivalence": (
        *("--first", "summary.csv", "--second", "other.csv", "--margin", "2"),
        *("--out", "out/equivalence.csv"),
    ),
    "evidence": ("--results", ".", "--evidence", "out/evidence", "--command", "snakemake"),
    "readme": (
        *("--results", ".", "--evidence", "out/evidence", "--readme", "page.md"),
        *("--gallery", "out/gallery.md", "--config", "study.yaml"),
    ),
}
"""Script → its arguments, in the folder of a finished study."""
RUN = "runs/toy/two_stage/vgg.kd/seed-0"
READERS = {
    "plan.json": ("evaluate", "summarise", "claims", "tables", "report", "evidence"),
    f"{RUN}/record.json": ("evaluate", "summarise", "report", "evidence"),
    f"{RUN}/timing.json": ("report", "evidence"),
    f"{RUN}/logits.npz": ("evaluate", "reliability"),
    f"{RUN}/history.csv": ("learning",),
    f"{RUN}/shock.csv": ("claims", "tables", "shock"),
    "evaluation.csv": ("summarise",),
    "summary.csv": ("claims", "tables", "compression", "report", "equivalence"),
    "latency.csv": ("tables", "report"),
    "gradcam.csv": ("tables", "gradcam", "report"),
    "gradcam.npz": ("gradcam",),
    "claims.csv": ("report", "headline", "evidence", "readme"),
    "figures/exits.svg": ("report", "evidence"),
    "tables/study.md": ("evidence", "readme"),
    "tables/accuracy.md": ("evidence",),
    "page.md": ("readme",),
    "study.yaml": ("readme",),
}
"""File → the scripts, or figures, that read it."""
PAIRS = [(file, reader) for file, readers in READERS.items() for reader in readers]
FEW = 5
"""Hostile contents that a test tries of each file, beside everything that is no such file."""

SMALL = {
    "seeds": (0, 1),
    "claims_tested": ["A1", "A4", "B1a", "B1b", "B4"],
    "pairs": {"vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}},
    "distillation": {"pairs": ["vgg"], "methods": ["kd"]},
    "two_stage": {"pairs": ["vgg"]},
    "multi_exit": {"pairs": ["vgg"]},
    "pruning": [{"pair": "vgg", "ratios": [2], "recover": ["kd"]}],
}
TIMING = '{"total_seconds": 1.5, "device": "x86", "python": "3.11", "torch": "2"}'
PAGE = "<!-- results:start -->\n<!-- results:end -->\n"
STUDY = """study: toy
data: {source: digits}
pairs: {vgg: {teacher: {network: vgg13}, student: {network: vgg8}}}
"""
RunScript = Callable[..., None]


def kinds(file: Path) -> dict[str, Damage]:
    """All hostile contents of a file, by name."""
    more: Iterator[tuple[str, Damage]] = iter(())
    if file.suffix == ".json":
        more = json_damages(file)
    elif file.suffix == ".csv":
        more = csv_damages(file)
    return dict(more)


@pytest.fixture(scope="module")
def finished(
    study_writer: Callable[..., Study],
    gradcam_writer: Callable[..., Path],
    run_script: RunScript,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A small study with all its results; a test puts back what it changes."""
    folder = tmp_path_factory.mktemp("hostile")
    gradcam_writer(folder, study_writer(folder, **SMALL).config)
    (folder / RUN / "timing.json").write_text(TIMING)
    (folder / "page.md").write_text(PAGE)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "latency.csv").write_text("arm,batch,milliseconds\nstudents/vgg.baseline,1,0.5\n")
    for name, arguments in COMMANDS.items():
        run_script(folder, name, *arguments)
        if name not in ("evidence", "readme"):
            for made in folder.glob("out/*"):
                made.replace(folder / made.name)
        if name == "summarise":
            shutil.copy(folder / "summary.csv", folder / "other.csv")
    shutil.rmtree(folder / "out")
    return folder


def told(run_script: RunScript, folder: Path, reader: str, file: str) -> str:
    """What a script says of a hostile file; empty where it takes it."""
    script = reader if reader in COMMANDS else "figures"
    more = () if reader in COMMANDS else ("--name", reader)
    try:
        run_script(folder, script, *COMMANDS[script], *more)
    except SystemExit as end:
        said = str(end.code)
        assert said.startswith("error: "), said[:1000]
        assert len(said.splitlines()) == 1, said[:1000]
        assert len(said) < 2000
        said.encode()
        # A hostile plan may ask for what the records are not: these are named.
        named = [Path(file).name, RUN if file.startswith(RUN) else "the plan says"]
        assert any(name in said for name in named), said
        return said
    return ""


def put_back(file: Path, content: bytes) -> None:
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(content)


@pytest.mark.parametrize(("file", "reader"), PAIRS)
def test_a_hostile_file_is_taken_or_refused_in_a_line(
    file: str, reader: str, finished: Path, run_script: RunScript
) -> None:
    path, page = finished / file, finished / "page.md"
    content, text = path.read_bytes(), page.read_bytes()
    some = kinds(path)
    drawn = random.Random(f"{file} {reader}").sample([*some], min(FEW, len(some)))
    for name, damage in {**places(path), **{name: some[name] for name in drawn}}.items():
        damage(path)
        try:
            said = told(run_script, finished, reader, file)
            if name in ("a folder", "a pipe", "a device"):
                assert said, name
        except BaseException as error:
            error.add_note(f"{reader}: {file}: {name}")
            raise
        finally:
            put_back(path, content)
            put_back(page, text)
            shutil.rmtree(finished / "out", ignore_errors=True)


def test_a_text_of_50_mb_is_refused(finished: Path, run_script: RunScript) -> None:
    for file, reader in (("plan.json", "claims"), (f"{RUN}/record.json", "evaluate")):
        content = (finished / file).read_bytes()
        (finished / file).write_bytes(b'{"title": "' + b"x" * 50_000_000 + b'"}')
        assert told(run_script, finished, reader, file), file
        put_back(finished / file, content)
