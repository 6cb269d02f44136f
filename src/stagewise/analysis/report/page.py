"""One self-contained ``report.html``: verdicts, chapters, methods, steps, provenance."""

import re
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.figures.drawing import BLUE, INK, NOTICE
from stagewise.analysis.records import environment
from stagewise.analysis.report import networks
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.report.step_graph import draw_steps
from stagewise.analysis.report.verdicts import SIGNS, ClaimEntry, claims_shown
from stagewise.analysis.tables.files import protocol_lines, rates_said
from stagewise.analysis.tables.missing import missing_line, missing_table
from stagewise.analysis.tables.table import make_tables
from stagewise.errors import UserError
from stagewise.files import read_file
from stagewise.papers.claims import load_claims

# Colours of the figures that follow the reader's colour scheme.
THEMED = {INK: "currentColor", "#fefefe": "var(--paper)", BLUE: "var(--blue)"}


@dataclass(frozen=True)
class Part:
    """A figure or a table: its name, its caption, and what is shown."""

    name: str
    caption: str
    shown: Any


@dataclass(frozen=True)
class Chapter:
    """Claims with the figures and tables that they rest on."""

    id: str
    title: str
    about: str
    claims: list[ClaimEntry]
    figures: list[Part]
    tables: list[Part]


def render(results: Results, claims: pd.DataFrame, figures: Path, out: Path) -> str:
    """The report as HTML; ``figures`` holds what ``figures.py`` drew, ``out`` is where the page
    will lie (links to records are relative to it).

    Raises:
        UserError: a figure is missing, or a run's timing is broken.
    """
    study, summary = results.study, results.summary
    provenance = Provenance(results, out.parent)
    shown = claims_shown(results, claims, provenance)
    text = files("stagewise.analysis.report").joinpath("report.yaml").read_text(encoding="utf-8")
    book = yaml.safe_load(text)
    drawn = [
        Part(name, caption(name, study.config), inline_svg(figures, name))
        for name in catalogue.figures()
    ]
    optional = [
        name for each in book["chapters"] if each.get("optional") for name in each["figures"]
    ]
    drawn = [part for part in drawn if not (part.name in optional and _says_nothing(part))]
    tables = [
        Part(table.name, table.caption, provenance.linked(table))
        for table in make_tables(results)
        if len(table.shown)
    ]
    first = networks.first_runs(study)
    times = environment.timings(study)
    page = _templates().get_template("report.html.j2")
    return page.render(
        study=study,
        runs=summary["path"].nunique(),
        missing=missing_table(study),
        missing_line=missing_line(study),
        source=_source(study.config["data"]["source"]),
        claims=shown,
        tally=_tally(shown),
        gate=results.gate,
        chapters=_chapters(book, shown, drawn, tables),
        methods=networks.method_table(first),
        recipes=networks.recipe_table(first),
        networks=networks.network_table(first, study.runs["arm"].value_counts(), provenance),
        protocol=protocol_lines(results),
        rates=rates_said(results),
        steps=draw_steps(study),
        overview=[figure for figure in drawn if figure.name in book["steps"]],
        training=environment.training_environment(times, summary),
        analysis=environment.analysis_environment(),
        times=environment.time_table(times),
        duration=environment.duration(times["total_seconds"].sum()),
        papers=load_claims().papers,
        arms=provenance.arms,
    )


def _says_nothing(figure: Part) -> bool:
    """Whether a figure only says why it shows nothing."""
    return f'id="{figure.name}-{NOTICE}"' in figure.shown


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("stagewise.analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(name: str) -> str:
    """What a data source says of itself, or its name where this version lacks it."""
    file = catalogue.sources().get(name)
    return catalogue.first_line(file).rstrip(".") if file else name


def _tally(claims: list[ClaimEntry]) -> dict[str, int]:
    """How often each verdict was given, from the strongest to the weakest."""
    counts = Counter(claim.verdict for claim in claims)
    return {verdict: counts[verdict] for verdict in SIGNS if counts[verdict]}


def _chapters(
    book: dict[str, Any], claims: list[ClaimEntry], figures: list[Part], tables: list[Part]
) -> list[Chapter]:
    """The chapters of ``report.yaml``, with all that it does not name in the last one."""
    entries = book["chapters"]
    listed: list[tuple[str, list[str]]] = [
        ("claims", [claim.id for claim in claims]),
        ("figures", [figure.name for figure in figures if figure.name not in book["steps"]]),
        ("tables", [table.name for table in tables]),
    ]
    for kind, names in listed:
        named = {name for entry in entries for name in entry[kind]}
        entries[-1][kind] += [name for name in names if name not in named]
    chapters = [
        Chapter(
            entry["id"],
            entry["title"],
            entry["about"],
            [claim for claim in claims if claim.id in entry["claims"]],
            [figure for figure in figures if figure.name in entry["figures"]],
            [table for table in tables if table.name in entry["tables"]],
        )
        for entry in entries
    ]
    return [entry for entry in chapters if entry.claims or entry.figures or entry.tables]


def inline_svg(folder: Path, name: str) -> Markup:
    """A figure to stand in HTML: ids of its own, and ink that follows the colour scheme."""
    file = folder / f"{name}.svg"
    if not file.exists():
        raise UserError(f"{file}: no such figure; run scripts/figures.py first")
    _, tag, rest = read_file(file).decode(errors="replace").partition("<svg")
    if not tag:
        raise UserError(f"{file}: is no SVG picture; delete it and run scripts/figures.py again")
    svg = tag + rest
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    for colour, follows in THEMED.items():
        svg = svg.replace(colour, follows)
    label = f'<svg role="img" aria-labelledby="caption-{name}" '
    # Our own drawing: matplotlib has escaped every label in it.
    return Markup(svg.replace("<svg ", label, 1))
