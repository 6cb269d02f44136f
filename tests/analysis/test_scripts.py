"""The scripts explain themselves and fail in one line; none of this needs torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stagewise import catalogue

RunScript = Callable[..., None]
SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_nothing_here_imports_torch() -> None:
    package = catalogue.PACKAGE
    rooms = [package / name for name in ("analysis", "papers")]
    files = [file for room in rooms for file in room.rglob("*.py")]
    assert len(files) > 30
    imports = "; ".join(f"import {catalogue.module_name(file)}" for file in files)
    code = f"{imports}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    ["evaluate", "summarise", "claims", "tables", "figures", "report", "tune_choice", "headline"],
)
def test_scripts_explain_themselves(
    name: str, run_script: RunScript, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len((SCRIPTS / f"{name}.py").read_text().splitlines()) < 40
    run_script(tmp_path, name, "--help")
    assert "--" in capsys.readouterr().out


def test_headline_script(
    run_script: RunScript, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script(published, "headline", "--claims", "claims.csv", "--report", "report.html")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "report: report.html"
    assert any(line.startswith("B4 ") for line in lines)
    assert json.loads((published / "metrics.json").read_text())["students"]["vgg.baseline"] > 80


def test_a_missing_plan_is_one_line(run_script: RunScript, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: nowhere\.json: no such file"):
        run_script(tmp_path, "evaluate", "--plan", "nowhere.json", "--out", "x.csv")
