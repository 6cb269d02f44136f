"""The search finds the least cut that reaches the goals; clocks are made up where they count."""

import pytest

from stagewise.models.cost import total_macs
from stagewise.ship import search as searching
from stagewise.ship.engines import Time
from stagewise.ship.search import RATIOS, Search, refusal
from stagewise.ship.shapes import ShapeFile
from stagewise.study.config import resolve_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan

CONFIG = {
    "study": "s",
    "data": {"source": "digits"},
    "teacher": {"network": "resnet14", "width": 8},
    "student": {"network": "resnet8", "width": 16},
    "evaluation": {"latency_repeats": 3},
}


def search(folder, student=None, **target):
    asked = {"forms": ["float32"], "round_to": 1, **target}
    more = {"student": student} if student else {}
    config = resolve_config({**CONFIG, **more, "target": asked})
    return Search(make_plan(config), data_size(config, folder / "none.json"), folder / "shapes")


@pytest.fixture
def made_up_clock(monkeypatch):
    """Files of four bytes a weight, or one, and calls that take as many milliseconds as bytes."""

    def write_shape(network, architecture, forms, folder):
        weights = sum(parameter.numel() for parameter in network.parameters())
        found = {}
        for form in {"float32", *forms}:
            path = folder / form
            path.write_bytes(bytes(weights * {"float32": 4, "int8": 1}[form]))
            found[form] = ShapeFile(path, total_macs(network, architecture), weights)
        return found

    def race(calls, repeats):
        sizes = {name: call.func.path.stat().st_size for name, call in calls.items()}
        return {name: Time(size, size, size) for name, size in sizes.items()}

    class Engine:
        def __init__(self, files, threads):
            [self.path] = files

        def __call__(self, images):
            raise AssertionError("no time is taken")

    monkeypatch.setattr(searching, "write_shape", write_shape)
    monkeypatch.setattr(searching, "onnx_engine", Engine)
    monkeypatch.setattr(searching, "race", race)


def test_it_finds_the_least_ratio_that_reaches_multiply_adds(tmp_path, made_up_clock):
    found = search(tmp_path, macs="2x")
    [candidate] = found.candidates()
    by_ratio = {probe.ratio: probe for probe in found.probes}
    chosen = by_ratio[candidate.ratio]
    most = chosen.reference["macs"] / 2
    assert chosen.given["macs"] <= most
    # the step before, where it could be made at all, does not reach it
    before = [ratio for ratio in by_ratio if ratio < candidate.ratio]
    assert all(by_ratio[ratio].given["macs"] > most for ratio in before)
    assert candidate.ratio in RATIOS
    assert candidate.ratio == pytest.approx(2, rel=0.16)
    assert len(found.probes) < len(RATIOS) / 2


def test_a_clock_has_something_to_spare(tmp_path, made_up_clock):
    found = search(tmp_path, latency="2x")
    [candidate] = found.candidates()
    chosen = next(probe for probe in found.probes if probe.ratio == candidate.ratio)
    assert chosen.given["latency"] <= 0.95 * chosen.reference["latency"] / 2


def test_a_form_that_is_small_enough_is_not_pruned(tmp_path, made_up_clock):
    found = search(tmp_path, bytes="1.5x", forms=["float32", "int8"])
    ratios = {each.form: each.ratio for each in found.candidates()}
    assert ratios["int8"] == 1
    assert ratios["float32"] > 1


def test_every_student_is_a_candidate_where_it_can_be(tmp_path, made_up_clock):
    students = [{"network": "resnet8", "width": 16}, {"network": "resnet8", "width": 4}]
    ratios = {each.pair: each.ratio for each in search(tmp_path, students, macs="2x").candidates()}
    assert ratios["resnet8"] > 1
    assert ratios["resnet8-2"] == 1  # small as it is; the first is what it is compared with


def test_the_teacher_may_be_what_counts(tmp_path, made_up_clock):
    students = [{"network": "resnet8", "width": 8}]
    [candidate] = search(tmp_path, students, macs="1.2x", against="teacher").candidates()
    assert candidate.ratio == 1


def test_what_is_out_of_reach_says_how_near_it_came(tmp_path, made_up_clock):
    found = search(tmp_path, macs=10)
    assert [*found.candidates()] == []
    said = refusal(found.probes, found.target)
    nearest = min(probe.given["macs"] for probe in found.probes)
    assert f"macs {nearest:,.0f}, where 10 is asked" in said


def test_a_network_that_cannot_be_pruned_is_tried_whole(tmp_path, made_up_clock):
    found = search(tmp_path, {"network": "shufflenetv1-crd"}, macs="2x")
    assert [*found.candidates()] == []
    assert [probe.ratio for probe in found.probes] == [1.0]


def test_a_real_clock_gives_times(tmp_path):
    found = search(tmp_path, latency=1e6, forms=["int8"])
    [candidate] = found.candidates()
    assert candidate.form == "int8"
    assert candidate.ratio == 1
    assert 0 < found.probes[0].given["latency"] < 1e6
