"""The report: one sound file, its verdicts, and where its numbers come from."""

import html.parser
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures.files import write_figures
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.report.page import render
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.report.step_graph import draw_steps, step_graph, without_shortcuts
from stagewise.analysis.report.verdicts import claims_shown
from stagewise.analysis.tables.table import make_table
from stagewise.errors import UserError
from stagewise.papers.claims import UNITS

Make = Callable[..., Results]
TINY = {"pruning": [], "two_stage": {"pairs": []}, "multi_exit": {}, "seeds": (0,)}
HOSTILE = '</script><img src=x onerror="alert(1)">\'&'


class Parser(html.parser.HTMLParser):
    """Checks that tags close in order and gathers tags, ids and addresses."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        address = values.get("href") or values.get("xlink:href") or ""
        (self.links if tag == "a" else self.loads).append(address)
        self.loads.append(values.get("src") or "")
        self.links += [f"#{anchor}" for anchor in (values.get("data-and") or "").split()]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def claims(published: Path) -> pd.DataFrame:
    return read_csv(published / "claims.csv", ("claim", "verdict", "role"))


@pytest.fixture
def page(published: Path) -> str:
    return (published / "report.html").read_text()


def test_the_page_is_sound_and_loads_nothing(page: str) -> None:
    parser = Parser(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert {load for load in parser.loads if not load.startswith("#")} <= {""}
    assert page.count("<script>") == 1  # the study's title holds one more, as text
    assert "url(http" not in page
    assert "@import" not in page
    drawn = catalogue.figures().keys() - {"order"}  # nothing is published of digits
    assert page.count('<svg role="img" aria-labelledby="caption-') == len(drawn)


def test_every_link_leads_somewhere(page: str, published: Path) -> None:
    parser = Parser(page)
    anchors = {link[1:] for link in parser.links if link.startswith("#")}
    assert anchors <= set(parser.ids)
    records = {link for link in parser.links if link and not link.startswith("#")}
    assert all((published / unquote(record)).is_file() for record in records)
    assert len(records) == len(json.loads((published / "plan.json").read_text())["runs"])


def test_verdicts_come_first_then_evidence_then_how(page: str, claims: pd.DataFrame) -> None:
    places = ("verdicts", "shock", "compression", "exits", "comparison", "all", "methods", "steps")
    order = [page.index(f'<section id="{place}"') for place in (*places, "environment", "runs")]
    assert order == sorted(order)
    for claim, verdict in claims[["claim", "claim_verdict"]].drop_duplicates().to_numpy():
        card = page[page.index(f'<article class="claim" id="claim-{claim}"') :]
        assert verdict in card[: card.index("</header>")]


def test_single_differences_are_those_of_the_claims(
    results: Results, claims: pd.DataFrame, published: Path
) -> None:
    """They are taken from the summary again: their means must be those that were judged."""
    shown = claims_shown(results, claims, Provenance(results, published))
    rows = claims[claims["pair"] != ""]
    rows = rows[rows["n"] > 0]
    contrasts = [row for claim in shown for row in claim.contrasts if row.effect]
    assert len(contrasts) == len(rows) > 20
    for contrast, (_, row) in zip(contrasts, rows.iterrows(), strict=True):
        texts = [re.sub("<.*?>", "", link).replace("−", "-") for link in contrast.seeds.values()]
        assert len(texts) == row["n"]
        values = np.array([float(text) for text in texts])
        log = UNITS[row["unit"]].log
        mean = np.exp(np.log(values).mean()) if log else values.mean()
        assert mean == pytest.approx(row["mean"], abs=0.006)


def test_a_claim_without_its_deciding_arms_says_so(
    results: Results, claims: pd.DataFrame, published: Path
) -> None:
    beside = claims[(claims["claim"] == "A4") & (claims["role"] != "headline")]
    beside = beside.assign(claim_verdict="not testable here")
    (shown,) = claims_shown(results, beside, Provenance(results, published))
    assert not shown.headlines
    assert shown.answer == (
        "Whether distillation, in two stages, gives back what pruning costs is open:"
        " the study has none of the arms that decide it."
    )


def test_a_strip_keeps_its_order(results: Results, claims: pd.DataFrame, published: Path) -> None:
    shown = claims_shown(results, claims, Provenance(results, published))
    strips = [row.strip for claim in shown for row in claim.contrasts if row.strip]
    assert strips
    for strip in strips:
        assert 0 <= strip.low <= strip.mean <= strip.high <= 100
        assert 0 <= strip.null <= 100
        assert not strip.published or 0 <= strip.published[0] <= strip.published[1] <= 100


def test_a_number_leads_to_its_runs_and_to_those_it_is_compared_with(
    results: Results, published: Path
) -> None:
    provenance = Provenance(results, published)
    table = make_table("accuracy", results)
    number = list(table.data["arm"]).index("distillation/vgg.kd")
    row = provenance.linked(table).iloc[number]
    arm, baseline = (
        provenance.arm_anchors[name] for name in ("distillation/vgg.kd", "students/vgg.baseline")
    )
    assert f'href="#{arm}"' in row["Test accuracy, %"]
    assert f'href="#{arm}" data-and="{baseline}"' in row["Minus baseline, points"]
    assert row["Network"] == "KD"
    (behind,) = (each for each in provenance.arms if each.anchor == arm)
    assert [run.seed for run in behind.runs] == [0, 1, 2, 3, 4, 5]
    assert behind.runs[3].hashes["Code"] == "c" * 12
    shock = provenance.linked(make_table("shock", results))  # whose data have a row per run
    assert all("href" in cell for cell in shock["Peak"])


def test_everything_is_shown_once(page: str) -> None:
    tables = set(catalogue.tables()) - {"published", "order"}  # nothing is published of digits
    for kind, names in (("figure", set(catalogue.figures()) - {"order"}), ("table", tables)):
        assert {page.count(f'id="{kind}-{name}"') for name in names} == {1}


def test_equal_records_give_equal_bytes(
    results: Results, claims: pd.DataFrame, published: Path, page: str
) -> None:
    latency = read_csv(published / "latency.csv")
    again = replace(results, latency=latency)
    assert render(again, claims, published / "figures", published / "report.html") == page


def test_hostile_names_stay_text(results: Results, claims: pd.DataFrame, published: Path) -> None:
    study, summary = results.study, results.summary.copy()
    config = {**study.config, "data": {**study.config["data"], "source": HOSTILE}}
    config["pairs"] = {HOSTILE: {"teacher": {"network": HOSTILE}, "student": {"network": HOSTILE}}}
    runs = study.runs.copy()
    for table in (runs, summary):
        for column in ("display", "pair", "criterion", "method"):
            table[column] = HOSTILE
    claims = claims.copy()
    for column in ("title", "wording", "source", "reason", "contrast", "pair"):
        claims[column] = HOSTILE
    hostile = replace(
        results,
        study=replace(study, title=HOSTILE, name=HOSTILE, config=config, runs=runs),
        summary=summary,
    )
    text = render(hostile, claims, published / "figures", published / "report.html")
    assert "img" not in Parser(text).tags
    assert "<img" not in text
    assert text.count("</script>") == 1


def test_a_study_of_few_methods_has_no_chapter_of_many(
    results: Results, claims: pd.DataFrame, published: Path, tmp_path: Path
) -> None:
    config = {**results.study.config, "comparison": {"methods": ["kd", "oto"]}}
    few = replace(results, study=replace(results.study, config=config))
    shutil.copytree(published / "figures", tmp_path / "figures")
    names = ["comparison", "pairwise", "order"]
    write_figures(few, tmp_path / "figures", names)
    text = render(few, claims, tmp_path / "figures", published / "report.html")
    assert 'id="exits"' in text
    assert not any(f'id="{place}"' in text for place in ("comparison", "figure-comparison"))
    assert not any(f'id="table-{name}"' in text for name in names)


def test_a_missing_figure_says_what_to_do(make_results: Make, tmp_path: Path) -> None:
    results = make_results(**TINY)
    judged = judge_claims(results)
    with pytest.raises(UserError, match=r"figures\.py"):
        render(results, judged, tmp_path, tmp_path / "report.html")


def test_steps_are_drawn_from_the_plan(results: Results) -> None:
    graph = step_graph(results.study)
    assert graph["multi_exit"] == {"data", "teachers"}
    assert graph["pruning"] >= {"students", "two_stage"}
    short = without_shortcuts(graph)
    assert short["multi_exit"] == {"teachers"}
    assert short["recovery"] == {"pruning"}
    drawn = draw_steps(results.study)
    boxes = {box.name: box for box in drawn.boxes}
    runs = len(results.study.runs)
    assert boxes["records"].counts == f"one for each of {runs} runs"
    assert boxes["data"].y < boxes["teachers"].y < boxes["two stage"].y < boxes["pruning"].y
    for box in drawn.boxes:
        assert 0 <= box.x - box.width / 2 < box.x + box.width / 2 <= drawn.width + 1e-6
    for box in drawn.boxes:  # no line passes a box that it does not belong to
        for x1, y1, x2, y2 in drawn.lines:
            beside = x1 != x2 or abs(x1 - box.x) >= box.width / 2
            assert beside or not y1 < box.y < y2
