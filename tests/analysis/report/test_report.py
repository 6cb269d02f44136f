"""The report: one sound file, its verdicts, and where its numbers come from."""

import html.parser
import itertools
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
from stagewise.analysis.claims.answers import KINDS, NO_HARM, answers, tally
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures.files import write_figures
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.report.networks import first_runs, network_table
from stagewise.analysis.report.page import render
from stagewise.analysis.report.page_tables import page_table
from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.report.step_graph import draw_steps, step_graph, without_shortcuts
from stagewise.analysis.report.verdicts import claims_shown
from stagewise.analysis.tables.best import best_arms
from stagewise.analysis.tables.layout import layout
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
    outside = {
        load for load in parser.loads if not load.startswith(("#", "data:image/png;base64,"))
    }
    assert outside <= {""}
    assert page.count("<script>") == 1  # the study's title holds one more, as text
    assert "url(http" not in page
    assert "@import" not in page
    drawn = catalogue.figures().keys() - {"order", "target"}  # digits have neither
    assert page.count('<svg role="img" aria-labelledby="caption-') == len(drawn)
    assert len(page.encode()) < 1_500_000


def test_every_link_leads_somewhere(page: str, published: Path) -> None:
    parser = Parser(page)
    anchors = {link[1:] for link in parser.links if link.startswith("#")}
    assert anchors <= set(parser.ids)
    records = {link for link in parser.links if link and not link.startswith("#")}
    assert all((published / unquote(record)).is_file() for record in records)
    assert len(records) == len(json.loads((published / "plan.json").read_text())["runs"])


def test_the_answer_comes_first_then_verdicts_then_evidence_then_how(page: str) -> None:
    places = ("verdicts", "shock", "compression", "exits", "comparison", "all", "methods", "steps")
    order = [page.index(f'<section id="{place}"') for place in (*places, "environment", "runs")]
    assert order == sorted(order)
    first = page[: page.index("<main")]
    answer = page[page.index('<div class="answer">') : page.index('<div class="first">')]
    assert "<b>Use KD:</b>" in answer
    assert "<b>Prune" in answer
    assert re.findall("<dt>(.*?)</dt>", first) == ["Test accuracy", "Multiply-adds an image"]
    assert 'id="figure-cost"' in first
    opened = [name for name in places if f'<section id="{name}"' in page and _is_open(page, name)]
    assert opened == ["verdicts"]


def _is_open(page: str, section: str) -> bool:
    start = page.index(f'<section id="{section}"')
    return '<details class="fold" open>' in page[start : start + 200]


def test_each_verdict_stands_once_in_a_sentence_of_its_kind(
    page: str, claims: pd.DataFrame, results: Results
) -> None:
    verdicts = dict(claims[["claim", "claim_verdict"]].drop_duplicates().to_numpy())
    kinds = {answer.claim: answer.kind for answer in answers(claims)}
    assert {*kinds.values()} == {"", *KINDS} - {NO_HARM}  # here is a shock
    folded = page[page.index("Could not be decided") :]
    for claim, verdict in verdicts.items():
        badges = re.findall(rf'<li id="verdict-{claim}"><span class="verdict ([a-z-]+)"', page)
        assert badges == [verdict.replace(" ", "-")]
        assert (f'<li id="verdict-{claim}"' in folded) == bool(kinds[claim])
    assert page.count('<span class="verdict ') == len(verdicts)
    assert tally(answers(claims)) in page
    assert "Two papers" not in page


def test_a_study_without_claims_shows_none(
    results: Results, claims: pd.DataFrame, published: Path
) -> None:
    config = {**results.study.config, "claims_tested": []}
    without = replace(results, study=replace(results.study, config=config))
    text = render(without, claims, published / "figures", published / "report.html")
    assert "claim" not in re.sub(r"<(style|script)>.*?</\1>|claims\.csv", "", text, flags=re.S)
    for place in ("verdicts", "figure-differences"):
        assert f'id="{place}"' not in text
    assert 'id="compression"' in text
    failing = claims.assign(claim_verdict="fails")
    alarm = render(without, failing, published / "figures", published / "report.html")
    assert 'id="verdicts"' in alarm


def test_a_claim_of_the_users_own_is_judged_and_stands_in_its_chapter(
    results: Results, published: Path
) -> None:
    sides = {"treatment": {"arm": "distillation/{pair}.kd"}}
    sides["control"] = {"arm": "students/{pair}.baseline"}
    own = {
        **{"id": "X1", "title": "KD helps", "wording": "KD beats the student alone."},
        **{"holds": "KD beat the student alone", "fails": "KD beat nobody", "open": "whether KD"},
        "chapter": "comparison",
        "contrasts": [{"name": "KD − alone", "role": "headline", "rule": "difference", **sides}],
    }
    config = {**results.study.config, "claims": [own], "claims_tested": []}
    study = replace(results, study=replace(results.study, config=config))
    judged = judge_claims(study)
    rows = judged[judged["claim"] == "X1"]
    assert set(rows["claim_verdict"]) == {"reproduced"}
    assert set(rows["pair"]) == {"resnet", "vgg"}
    text = render(study, judged, published / "figures", published / "report.html")
    assert "Here, KD beat the student alone: +" in text
    chapter = text[text.index('<section id="comparison"') : text.index('<section id="all"')]
    assert 'id="claim-X1"' in chapter


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
    assert shown.kind == "not run"
    assert shown.answer == (
        "Whether a pruned network recovers better by KD than by labels, and in two stages than in"
        " one is open: the study has none of the networks that decide it."
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
    none = {"published", "order", "target", "recovery_shock"}  # digits have none
    tables = set(catalogue.tables()) - none
    figures = set(catalogue.figures()) - {"order", "target"}
    for kind, names in (("figure", figures), ("table", tables)):
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


def test_a_study_of_few_methods_has_no_matrix(
    results: Results, claims: pd.DataFrame, published: Path, tmp_path: Path
) -> None:
    config = {**results.study.config, "comparison": {"methods": ["kd", "oto"]}}
    few = replace(results, study=replace(results.study, config=config))
    shutil.copytree(published / "figures", tmp_path / "figures")
    names = ["pairwise", "order"]
    write_figures(few, tmp_path / "figures", names)
    text = render(few, claims, tmp_path / "figures", published / "report.html")
    assert 'id="figure-comparison"' in text
    assert not any(f'id="figure-{name}"' in text for name in names)


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


def test_tables_have_accuracy_second_and_nothing_that_is_the_same_everywhere(
    results: Results, published: Path
) -> None:
    provenance = Provenance(results, published)
    for name in ("accuracy", "pruning", "comparison"):
        table = make_table(name, results)
        found = page_table(table, provenance)
        assert found.headings[:2] == [
            "Method" if name == "comparison" else "Network",
            "Test accuracy, %",
        ]
        same = layout(table).same
        kept = {*found.headings} | {text.partition(":")[0] for text in same}
        dashes = {h for h in table.shown if set(table.shown[h]) == {"–"}}
        assert kept | dashes == {*table.shown}
        for text in same:
            heading, _, value = text.partition(": ")
            assert set(table.shown[heading]) == {value}
            assert text in found.caption
        bold = [row[0] for row in found.rows if str(row[1]).startswith("<strong>")]
        assert bold
        assert len(bold) < len(found.rows)


def test_no_code_of_a_network_stands_where_readers_look(page: str) -> None:
    """The list of runs has them, beside the names; nothing else."""
    told = page[: page.index('<section id="runs"')] + page[page.index("<footer>") :]
    text = re.sub(r"<(style|script)>.*?</\1>|<svg.*?</svg>|<[^>]+>", " ", told, flags=re.S)
    steps = "students|distillation|two_stage|multi_exit|pruning|recovery|pretraining"
    assert not re.findall(rf"\b(?:{steps})/[\w.{{}}-]+", text)
    assert not re.findall(r"\b(?:gates?|arms?|sparse − dense)\b", text, flags=re.I)


def test_the_best_is_bold_with_what_is_not_shown_to_be_worse() -> None:
    def rows(arm: str, values: list[float], step: str = "distillation") -> pd.DataFrame:
        seeds = range(len(values))
        return pd.DataFrame({"arm": arm, "step": step, "seed": seeds, "test_accuracy": values})

    noise = np.array([0.2, -0.1, 0.05, 0.15, -0.2, -0.1])
    near = np.array([0.3, -0.3, 0.2, -0.2, 0.1, -0.4])
    group = [rows("best", list(90 + noise)), rows("near", list(90 + noise + near - 0.01))]
    group += [rows("worse", list(88 + noise[::-1])), rows("t", list(99 + noise), "teachers")]
    assert best_arms([pd.concat(group)]) == {"best", "near"}
    few = pd.concat([part[part["seed"] < 2] for part in group])
    assert best_arms([few]) == {"best"}
    assert best_arms([group[0]]) == frozenset(), "one network is no choice"


def test_rates_are_told_network_by_network(results: Results, published: Path) -> None:
    config = {**results.study.config, "learning_rates": {"distillation/vgg.kd": 0.3}}
    some = replace(results, study=replace(results.study, config=config))
    table = network_table(some, first_runs(some.study), Provenance(some, published))
    column = table.headings.index("Rate")
    told = {row[column].partition(", ")[2] for row in table.rows}
    assert told >= {"tuned", "given", "common"}
    assert sum(row[column].endswith("tuned") for row in table.rows) == 1


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def test_every_colour_of_text_has_enough_contrast(page: str) -> None:
    """WCAG AA, which axe-core asks for: 4.5 to 1, on the page and on its cards, light and dark."""
    schemes = re.findall(r"--paper: (?:#\w{6});.*?--open: #\w{6};", page, flags=re.S)
    assert len(schemes) >= 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6});", scheme))
        for ground in ("paper", "card"):
            for ink in ("ink", "soft", "link", "good", "half", "bad", "open"):
                pair = sorted(luminance(colours[name]) for name in (ground, ink))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ground, ink)


def test_the_page_can_be_used_without_eyes_or_mouse(page: str) -> None:
    """What axe-core asks for, as far as it can be seen without a browser."""
    assert '<html lang="en">' in page
    assert page.count("<main") == page.count("<h1") == 1
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = {*Parser(page).ids}
    for named in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert named in ids
    for scroll in re.findall(r'<div class="[^"]*scroll[^"]*"[^>]*>', page):
        assert 'tabindex="0"' in scroll
        assert "aria-label" in scroll
    assert not re.findall(r'tabindex="[1-9]', page)
    for button in re.findall(r"<button[^>]*>(.*?)</button>", page):
        assert button.strip()
    for summary in re.findall(r"<summary>(.*?)</summary>", page, flags=re.S):
        assert "<a " not in summary
        assert "<button" not in summary
    for inside in re.findall(r"<dl[^>]*>(.*?)</dl>", page, flags=re.S):
        assert {*re.findall(r"<(\w+)", inside)} <= {"div", "dt", "dd", "span", "b", "i", "a"}
