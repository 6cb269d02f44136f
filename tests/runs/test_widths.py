"""The width of a student without exits that costs what the one with exits costs."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT, architecture

from stagewise.models.cost import total_macs
from stagewise.models.store import Architecture, build
from stagewise.runs.widths import macs, wide_students, widened
from stagewise.study.config import resolve_config
from stagewise.study.images import DataSize
from stagewise.study.plan import make_plan

SIZE = DataSize({"all": 4}, {"train": 40, "validation": 8, "test": 8}, {"all": None}, 3, 16)
PAIRS: dict[str, Any] = {
    name: {"teacher": {"network": "resnet14", "width": 4}, "student": student}
    for name, student in {
        "resnet": {"network": "resnet8", "width": 6},
        "vgg": {"network": "vgg8", "width": 3},
        "plain": {"network": "resnet8", "width": 6},
    }.items()
}
LINE = re.compile(
    r"pairs\.(\w+)\.wide: \{network: (\w+), width: (\d+)\}  # ([\d,]+) MACs, with exits ([\d,]+)"
    r" \(([+-]\d+\.\d) %\)"
)
EXITS = {"pairs": ["resnet", "vgg"], "methods": ["exits_ce", "mskd", "oto"]}


def config(**multi_exit: Any) -> dict[str, Any]:
    return {
        "study": "toy",
        "data": {"source": "digits", "image_size": 8},
        "pairs": PAIRS,
        "multi_exit": multi_exit,
    }


def lines(**multi_exit: Any) -> list[str]:
    return [*wide_students(make_plan(resolve_config(config(**multi_exit))), SIZE)]


def counted(network: str, width: int, exits: str | None = None) -> int:
    """MACs of a network that is really built."""
    shape = Architecture(network, {"width": width}, 4, 3, 16, exits)
    return total_macs(build(shape, 0), shape)


@pytest.mark.parametrize("head", ["sepatt", "linear", "deepcopy"])
def test_of_all_widths_that_cost_no_less_it_is_the_nearest(head: str) -> None:
    found = [LINE.fullmatch(line) for line in lines(**EXITS, head=head)]
    assert [each and each[1] for each in found] == ["resnet", "vgg"]
    for each in filter(None, found):
        own = PAIRS[each[1]]["student"]["width"]
        target = counted(each[2], own, head)
        costs = {width: counted(each[2], width) for width in range(own, 4 * own)}
        enough = {width: cost for width, cost in costs.items() if cost >= target}
        assert int(each[3]) == min(enough, key=lambda width: enough[width] - target)
        assert int(each[4].replace(",", "")) == enough[int(each[3])]
        assert int(each[5].replace(",", "")) == target
        assert float(each[6]) == pytest.approx(100 * (enough[int(each[3])] / target - 1), abs=0.05)


def test_no_weights_are_made_to_count() -> None:
    shape = architecture("vgg8", options={"width": 64})
    assert macs(shape) == total_macs(build(shape, 0), shape)


def test_a_student_that_costs_enough_stays_as_it_is() -> None:
    shape = architecture()
    assert widened(shape, macs(shape)) == shape
    assert widened(shape, macs(shape) + 1).options["width"] > shape.options["width"]


def test_exits_at_places_of_their_own_are_counted_as_they_are() -> None:
    targets = []
    for places in ([1], [1, 2]):
        [line] = lines(pairs=["resnet"], methods=["exits_ce"], places=places)
        found = LINE.fullmatch(line)
        assert found
        targets.append(int(found[5].replace(",", "")))
    assert targets[0] < targets[1] == counted("resnet8", 6, "sepatt")


def told(folder: Path, capsys: pytest.CaptureFixture[str], **multi_exit: Any) -> str:
    """What the script prints, or says that is wrong."""
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(config(**multi_exit)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["widths", "mine.yaml"])
        try:
            runpy.run_path(str(ROOT / "scripts/widths.py"), run_name="__main__")
        except SystemExit as end:
            if end.code:
                return str(end.code)
    return capsys.readouterr().out


def test_the_script_prints_what_the_config_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = told(tmp_path, capsys, **EXITS, controls=["wide"]).splitlines()
    assert [LINE.fullmatch(line) is not None for line in printed] == [True, True]
    pairs = {name: {**pair} for name, pair in PAIRS.items()}
    for line in printed:
        [(key, value)] = yaml.safe_load(line).items()
        pairs[key.split(".")[1]]["wide"] = value
    resolve_config({**config(**EXITS, controls=["wide"]), "pairs": pairs})


@pytest.mark.parametrize("multi_exit", [{}, {"pairs": ["plain"], "methods": []}])
def test_a_study_without_exits_is_told_so(
    multi_exit: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(tmp_path, capsys, **multi_exit) == (
        "error: mine.yaml: no pair has a student with exits; list some in multi_exit.pairs"
    )
