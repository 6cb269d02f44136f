"""The pipeline end to end on the smoke study, and what reruns after an edit."""

import csv
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from stagewise import catalogue

TOY_METHOD = '''"""A toy: a linear layer leads the student's pooled vector to the teacher's."""

from torch import nn
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.methods.base import DistillationMethod, Losses, Setup, label_loss
from stagewise.models.features import Batch, Features

NEEDS = Needs(teacher=True, teacher_pooled=True)
WEIGHTS = {"ce": 1.0, "distance": 0.01}


class Method(DistillationMethod):
    """L = CE + w * |r(f_s) - f_t|^2."""

    def __init__(self, setup: Setup, *, scale: float = 1.0) -> None:
        super().__init__(setup)
        self.scale = scale
        self.regressor = nn.Linear(setup.student.pooled.shape[1], setup.teacher.pooled.shape[1])

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """Both terms."""
        assert teacher is not None
        led = self.scale * self.regressor(student.pooled)
        return {
            "ce": label_loss(student.logits, batch.target),
            "distance": mse_loss(led, teacher.pooled),
        }
'''


def test_every_step_leaves_its_files(finished):
    results = finished.folder / "results/smoke"
    plan = json.loads((results / "plan.json").read_text())
    steps = {run["step"] for run in plan["runs"]}
    assert steps == {
        "pretraining", "teachers", "students", "distillation", "two_stage", "multi_exit",
        "pruning", "recovery",
    }  # fmt: skip
    for run in plan["runs"]:
        folder = finished.folder / run["path"]
        names = {path.name for path in folder.iterdir()}
        assert {"model.safetensors", "record.json", "logits.npz", "timing.json"} <= names
    with open(results / "summary.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["arm"] for row in rows} == {run["arm"] for run in plan["runs"]}
    assert {"1", "2", "3", "ensemble"} <= {r["exit"] for r in rows if r["step"] == "multi_exit"}
    assert "<html" in (results / "report.html").read_text()
    assert (results / "claims.csv").stat().st_size > 0


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("-n")


def test_touched_files_and_reformatted_sources_rerun_nothing(project):
    for path in (project.folder / "runs").rglob("model.safetensors"):
        path.touch()
    for name in ("kd.py", "base.py"):
        file = project.folder / "src/stagewise/methods" / name
        file.write_text(file.read_text() + "\n\n# a comment\n")
    config = project.folder / "config/smoke.yaml"
    lines = config.read_text().splitlines()
    moved = [line for line in lines if line.startswith("seeds:")]
    others = [line for line in lines if not line.startswith(("seeds:", "#"))]
    config.write_text("\n".join([*others, "# moved", *moved]) + "\n")
    assert "Nothing to be done" in project.snakemake("-n")


def test_a_methods_setting_reruns_that_methods_runs(project):
    with open(project.folder / "config/smoke.yaml", "a") as config:
        config.write("methods: {kd: {temperature: 2.0}}\n")
    training = {line for line in project.planned() if "seed" in line}
    assert training == {
        "Distillation resnet.kd, seed 0",
        "Two stages resnet.kd, seed 0",
        "Two stages resnet.one-stage.kd, seed 0",
        "Recovery resnet.baseline.dense.kd, seed 0",
        "Recovery resnet.baseline.l2-2x.two_stage_kd, seed 0",
    }


def test_another_seed_adds_runs_and_repeats_none(project):
    project.replace("config/smoke.yaml", "seeds: [0]", "seeds: [0, 1]")
    training = {line for line in project.planned() if "seed" in line}
    assert training
    assert all(line.endswith("seed 1") for line in training)


def test_an_edit_of_one_method_reruns_only_its_runs(project):
    project.replace(
        "src/stagewise/methods/oto.py", "if len(partners) !=", "if 0 + len(partners) !="
    )
    training = {line for line in project.planned() if "seed" in line}
    assert training == {"Multi-exit resnet.oto, seed 0"}


def test_another_ratio_or_pair_adds_runs_and_repeats_none(project):
    project.replace("config/smoke.yaml", "ratios: [2]", "ratios: [2, 3]")
    project.replace(
        "config/smoke.yaml",
        "training: {epochs: 2,",
        "  vgg:\n    teacher: {network: vgg13, width: 4}\n"
        "    student: {network: vgg8, width: 4}\ntraining: {epochs: 2,",
    )
    training = {line for line in project.planned() if "seed" in line}
    assert training == {
        "Teacher vgg, seed 0",
        "Student vgg.baseline, seed 0",
        "Student vgg.large, seed 0",
        "Pruning resnet.baseline.l2-3x, seed 0",
        "Recovery resnet.baseline.l2-3x.two_stage_kd, seed 0",
    }


def test_an_edit_of_the_trainer_reruns_all_training(project):
    project.replace("src/stagewise/training/trainer.py", "SAVE_SECONDS = 1.0", "SAVE_SECONDS = 2.0")
    jobs = project.planned()
    plan = json.loads((project.folder / "results/smoke/plan.json").read_text())
    assert len({job for job in jobs if "seed" in job}) == len(plan["runs"])
    assert not any(job.startswith("Data") for job in jobs)


def test_an_edit_of_planning_renews_the_plan_and_trains_nothing(project):
    project.replace(
        "src/stagewise/study/steps/two_stage.py", 'f"two-stage {method}"', 'f"{method} in two"'
    )
    jobs = project.planned()
    assert {"Plan of smoke", "Evaluation of all runs", "Report"} <= jobs
    assert not any("seed" in job for job in jobs)


def test_an_edit_of_one_figure_redraws_that_figure(project):
    project.replace("src/stagewise/analysis/figures/exits.py", "panels([2.5]", "panels([2.7]")
    assert project.planned() == {"Figure exits", "Report"}


def test_an_edit_of_one_table_makes_tables_and_report_again(project):
    project.replace("src/stagewise/analysis/tables/exits.py", "from shallow", "From shallow")
    assert project.planned() == {"Tables", "Report"}


OWN_CLAIM = {
    **{"id": "X1", "title": "KD helps", "wording": "KD beats the student alone."},
    **{"holds": "KD beat the student alone", "fails": "KD beat nobody", "open": "whether KD"},
    "chapter": "comparison",
    "contrasts": [
        {
            **{"name": "KD − alone", "role": "headline", "rule": "difference"},
            "treatment": {"arm": "distillation/{pair}.kd"},
            "control": {"arm": "students/{pair}.baseline"},
        }
    ],
}


@pytest.mark.parametrize("whose", ["the papers'", "the study's own"])
def test_an_edit_of_claims_touches_verdicts_differences_and_report(project, whose):
    if whose == "the papers'":
        project.replace("src/stagewise/papers/claims.yaml", "title: ", "title:  ")
    else:
        with open(project.folder / "config/smoke.yaml", "a") as config:
            config.write(f"claims: {json.dumps([OWN_CLAIM])}\n")
    assert project.planned() == {"Verdicts", "Figure differences", "Report"}


def test_a_dry_run_does_not_print_the_config(project):
    project.replace("config/smoke.yaml", "latency_repeats: 3", "latency_repeats: 4")
    text = project.snakemake("-n")
    assert "Plan of smoke" in text
    assert "latency_repeats" not in text


def test_git_checkout_back_and_forth_reruns_nothing(project):
    commit = "git -c user.name=T -c user.email=t@example.org commit -q"
    for command in (
        "git init -q && git add Snakefile config config.yaml scripts src workflow profiles",
        f"{commit} -m one",
        "echo '# more' >> src/stagewise/methods/oto.py",
        f"{commit} -am two",
        "git checkout -q HEAD~1",
        "git checkout -q -",
    ):
        project.run("bash", "-c", command)
    assert "Nothing to be done" in project.snakemake("-n")


def test_figures_are_redrawn_from_records_without_torch(project):
    for weights in (project.folder / "runs").rglob("*.safetensors"):
        weights.unlink()
    shutil.rmtree(project.folder / "data")
    drawn = {path: path.read_bytes() for path in (project.folder / "results").rglob("*.svg")}
    assert drawn
    for path in drawn:
        path.unlink()
    broken = project.folder / "no-torch/torch.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('figures must not need torch')")
    path = f"{broken.parent}:{project.folder / 'src'}"
    command = ("snakemake", "figures", "--configfile", "config/smoke.yaml")
    project.run("env", f"PYTHONPATH={path}", *command)
    assert {path: path.read_bytes() for path in drawn} == drawn


def test_a_figure_setting_reruns_only_figures(project):
    with open(project.folder / "config/smoke.yaml", "a") as config:
        config.write("figures: {dpi: 90}\n")
    jobs = project.planned()
    assert jobs
    assert all(job.startswith(("Figure", "Report")) for job in jobs)


def test_a_method_is_one_file_and_one_config_line(project):
    (project.folder / "src/stagewise/methods/toy.py").write_text(TOY_METHOD)
    project.replace("config/smoke.yaml", "methods: [kd]}", "methods: [kd, toy]}")
    record = "runs/smoke/distillation/resnet.toy/seed-0/record.json"
    project.snakemake(record)
    written = json.loads((project.folder / record).read_text())
    assert written["spec"]["method"] == {"method": "toy"}
    assert written["settings"]["method"] == {"method": "toy", "scale": 1.0}
    assert written["settings"]["weights"] == {"ce": 1.0, "distance": 0.01}
    assert "Plan of smoke" in project.planned()
    training = {line for line in project.planned() if "seed" in line}
    assert training == set()


def test_bad_input_is_refused_before_any_job(project):
    project.replace("config/smoke.yaml", "methods: [kd]}", "methods: [kdd]}")
    text = project.snakemake("-n", check=False)
    assert "config/smoke.yaml: distillation.methods.0: 'kdd' is unknown; did you mean 'kd'?" in text
    assert "Traceback" not in text


def test_snakemakes_linter_is_content(finished):
    assert "good condition" in finished.snakemake("--lint")


def test_targets_are_documented(finished):
    listed = finished.snakemake("--list")
    for target in (
        "data", "teachers", "students", "distillation", "multi_exit", "pruning", "recovery",
        "tables", "figures", "claims", "report", "forecast",
    ):  # fmt: skip
        assert f"\n{target} (Target:" in listed


def test_snakemakes_own_report_holds_every_result(finished, tmp_path):
    page = tmp_path / "report.zip"
    finished.snakemake("--report", str(page))
    with zipfile.ZipFile(page) as archive:
        text = archive.read("report/report.html").decode()
        files = {Path(name).name for name in archive.namelist()}
    read = json.JSONDecoder().raw_decode
    shown = read(text, text.index("{", text.index("var results = {")))[0].values()
    categories = read(text, text.index("{", text.index("var categories = {")))[0]
    assert categories.keys() == {"Figures", "Tables", "Claims", "Report"}
    labels = [json.dumps(result["labels"], sort_keys=True) for result in shown]
    assert len(labels) == len(set(labels)), "labels tell results apart"
    drawn = {(r["labels"]["figure"], r["labels"]["form"]) for r in shown if "form" in r["labels"]}
    assert drawn == {(name, form) for name in catalogue.figures() for form in ("SVG", "PDF")}
    assert {"report.html", "claims.csv", "latency.csv", "summary.csv", "accuracy.csv"} <= files
    for result in shown:
        assert "smoke" in result["caption"]
        assert "{" not in result["caption"]
    assert any("95 % t interval (n = 1 seed" in result["caption"] for result in shown)


def test_the_default_study_plans_every_kind_of_step():
    from stagewise.study.config import load_config
    from stagewise.study.plan import make_plan

    plan = make_plan(load_config(Path(__file__).resolve().parents[2] / "config.yaml"))
    assert len(plan.config.seeds) == 6
    arms = {run.arm for run in plan.runs.values()}
    wanted = {
        f"recovery/resnet.baseline.l2-{ratio}x.{arm}"
        for ratio in (2, 4)
        for arm in ("bn", "ce", "kd", "two_stage_kd", "scratch_kd")
    }
    for criterion in ("random", "l2"):
        pair = "resnet" if criterion == "random" else "vgg"
        wanted |= {
            f"recovery/{pair}.baseline.{criterion}-2x.{arm}" for arm in ("ce", "kd", "two_stage_kd")
        }
    wanted |= {
        f"recovery/resnet.two_stage.l2-{ratio}x.{arm}"
        for ratio in (2, 4)
        for arm in ("kd", "two_stage_kd")
    }
    wanted |= {"recovery/resnet.baseline.dense.kd", "students/resnet.pretrained"}
    wanted |= {"two_stage/resnet.kd", "two_stage/resnet.one-stage.kd", "multi_exit/resnet.oto"}
    assert wanted <= arms
