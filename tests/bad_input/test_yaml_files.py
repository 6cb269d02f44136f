"""YAML files that are no configuration: damaged, endless, binary, hostile."""

import copy
from pathlib import Path

import pytest
from configs import GOOD, message

from stagewise.errors import UserError
from stagewise.study.config import load_config


def bomb() -> str:
    """A few hundred bytes that stand for 9^12 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 13)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("study: a\nstudy: b\n", "study: the key stands twice|keep one"),
        ("data: {source: digits, source: digits}\n", "source: the key stands twice|line 1"),
        ("? [a, b]\n: 1\n? [a, b]\n: 2\n", "the key stands twice"),
        ("? {a: 1}\n: 1\n", "not valid YAML"),
        (bomb(), "an alias|line 2|write the value out"),
        ("a: &a [*a]\n", "an alias|line 1|write the value out"),
        ("a: " + "[" * 2000, "not valid YAML|nested too deeply"),
        ("a: " + "{a: " * 900 + "1" + "}" * 900, "nested too deeply"),
        ("title: " + "x" * 2_000_000, "larger than 1,000,000 bytes"),
        ("training: {lr: 1e-3, batch_size: 25.0}\n", "training.lr|write 1.0e-3|write 25"),
        ("title: 2001-99-99\n", "not valid YAML|month"),
        ("title: 2001-01-01\n", "title|give a value of type string"),
        ("1: 2\n", "(top level)|the key 1 is no text|quotes"),
        ("training: {yes: 1}\n", "training|the key True is no text|quotes"),
        ("training: {lr: .nan}\n", "training.lr|nan|give one"),
        ("study: \x00\n", "not valid YAML"),
        ("study: [\n", "not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, parts: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert all(part in str(caught.value) for part in parts.split("|")), caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"\x80\x04\x95",
        bytes(100),
        "é: 1".encode("latin-1"),
        "a: 1".encode("utf-16"),
    ],
)
def test_binary_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: not valid YAML"):
        load_config(path)


def test_a_broken_file_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for content in (b"caf\xe9: 1\n", b"study: [\n", b"a: b: c\n", b"study: a\n\tb: c\n"):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_config(path)
        assert len(str(caught.value).splitlines()) == 1, content


def test_endless_problems_end(tmp_path: Path) -> None:
    methods = {f"m{number}": {"method": "kdd"} for number in range(1000)}
    lines = message({**copy.deepcopy(GOOD), "methods": methods, "distillation": {}}).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "toy.yaml: and maybe more; mend these 100 first"
    rates = {f"students/p.{number}": 0.1 for number in range(50_000)}
    assert message({**copy.deepcopy(GOOD), "learning_rates": rates}).endswith("and 49900 more")
    unknown = {f"key-{number}": 1 for number in range(100_000)}
    [line] = message({**copy.deepcopy(GOOD), "training": unknown}).splitlines()
    assert line.endswith("and 99980 more")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}: .*name a readable file"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir", "python/name:os.mkdir"]
)
def test_no_tag_runs_anything(tmp_path: Path, tag: str) -> None:
    path, mark = tmp_path / "study.yaml", tmp_path / "ran"
    path.write_text(f'study: !!{tag} ["{mark}"]\n')
    with pytest.raises(UserError, match=f"{path}: not valid YAML"):
        load_config(path)
    assert not mark.exists()
