"""README's results section and the gallery of figures, from a recorded study, none of it typed."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.answers import (
    KINDS,
    NOT_RUN,
    answers,
    of_tried_papers,
    tally,
)
from stagewise.analysis.claims.mechanism import Correlation, Within, sentence_within
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.wording import effect, read_claims
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.figures.drawing import WIDTH, is_notice
from stagewise.analysis.report.answer import Advice, advise
from stagewise.analysis.tables.files import markdown
from stagewise.errors import UserError
from stagewise.files import read_text
from stagewise.papers.claims import UNITS, load_claims

START, END = "<!-- results:start -->", "<!-- results:end -->"
SHOWN = {
    "cost": "Accuracy over multiply-adds: the line joins the networks that none cheaper equals.",
    "speed": "Accuracy over milliseconds: the line joins the networks that none faster equals.",
}
"""Figures of the section's first screen, with their alternative texts."""
ALSO_SHOWN = {
    "differences": "Paired differences with 95 % intervals: what decides the claims.",
    "accuracy": "Test accuracy of every network; every dot is a seed.",
    "compression": "Accuracy against multiply-adds: dense, pruned, recovered.",
    "recovery": "What recovery gives back of what pruning took, and whose doing it is.",
    "chain": "The hybrid chain beside each technique alone, over every cost.",
    "shock": "Gradient shock: what happens to the backbone in the first steps.",
    "exits": "Accuracy of each exit and of their ensemble over their cost.",
}
"""Figures that are folded below."""
OLDER = "compression"
"""The figure of the first screen of results that are older than the others."""
GALLERY = """# Gallery

Every figure of the default study and how to read it. `snakemake figures` draws them from the run
records alone, as SVG, PNG and, for LaTeX, PDF in `results/<study>/figures/`; equal records give
equal bytes. They are {width:g} inches wide, one column of a paper or a phone, and no text in them
is smaller than 7 points. Colours are distinct for all common kinds of colour blindness, and
shapes or places always say the same.
"""


def contrast_table(claims: pd.DataFrame) -> str:
    """A row for each contrast, with the smallest effect that the study could detect (80 % power,
    two-sided 5 %) and the published one; of those whose networks it lacks, with the reason."""
    rows = []
    for _, row in claims.iterrows():
        published = [number(row[f"published_{end}"]) for end in ("low", "high")]
        compared = bool(row["control"]) and pd.notna(row["mde"])
        rows.append(
            {
                "Claim": row["claim"],
                "Pair": row["pair"],
                "Contrast": row["contrast"],
                "Effect": effect(row) if row["n"] else "–",
                "Detectable": _detectable(row) if compared else "–",
                "Published": " to ".join(published) if pd.notna(row["published_low"]) else "–",
                "Verdict": ": ".join(filter(None, (row["verdict"], row["reason"]))),
                "Note": row["note"] or "–",
            }
        )
    return markdown(pd.DataFrame(rows))


def _detectable(row: pd.Series) -> str:
    """The detectable effect; of a ratio, the factor."""
    return number(row["mde"], signed=False) + ("×" if UNITS[row["unit"]].log else "")


def kept_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables from which advice is made, as far as a folder has them."""
    found = {}
    for name in ("accuracy", "pruning", "comparison", "latency"):
        file = folder / f"{name}.csv"
        empty = not file.is_file() or not read_text(file).strip()
        table = pd.DataFrame() if empty else pd.read_csv(file)
        text = table.select_dtypes(exclude="number").columns
        found[name] = table.assign(**{column: table[column].fillna("") for column in text})
    return found


def advice_text(advice: Advice) -> str:
    """The answer, a sentence a line, and the tiles as a table."""
    lines = []
    for sentence in advice.sentences:
        head, colon, rest = sentence.partition(":")
        lines.append(f"**{head}:**{rest}" if colon else sentence)
    parts = ["\\\n".join(lines)]
    if advice.tiles:
        names = [name for name, *_ in advice.tiles[0].lines]
        rows = []
        for name in names:
            row = {"Network": name or "–"}
            for tile in advice.tiles:
                told = {of: (value, beside) for of, value, beside in tile.lines}
                value, beside = told.get(name, ("–", ""))
                row[tile.heading] = f"**{value}**" + (f" ({beside})" if beside else "")
            rows.append(row)
        parts.append(markdown(pd.DataFrame(rows)).strip())
    return "\n\n".join(parts)


def tries_claims(claims: pd.DataFrame) -> bool:
    """Whether a study has the networks of any claim."""
    return any(answer.kind != NOT_RUN for answer in answers(claims))


def within_arms(tables: Path) -> dict[str, str]:
    """Claim → what was found within arms, of a folder with a table ``mechanism``."""
    file = tables / "mechanism.csv"
    if not file.is_file() or not read_text(file).strip():
        return {}
    kept = pd.read_csv(file)
    told = {}
    for claim in load_claims().claims:
        rows = kept[kept["measure"] == claim.within_arms].to_dict("records")
        said = [
            sentence_within(
                row["pair"],
                row["common_rate"],
                row["measure"],
                Within(
                    int(row["arms"]),
                    int(row["n"]),
                    int(row["seeds"]),
                    Correlation(*(row[part] for part in Correlation._fields)),
                    Correlation(*(row[f"{part}_beside"] for part in Correlation._fields)),
                ),
            )
            for row in rows
        ]
        told[claim.id] = " ".join(filter(None, said))
    return told


def answer_lists(claims: pd.DataFrame, beside: Mapping[str, str]) -> list[str]:
    """Verdicts, a plain sentence each, then folded what could not be decided, its kinds apart;
    nothing where no claim was tried. ``beside``: claim → what is said after its sentence."""
    if not tries_claims(claims):
        return []
    found = [
        replace(a, sentence=" ".join(filter(None, (a.sentence, beside.get(a.claim, "")))))
        for a in answers(of_tried_papers(claims))
    ]
    decided = [f"- **{a.verdict}** {a.sentence} ({a.claim})" for a in found if a.decided]
    parts = ["\n".join(decided)] if decided else []
    if opened := [answer for answer in found if not answer.decided]:
        folded = [f"<details><summary>Could not be decided: {tally(opened)}</summary>"]
        for kind, meaning in KINDS.items():
            lines = [f"- {a.sentence} ({a.claim})" for a in opened if a.kind == kind]
            folded += [f"**{kind.capitalize()}.** {meaning}", "\n".join(lines)] if lines else []
        parts.append("\n\n".join([*folded, "</details>"]))
    return parts


def pictures(evidence: Path, kept: Path, shown: Mapping[str, str]) -> list[str]:
    """Links to the figures that a folder has something for."""
    files = {name: evidence / f"figures/{name}.svg" for name in shown}
    there = [name for name, file in files.items() if file.is_file() and not is_notice(file)]
    return [f"![{shown[name]}]({kept}/figures/{name}.svg)" for name in there]


def section(evidence: Path, folder: Path) -> str:
    """The section for a folder with ``claims.csv``, ``tables/`` and ``figures/``, in a page that
    lies in ``folder``: what the report's first screen shows, then all else folded."""
    kept = Path(os.path.relpath(evidence, folder))
    guide = os.path.relpath("docs/gallery.md", folder)
    claims = read_claims(evidence / "claims.csv")
    tables = kept_tables(evidence / "tables")
    advice = advise(tables, [str(pair) for pair in tables["accuracy"]["pair"].unique()])
    accuracy = read_text(evidence / "tables/accuracy.md")
    protocol = read_text(evidence / "tables/study.md").split("\n## ")[0].partition("\n")[2]
    first = pictures(evidence, kept, SHOWN) or pictures(evidence, kept, {OLDER: ALSO_SHOWN[OLDER]})
    parts = [advice_text(advice), *first, *answer_lists(claims, within_arms(evidence / "tables"))]
    also = [link for link in pictures(evidence, kept, ALSO_SHOWN) if link not in first]
    for title, text in (
        ("More pictures", "\n\n".join(also)),
        ("How it was run", protocol.strip()),
        ("Accuracy of every network", accuracy.strip()),
    ):
        parts.append(f"<details><summary>{title}</summary>\n\n{text}\n\n</details>")
    parts.append(
        f"All tables: [{kept / 'tables'}]({kept}/tables/study.md). "
        f"All figures, and how to read them: [docs/gallery.md]({guide})."
    )
    return "\n\n".join(parts)


def gallery(evidence: Path, config: Mapping[str, Any]) -> str:
    """``docs/gallery.md``: each figure of ``evidence`` with its caption for the study's config;
    what the study has nothing for, or older evidence lacks, is left out."""
    parts = [GALLERY.format(width=WIDTH)]
    for name in catalogue.figures():
        file = evidence / f"figures/{name}.svg"
        if not file.is_file() or is_notice(file):
            continue
        text = caption(name, config)
        picture = f"![{text.partition(':')[0].partition('.')[0]}.](../{file})"
        parts.append(f"## {name.capitalize()}\n\n{picture}\n\n{text}\n")
    return "\n".join(parts)


def filled(readme: str, text: str, name: Path | str = "README.md") -> str:
    """``readme``, the text of the file ``name``, with ``text`` between its two markers."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise UserError(f"{name}: the markers {START} and {END} must stand there, in this order")
    return f"{before}{START}\n{text}\n{END}{after}"
