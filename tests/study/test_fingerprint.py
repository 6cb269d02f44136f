"""The code fingerprint moves with what code does, for exactly the runs that execute it."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagewise import catalogue
from stagewise.study import fingerprint
from stagewise.study.config import resolve_config
from stagewise.study.fingerprint import modules
from stagewise.study.plan import make_plan

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "study": "toy",
    "seeds": [0],
    "data": {"source": "digits", "source_classes": [0, 1, 2]},
    "pairs": {
        "resnet": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}},
        "vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}},
    },
    "distillation": {"pairs": ["resnet", "vgg"], "methods": ["kd"]},
    "two_stage": {"pairs": ["resnet"]},
    "multi_exit": {"pairs": ["resnet"]},
    "pruning": [{"pair": "resnet", "ratios": [2], "recover": ["bn", "kd", "two_stage_kd"]}],
}


class Tree:
    """A copy of the package and its scripts, whose files a test edits."""

    def __init__(self, folder: Path) -> None:
        self.package, self.scripts = folder / "stagewise", folder / "scripts"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/stagewise", self.package, ignore=ignore)
        shutil.copytree(ROOT / "scripts", self.scripts, ignore=ignore)
        self.runs = list(make_plan(resolve_config(CONFIG)).runs.values())

    def codes(self) -> dict[str, str]:
        """Arm → fingerprint of its code as it is on disk now."""
        forget()
        names = {"pruning": "prune.py"}
        return {
            run.arm: fingerprint.fingerprint(
                self.scripts / names.get(run.step, "train.py"), *run.spec.modules()
            )
            for run in self.runs
        }

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.package / name
        text = path.read_text()
        assert old in text, f"{name} lacks {old!r}"
        path.write_text(text.replace(old, new))

    def after(self, name: str, old: str, new: str) -> set[str]:
        """Arms whose fingerprint an edit moves."""
        before = self.codes()
        self.replace(name, old, new)
        return {arm for arm, code in self.codes().items() if code != before[arm]}

    def arms(self, **named: str) -> set[str]:
        """Arms whose spec names a method, recipe or (by prefix) network."""
        ((key, value),) = named.items()
        specs = [(run.arm, run.spec.written().get(key, {})) for run in self.runs]
        return {arm for arm, entry in specs if entry.get(key, "").startswith(value)}


def forget() -> None:
    """Drop what the library remembers of files: it reads each once a process."""
    for cached in (
        fingerprint.fingerprint,
        fingerprint._scan,
        fingerprint._module_path,
        catalogue._tree,
        catalogue.networks,
    ):
        cached.cache_clear()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    monkeypatch.setattr(catalogue, "PACKAGE", tree.package)
    monkeypatch.setattr(fingerprint, "PACKAGE", tree.package)
    yield tree
    forget()


def test_comments_docstrings_and_format_move_nothing(tree: Tree) -> None:
    before = tree.codes()
    for path in [*tree.package.rglob("*.py"), *tree.scripts.glob("*.py")]:
        parsed = ast.parse(path.read_text())
        if ast.get_docstring(parsed):
            parsed.body[0] = ast.Expr(ast.Constant("Another docstring."))
        plain = ast.unparse(parsed)  # other quotes, other line breaks, no comments
        path.write_text(f"{plain}\n\n\n# a comment\n")
    assert tree.codes() == before


def test_a_docstring_added_or_removed_moves_nothing(tree: Tree) -> None:
    moved = tree.after(
        "methods/kd.py", '        """``ce`` and ``kd``, each a mean over the batch."""\n', ""
    )
    assert moved == set()


def test_a_method_reruns_the_runs_that_name_it(tree: Tree) -> None:
    moved = tree.after("methods/kd.py", "assert teacher is not None", "assert teacher")
    assert moved == tree.arms(method="kd")
    assert "distillation/vgg.kd" in moved
    assert "multi_exit/resnet.mskd" not in moved


def test_a_default_reruns_too(tree: Tree) -> None:
    assert tree.after("methods/kd.py", "float = 4.0", "float = 5.0") == tree.arms(method="kd")


def test_a_recipe_reruns_the_runs_that_name_it(tree: Tree) -> None:
    moved = tree.after("recipes/two_stage.py", "max(1,", "max(2,")
    assert moved == tree.arms(recipe="two_stage")
    assert len(moved) == 2


def test_a_network_reruns_its_family(tree: Tree) -> None:
    moved = tree.after("models/vgg.py", "3, padding=1)", "3, padding=1, bias=False)")
    assert moved == tree.arms(network="vgg")


@pytest.mark.parametrize("name", ["training/trainer.py", "data/batches.py", "models/store.py"])
def test_shared_code_reruns_everything(tree: Tree, name: str) -> None:
    before = tree.codes()
    path = tree.package / name
    path.write_text(path.read_text() + "\nADDED = 1\n")
    after = tree.codes()
    assert all(after[arm] != code for arm, code in before.items())


def test_pruning_code_reruns_pruning_only(tree: Tree) -> None:
    moved = tree.after("pruning/prune.py", "STEPS = 400", "STEPS = 300")
    assert moved == {run.arm for run in tree.runs if run.step == "pruning"}


def test_a_new_method_reruns_nothing(tree: Tree) -> None:
    before = tree.codes()
    (tree.package / "methods/toy.py").write_text("from stagewise.methods import kd\n")
    assert tree.codes() == before


@pytest.mark.parametrize(
    "name", ["analysis/tables/files.py", "study/plan.py", "study/config/reading.py"]
)
def test_planning_and_tables_rerun_no_run(tree: Tree, name: str) -> None:
    before = tree.codes()
    path = tree.package / name
    path.write_text(path.read_text() + "\nADDED = 1\n")
    assert tree.codes() == before


def test_imports_are_followed_however_they_are_written(tree: Tree) -> None:
    (tree.package / "a.py").write_text("from . import b\n")
    (tree.package / "b.py").write_text("def late():\n    from .methods.kd import Method\n")
    forget()
    found = modules(["stagewise.a"])
    assert {"stagewise.a", "stagewise.b", "stagewise.methods.kd"} <= set(found)
    assert "stagewise.methods.base" in found  # what kd imports


def test_circular_imports_end(tree: Tree) -> None:
    (tree.package / "a.py").write_text("import stagewise.b\n")
    (tree.package / "b.py").write_text("import stagewise.a\n")
    forget()
    assert {"stagewise.a", "stagewise.b"} <= set(modules(["stagewise.a"]))
