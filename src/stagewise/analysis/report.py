"""One self-contained ``report.html``: verdicts first, then gate, figures, tables, provenance."""

import re
from importlib.resources import files
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from stagewise import catalogue
from stagewise.analysis.claims import study_gate
from stagewise.analysis.drawing import BLUE, INK
from stagewise.analysis.publish import protocol_lines
from stagewise.analysis.results import Results
from stagewise.analysis.rules import NOT_TESTABLE
from stagewise.analysis.summary import main_exits
from stagewise.analysis.tables import TABLES
from stagewise.analysis.words import by_claim, effect
from stagewise.errors import UserError
from stagewise.study.captions import caption

PROVENANCE = {
    "arm": "Arm",
    "seed": "Seed",
    "epochs": "Epochs",
    "lr": "Rate",
    "test_accuracy": "Test, %",
    "config_hash": "Config",
    "code": "Code",
    "model_sha256": "Model SHA-256",
    "teacher_sha256": "Teacher SHA-256",
}

# Colours of the figures that follow the reader's colour scheme.
THEMED = {INK: "currentColor", "#fefefe": "var(--paper)", BLUE: "var(--blue)"}


def render(results: Results, claims: pd.DataFrame, figures: Path) -> str:
    """The report as HTML; ``figures`` holds what ``figures.py`` drew.

    Raises:
        UserError: a figure is missing.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("stagewise.analysis").joinpath("report.html.j2").read_text(encoding="utf-8")
    shown = [_claim(rows) for _, rows in by_claim(claims)]
    return environment.from_string(source).render(
        title=results.study.title,
        study=results.study.name,
        decided=[claim for claim in shown if claim["verdict"] != NOT_TESTABLE],
        undecided=[claim for claim in shown if claim["verdict"] == NOT_TESTABLE],
        gate=study_gate(results.study, results.summary),
        figures=[
            {
                "name": name,
                "caption": caption(name, results.study.config),
                "svg": inline_svg(figures, name),
            }
            for name in catalogue.figures()
        ],
        tables=[table for make in TABLES.values() if len((table := make(results)).shown)],
        protocol=protocol_lines(results),
        provenance=_provenance(results.summary),
    )


def _claim(rows: pd.DataFrame) -> dict[str, object]:
    """What the template shows of a claim."""
    first = rows.iloc[0]
    return {
        "id": first["claim"],
        "title": first["title"],
        "wording": first["wording"],
        "source": first["source"],
        "verdict": first["claim_verdict"],
        "rows": [
            {
                "pair": row["pair"],
                "contrast": row["contrast"],
                "headline": row["role"] == "headline",
                "effect": effect(row) if row["pair"] else "",
                "verdict": row["verdict"],
                "reason": row["reason"],
                "numbers": _numbers(row),
            }
            for _, row in rows.iterrows()
        ],
    }


def _numbers(row: pd.Series) -> str:
    """p-values, detectable effect and published values, as far as there are any."""
    parts = []
    if pd.notna(row["p_holm"]):
        parts.append(f"Holm p {row['p_holm']:.3g}")
    if row["control"] and pd.notna(row["p_sign_flip"]):
        parts.append(
            f"sign-flip p {row['p_sign_flip']:.3g} (least {row['p_sign_flip_minimum']:.3g})"
        )
    if row["control"] and pd.notna(row["mde"]):
        parts.append(f"detectable {row['mde']:.2f}")
    if pd.notna(row["published_low"]):
        parts.append(f"published {row['published_low']:g} to {row['published_high']:g}")
    return " · ".join(parts)


def inline_svg(folder: Path, name: str) -> Markup:
    """A figure to stand in HTML: ids of its own, and ink that follows the colour scheme."""
    file = folder / f"{name}.svg"
    if not file.is_file():
        raise UserError(f"{file}: no such figure; run scripts/figures.py first")
    svg = file.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    for colour, follows in THEMED.items():
        svg = svg.replace(colour, follows)
    label = f'<svg role="img" aria-labelledby="caption-{name}" '
    # Our own drawing: matplotlib has escaped every label in it.
    return Markup(svg.replace("<svg ", label, 1))


def _provenance(summary: pd.DataFrame) -> pd.DataFrame:
    """A row per run, with headings; hashes shortened to 12 digits."""
    table = main_exits(summary)[list(PROVENANCE)].copy()
    for column in ("config_hash", "code", "model_sha256", "teacher_sha256"):
        table[column] = table[column].astype(str).str[:12]
    table["test_accuracy"] = table["test_accuracy"].map("{:.2f}".format)
    table["lr"] = [f"{rate:g}" if pd.notna(rate) else "" for rate in table["lr"]]
    table["epochs"] = [str(epochs).removesuffix(".0") for epochs in table["epochs"]]
    return table.replace("nan", "").rename(columns=PROVENANCE)
