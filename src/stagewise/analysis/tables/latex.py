"""Tables for LaTeX: a ``longtable`` with booktabs' rules for each, and a document of them all."""

import re
from collections.abc import Iterable

import pandas as pd

from stagewise.analysis.tables.layout import layout
from stagewise.analysis.tables.table import Table

SIGNS: dict[str, str | int | None] = {
    "\0": r"\allowbreak{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"\textsuperscript{2}",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "’": "'",
    "Š": r"\v{S}",
    "á": r"\'a",
    "ρ": r"$\rho$",
    "→": r"$\rightarrow$",
}
"""What pdfLaTeX cannot take as it is, or would take for a command."""

BREAKS = re.compile(r"(?<=[a-z][/._])(?=[a-z])")
MEAN = re.compile(r"^[^ ~]+")
"""The mean of a cell ``94.5~$\\pm$~0.7~(6)``."""
NUMBER = re.compile(r"[+−]?\d[\d.,]* ?[±kMG×([]")
LINE = 185
"""Characters of a line of the document, in its small print."""

SLACK = 2
"""Characters that a column is wider than its text, for the space between columns."""

FRAGMENT = r"""% Needs the packages array, booktabs and longtable.
{\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}
BODY}
"""
DOCUMENT = r"""\documentclass[a4paper]{article}
\usepackage[landscape,margin=1.5cm]{geometry}
\usepackage{array,booktabs,longtable}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt}
\begin{document}
\section*{TITLE}
BODY
\end{document}
"""


def escaped(text: str) -> str:
    """Text for LaTeX: it means what it says, and long names may break at their dots."""
    return BREAKS.sub("\0", text).translate(str.maketrans(SIGNS))


def pieces(text: str) -> list[str]:
    """What stands on one line each at worst: words, and numbers with their sd, n and unit."""
    return re.split(r" (?=\[)" if NUMBER.match(text) else r" ", text)


def cell(text: str) -> str:
    """``escaped`` for a cell of a table."""
    return " ".join(escaped(piece).replace(" ", "~") for piece in pieces(text))


def shares(shown: pd.DataFrame) -> list[float]:
    """Each column's share of the line: what its longest cell needs where all fits; else less, but
    never less than its longest piece."""
    words, cells = [], []
    for heading in shown.columns:
        texts = [str(heading), *map(str, shown[heading])]
        names = [name for text in texts for piece in pieces(text) for name in BREAKS.split(piece)]
        words.append(SLACK + max(map(len, names)))
        cells.append(max(words[-1], SLACK + max(map(len, texts[1:]))))
    more = sum(cells) - sum(words)
    part = min(1.0, max(0.0, LINE - sum(words)) / more) if more else 0.0
    sizes = [least + part * (most - least) for least, most in zip(words, cells, strict=True)]
    return [size / max(LINE, sum(sizes)) for size in sizes]


def latex(table: Table) -> str:
    """A ``longtable`` that fills at most a line; the caption and a sentence for an empty table."""
    plan = layout(table)
    caption = escaped(plan.caption)
    if table.shown.empty:
        return f"{caption}\n\n{escaped(table.empty)}\n"
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share:.5f}\linewidth-2\tabcolsep\relax}}"
        for share in shares(table.shown[plan.headings])
    )
    cells = table.shown.map(lambda value: cell(str(value)))
    body = (
        plan.of(cells, lambda text: MEAN.sub(r"\\textbf{\g<0>}", text))
        .rename(columns=escaped)
        .style.hide(axis="index")
        .to_latex(
            environment="longtable",
            hrules=True,
            column_format=columns,
            caption=caption,
            label=f"tab:{table.name}",
        )
    )
    body = body.replace(rf"\caption[]{{{caption}}}", r"\caption[]{Continued.}")
    return FRAGMENT.replace("BODY", body)


def document(title: str, sentences: Iterable[str], tables: Iterable[str]) -> str:
    """A LaTeX document of its own that reads ``NAME.tex`` of each table beside it."""
    parts = [*map(escaped, sentences), *(rf"\input{{{name}.tex}}" for name in tables)]
    return DOCUMENT.replace("TITLE", escaped(title)).replace("BODY", "\n\n".join(parts))
