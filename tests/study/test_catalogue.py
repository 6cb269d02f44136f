"""What the catalogue reads from source files is what the imported modules really define."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stagewise import catalogue
from stagewise.declarations import Needs


def module(path: Path) -> ModuleType:
    return importlib.import_module(catalogue.module_name(path))


def keywords(function: Any) -> dict[str, Any]:
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def test_networks_are_the_ones_that_their_files_define() -> None:
    assert catalogue.networks()
    for path in set(catalogue.networks().values()):
        listed = {name for name, file in catalogue.networks().items() if file == path}
        assert listed == set(module(path).NETWORKS)


@pytest.mark.parametrize("name", sorted(catalogue.networks()))
def test_network_options_are_those_of_build(name: str) -> None:
    assert catalogue.network_options(name) == keywords(module(catalogue.networks()[name]).build)


@pytest.mark.parametrize("name", sorted(catalogue.methods()))
def test_method_options_are_those_of_its_class(name: str) -> None:
    method = module(catalogue.methods()[name]).Method
    assert catalogue.method_options(name) == keywords(method.__init__)


@pytest.mark.parametrize("name", sorted(catalogue.methods()))
def test_weights_are_those_of_the_file(name: str) -> None:
    assert catalogue.method_weights(name) == module(catalogue.methods()[name]).WEIGHTS


@pytest.mark.parametrize("name", sorted(catalogue.methods()))
def test_needs_are_those_of_the_file(name: str) -> None:
    assert catalogue.method_needs(name) == module(catalogue.methods()[name]).NEEDS


def test_no_two_parts_of_a_teacher_share_the_name_of_their_runs() -> None:
    names = [part for name in catalogue.methods() if (part := catalogue.teacher_part(name))]
    assert "exits" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(catalogue.heads()))
def test_every_head_is_built_for_a_site_and_names_its_source(name: str) -> None:
    found = module(catalogue.heads()[name])
    assert [*inspect.signature(found.build).parameters] == ["site"]
    assert len((found.__doc__ or "").splitlines()) > 2


@pytest.mark.parametrize("name", sorted(catalogue.recipes()))
def test_every_recipe_has_phases(name: str) -> None:
    parameters = list(inspect.signature(module(catalogue.recipes()[name]).phases).parameters)
    assert parameters[:2] == ["epochs", "lr"]


@pytest.mark.parametrize("name", sorted(catalogue.sources()))
def test_source_options_are_those_of_load(name: str) -> None:
    assert catalogue.source_options(name) == keywords(module(catalogue.sources()[name]).load)


def test_shared_files_are_no_members() -> None:
    for members in (catalogue.methods(), catalogue.recipes(), catalogue.sources()):
        assert members
        assert not {"base", "__init__"} & members.keys()


def test_a_new_file_is_a_new_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/toy.py").write_text(
        'NEEDS = Needs(teacher=True)\nWEIGHTS = {"ce": 1.0, "toy": 0.5}\n\n\nclass Method:\n'
        "    def __init__(self, setup: Setup, *, power: int = 2) -> None: ...\n"
    )
    monkeypatch.setattr(catalogue, "PACKAGE", tmp_path)
    assert list(catalogue.methods()) == ["toy"]
    assert catalogue.method_options("toy") == {"power": 2}
    assert catalogue.method_weights("toy") == {"ce": 1.0, "toy": 0.5}
    assert catalogue.method_needs("toy") == Needs(teacher=True)


@pytest.mark.parametrize(
    ("label", "name", "shown"),
    [
        ("oto", "oto", "OtO"),
        ("oto_star", "oto", "OtO*"),
        ("mskd_two_exits", "mskd", "MSKD, two exits"),
        ("takd", "kd", "takd"),
        ("kdd", "kd", "kdd"),
        ("zero_head", "kd", "zero head"),
    ],
)
def test_a_label_is_told_by_its_method(label: str, name: str, shown: str) -> None:
    assert catalogue.label_title(label, name) == shown
