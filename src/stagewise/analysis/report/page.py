"""One self-contained ``report.html``: the answer first, then verdicts, then all else folded."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from stagewise import catalogue
from stagewise.analysis.claims.answers import KINDS
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.rules import FAILS
from stagewise.analysis.claims.target import judge_target
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.figures.drawing import BLUE, INK, NOTICE
from stagewise.analysis.records import environment
from stagewise.analysis.report import networks
from stagewise.analysis.report.answer import advise
from stagewise.analysis.report.page_tables import PageTable, page_table, plain
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.report.step_graph import draw_steps
from stagewise.analysis.report.target import target_advice
from stagewise.analysis.report.verdicts import ClaimEntry, claims_shown
from stagewise.analysis.tables.files import protocol_lines, rates_said
from stagewise.analysis.tables.missing import missing_line, missing_table
from stagewise.analysis.tables.table import make_tables
from stagewise.errors import UserError
from stagewise.files import read_file

# Colours of the figures that follow the reader's colour scheme.
THEMED = {INK: "currentColor", "#fefefe": "var(--paper)", BLUE: "var(--blue)"}


@dataclass(frozen=True)
class Part:
    """A figure: its name, its caption, and what is shown."""

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
    tables: list[PageTable]


def render(results: Results, claims: pd.DataFrame, figures: Path, out: Path) -> str:
    """The report as HTML; ``figures`` holds what ``figures.py`` drew, ``out`` is where the page
    will lie (links to records are relative to it).

    Raises:
        UserError: a figure is missing, or a run's timing is broken.
    """
    study, summary = results.study, results.summary
    provenance = Provenance(results, out.parent)
    shown = claims_shown(results, claims, provenance) if has_claims(results, claims) else []
    text = files("stagewise.analysis.report").joinpath("report.yaml").read_text(encoding="utf-8")
    book = yaml.safe_load(text)
    drawn = [
        Part(name, caption(name, study.config), inline_svg(figures, name))
        for name in catalogue.figures()
    ]
    drawn = [part for part in drawn if not _says_nothing(part)]
    if not shown:
        drawn = [part for part in drawn if part.name not in book["of_claims"]]
    front = [part for part in drawn if part.name in book["front"]][:FRONT]
    made = make_tables(results)
    tables = [page_table(table, provenance) for table in made if len(table.shown)]
    pairs = [str(pair) for pair in study.config["pairs"]]
    target = judge_target(results)
    usual = {table.name: table.data for table in made}
    first = networks.first_runs(study)
    times = environment.timings(study)
    page = _templates().get_template("report.html.j2")
    return page.render(
        study=study,
        runs=summary["path"].nunique(),
        missing=plain(missing_table(study), "Missing runs"),
        missing_line=missing_line(study),
        source=_source(study.config["data"]["source"]),
        advice=target_advice(target) if target else advise(usual, pairs),
        front=front,
        claims=shown,
        kinds={kind: [c for c in shown if c.kind == kind] for kind in KINDS},
        meanings=KINDS,
        gate=results.gate,
        chapters=_chapters(book, shown, [part for part in drawn if part not in front], tables),
        methods=plain(networks.method_table(first), "Methods", METHODS_CAPTION),
        recipes=plain(networks.recipe_table(first), "Recipes"),
        networks=networks.network_table(results, first, provenance),
        protocol=protocol_lines(results),
        rates=rates_said(results),
        steps=draw_steps(study),
        overview=[figure for figure in drawn if figure.name in book["steps"]],
        training=environment.training_environment(times, summary),
        analysis=environment.analysis_environment(),
        times=plain(environment.time_table(times), "Time by step"),
        duration=environment.duration(times["total_seconds"].sum()),
        papers=results.book.papers,
        arms=provenance.arms,
    )


FRONT = 2
"""Figures of the first screen at most."""

METHODS_CAPTION = (
    "The first words of each method’s own file, its loss terms with their weights, and its options."
    " Files are in src/stagewise/."
)


def has_claims(results: Results, claims: pd.DataFrame) -> bool:
    """Whether a study is about claims: it lists one, has one of its own, or a guard fails."""
    failed = (claims["claim_verdict"] == FAILS).any()
    return bool(results.claims_listed) or bool(failed)


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
    return catalogue.first_line(file).rstrip(".").replace("``", "") if file else name


def _chapters(
    book: dict[str, Any],
    claims: list[ClaimEntry],
    figures: list[Part],
    tables: list[PageTable],
) -> list[Chapter]:
    """The chapters of ``report.yaml`` that this study has something for, with all that it does not
    name in the last one; a study's own claim stands in the chapter that it names."""
    entries, elsewhere = book["chapters"], {*book["steps"]}
    own = {claim.id: claim.chapter for claim in claims if claim.chapter}
    listed: list[tuple[str, list[str]]] = [
        ("claims", [claim.id for claim in claims]),
        ("figures", [figure.name for figure in figures if figure.name not in elsewhere]),
        ("tables", [table.name for table in tables]),
    ]
    for entry in entries:
        entry["claims"] += [claim for claim, chapter in own.items() if chapter == entry["id"]]
    for kind, names in listed:
        named = {name for entry in entries for name in entry[kind]}
        entries[-1][kind] += [name for name in names if name not in named]
    chapters = [
        Chapter(
            entry["id"],
            entry["title"],
            entry["about"],
            [claim for claim in claims if claim.id in entry["claims"] and claim.measured],
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
