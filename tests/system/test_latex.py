"""A real LaTeX takes the tables: no error, and nothing stands out of its box."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from projects import copy_project

from stagewise.analysis.tables.latex import document, latex
from stagewise.analysis.tables.table import Table

TOLERANCE = 5
"""Points that a box may be too wide."""


def compiled(folder, name="study"):
    """Run pdflatex as the guide says; returns its log."""
    program = shutil.which("pdflatex")
    assert program, "install Debian's package texlive-latex-recommended"
    command = [program, "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    for _ in range(2):  # longtable settles in the second
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    return (folder / f"{name}.log").read_text(errors="replace")


def overfull(log):
    """By how many points boxes are too wide."""
    return [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", log)]


def test_the_tables_of_a_study_compile(tmp_path):
    project = copy_project(tmp_path)
    project.snakemake("tables")
    log = compiled(project.folder / "results/smoke/tables")
    assert max(overfull(log), default=0) < TOLERANCE
    assert "Missing character" not in log
    assert "undefined" not in log


@pytest.mark.parametrize("rows", [1, 90])
def test_wide_and_hostile_tables_compile(tmp_path, rows):
    shown = pd.DataFrame(
        {
            "Arm": [r"recovery/resnet.two_stage.l2-2x.two_stage_kd"] * rows,
            "Signs": [r"\input{x} 50% & #1 $a_b^c ~ <b> | “q” ’ … ² ·"] * rows,
            "Loss": ["ce 0.1, fitnet 100, kd 0.9"] * rows,
            **{f"Quantity {k}, %": ["−0.132 ± 0.007 (6)"] * rows for k in range(5)},
            "Minus baseline, points": ["−81.0 [−85.6, −76.4]"] * rows,
            "Parameters": ["77.8 k"] * rows,
            "MACs": ["3.1 M (1.0× fewer)"] * rows,
        }
    )
    table = Table("wide", "Signs ± − × ÷ – & % in a caption_that_is_long.", shown, shown)
    (tmp_path / "wide.tex").write_text(latex(table))
    (tmp_path / "study.tex").write_text(document("50 % & more_or_less", ["A & B."], ["wide"]))
    log = compiled(tmp_path)
    assert max(overfull(log), default=0) < TOLERANCE
    assert "Missing character" not in log


def test_a_box_that_is_too_wide_would_be_seen(tmp_path):
    (tmp_path / "study.tex").write_text(document("x", ["m" * 300], []))
    assert max(overfull(compiled(tmp_path))) > 100
