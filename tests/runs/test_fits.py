"""Methods that do not fit their networks, and ratios out of reach: found before anything trains."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT
from projects import copy_project

from stagewise.catalogue import method_needs, methods, teacher_part
from stagewise.runs.fits import misfits
from stagewise.study.config import load_config, resolve_config
from stagewise.study.images import DataSize, data_size
from stagewise.study.matching import match_key, matches
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan

SIZE = DataSize({"all": 4}, {"train": 40, "validation": 8, "test": 8}, {"all": None}, 3, 12)
PAIRS = {
    "vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}},
    "odd": {"teacher": {"network": "resnet8"}, "student": {"network": "resnet10-imagenet"}},
}


def plan(labels: list[str], taught: list[str], **changes: Any) -> Plan:
    given = {"study": "toy", "data": {"source": "digits"}, "pairs": PAIRS}
    step = {"pairs": taught, "methods": labels}
    return make_plan(resolve_config({**given, "distillation": step, **changes}))


def lines(labels: list[str], pairs: list[str]) -> list[str]:
    return list(misfits(plan(labels, pairs), SIZE))


def test_what_does_not_fit_is_named_with_its_arm() -> None:
    [line] = lines(["kd", "fitnet", "crd"], ["vgg", "odd"])
    assert line.startswith("distillation/odd.fitnet: hint: stage2: the student's map, 128 x 2 x 2")
    assert "choose another depth or pair" in line


def test_only_methods_with_maps_or_parts_of_a_teacher_are_built() -> None:
    found = matches(plan(["kd", "crd", "fitnet", "ft"], ["vgg"]))
    assert [run.arm for run in found] == ["distillation/vgg.fitnet", "distillation/vgg.ft"]


def pruning_lines(*blocks: dict[str, Any], **recovery: Any) -> tuple[list[str], list[str]]:
    """Arms that are looked at, and what is said, of pruning a ResNet-8."""
    student = {"network": "resnet8", "width": 8}
    pairs = {"p": {"teacher": {"network": "resnet14"}, "student": student}}
    given = [{"pair": "p", "recover": [], **block} for block in blocks]
    found = plan([], [], pairs=pairs, pruning=given, recovery=recovery)
    return [run.arm for run in matches(found)], list(misfits(found, SIZE))


def test_ratios_that_no_choice_of_channels_reaches_are_named_with_their_key() -> None:
    arms, [line] = pruning_lines({"ratios": [2, 4]}, {"criterion": "random", "ratios": [2, 12]})
    assert arms == [
        f"pruning/p.baseline.{shape}x" for shape in ("l2-2", "l2-4", "random-2", "random-12")
    ]
    assert line.startswith("pruning.1.ratios.1: 12 cannot be reached, as so many channels must")
    assert "(recovery.min_share, recovery.min_channels)" in line
    assert re.search(r"MACs fall by \d\.\d\d at most; let fewer stay, lower the ratio", line)


def test_a_tolerance_that_no_choice_of_channels_meets_is_named() -> None:
    _, [line] = pruning_lines({"ratios": [1.3], "round_to": 8}, tolerance=0.001)
    assert "pruning.0.ratios.0: 1.3 cannot be reached, as no numbers of channels come so" in line
    assert "recovery.tolerance: 0.001 asks; raise it to 0.01, or" in line


def test_layers_to_keep_must_be_there_and_lessen_what_can_be_reached() -> None:
    _, [line] = pruning_lines({"ratios": [2], "keep": ["stage9.*"]})
    assert line.startswith(
        "pruning.0.keep: 'stage9.*' fits no layer; names begin with stem, stage1"
    )
    assert pruning_lines({"ratios": [4]})[1] == []
    _, [line] = pruning_lines({"ratios": [4], "keep": ["stem*", "stage1*", "stage2*"]})
    assert "recovery.min_channels, keep) that MACs fall by" in line


def exits_lines(head: str = "sepatt", epochs: int = 9, **entry: Any) -> list[str]:
    """What does not fit of a method on exits, on a student of four and a teacher of three."""
    pairs = {"p": {"teacher": {"network": "resnet8"}, "student": {"network": "vgg8"}}}
    block = {"pairs": ["p"], "methods": ["named"], "head": head}
    found = plan(
        [],
        [],
        pairs=pairs,
        multi_exit=block,
        methods={"named": entry},
        training={"epochs": epochs},
    )
    return list(misfits(found, SIZE))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "mskd", "recipe": {"recipe": "phased"}}, ""),
        ({"method": "oto", "recipe": {"recipe": "gauss_seidel"}}, ""),
        ({"method": "tskd", "recipe": {"recipe": "mixed"}}, ""),
        (
            {"method": "mskd", "recipe": {"recipe": "phased"}, "epochs": 3},
            "recipe 'phased': 3 epochs cannot make a phase for each of 4 exits; give at least 4",
        ),
        ({"method": "tskd", "recipe": {"recipe": "gauss_seidel"}}, "choose another recipe"),
        ({"method": "tskd", "head": "linear"}, "multi_exit.head: the exits' features have"),
        ({"method": "mskd", "exit_weights": [1.0, 2.0]}, "the student has 4 exits; give one"),
        ({"method": "oto", "partners": [1, 2, 3, 4]}, "the teacher behind [1, 2, 3]; give 4 of"),
    ],
)
def test_methods_on_exits_and_their_schedules_are_built_too(
    given: dict[str, Any], said: str
) -> None:
    found = exits_lines(**given)
    assert len(found) == bool(said)
    assert all(line.startswith("multi_exit/p.named: ") and said in line for line in found)


def test_what_was_found_holds_for_these_networks_and_images_alone() -> None:
    def key(**changes: Any) -> str:
        made = plan(["fitnet"], ["vgg"], **changes)
        return match_key(made, matches(made))

    wider = {**PAIRS, "vgg": {**PAIRS["vgg"], "student": {"network": "vgg8", "width": 8}}}
    taught = {**PAIRS, "vgg": {**PAIRS["vgg"], "teacher": {"network": "vgg13", "width": 8}}}
    larger = {"source": "digits", "image_size": 16}
    keys = {key(), key(pairs=wider), key(pairs=taught), key(data=larger)}
    assert key() == key()
    assert len(keys) == 4


TAUGHT = sorted(
    name
    for name in methods()
    if (needs := method_needs(name)).teacher and not needs.exits and not teacher_part(name)
    if not needs.same_channels
)
"""From scratch on single networks; which pairs have equal channels is checked without building."""
STUDIES = ["crd-benchmark", "mskd-cifar100", "mskd-tiny-imagenet"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_method_fits_every_pair_of_the_papers_tables(study: str) -> None:
    config = load_config(ROOT / "config" / f"{study}.yaml").as_dict()
    pairs = [*config["pairs"]]
    wanted = {"pairs": pairs, "methods": TAUGHT}
    whole = resolve_config({**config, "seeds": [0], "learning_rates": {}, "distillation": wanted})
    assert list(misfits(make_plan(whole), data_size(whole, ROOT / "no-summary.json"))) == []


def test_a_dry_run_names_what_does_not_fit(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["methods"] = {"fitnet": {"hint": 9}}
    config["distillation"] = {"pairs": ["resnet"], "methods": ["fitnet"]}
    path.write_text(json.dumps(config))
    said = project.snakemake("-n", check=False)
    assert "config/smoke.yaml: distillation/resnet.fitnet: hint: 9 is no depth of both" in said
    assert not (project.folder / "work/fits").exists()
