"""Nothing that is read is ever executed; a formula in a table stays text."""

import re
from pathlib import Path

import pandas as pd
import pytest
from damaged import refused
from helpers import ROOT

from stagewise.analysis.records.csv_files import read_csv
from stagewise.files import read_json


def test_a_formula_in_a_table_stays_text(tmp_path: Path) -> None:
    file = tmp_path / "summary.csv"
    pd.DataFrame({"path": ["=cmd|'/c calc'!A1"], "test_accuracy": [1.0]}).to_csv(file, index=False)
    assert read_csv(file, ("path", "test_accuracy"))["path"].tolist() == ["=cmd|'/c calc'!A1"]


FORBIDDEN = re.compile(
    r"\bimport pickle|\bpickle\.\w|\bimport (dill|joblib|cloudpickle|shelve|marshal)\b"
    r"|(?<![.\w])eval\(|(?<![.\w])exec\(|(?<![.\w])compile\(|\btorch\.load\(|allow_pickle=True"
    r"|yaml\.(unsafe_|full_)?load(_all)?\((?![^)]*_Loader)|UnsafeLoader|FullLoader|read_pickle"
)


def test_the_library_and_the_scripts_hold_no_call_that_executes_data() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    files += [*(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    assert len(files) > 80
    found = {
        (str(path.relative_to(ROOT)), line.strip())
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if FORBIDDEN.search(line)
    }
    # After their checksums only: given weights, torchvision's, CIFAR's pickles; without any code.
    weights = 'found: object = torch.load(path, map_location="cpu", weights_only=True)'
    pickles = str(Path("src/stagewise/data/pickles.py"))
    assert {where for where in found if where[0] != pickles} == {
        ("src/stagewise/runs/state_dicts.py", weights)
    }


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "x = pickle.loads(data)",
        "eval(text)",
        "exec(text)",
        "torch.load(path)",
        "yaml.load(stream)",
        "yaml.load(stream, yaml.Loader)",
        "yaml.unsafe_load(stream)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_would_find_one(line: str) -> None:
    assert FORBIDDEN.search(line)


@pytest.mark.parametrize(
    "line", ["network.eval()", "ast.literal_eval(x)", "yaml.load(s, _Loader)", "re.compile('x')"]
)
def test_the_search_lets_harmless_ones_pass(line: str) -> None:
    assert not FORBIDDEN.search(line)


def test_json_is_read_as_json(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    for content in ("{'a': 1}", "NaN", "-Infinity", "__import__('os')", "1" * 5000):
        file.write_text(content)
        refused(file, lambda: read_json(file), "not valid JSON")
