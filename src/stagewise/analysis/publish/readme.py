"""README's results section and the gallery of figures, from a recorded study, none of it typed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.answers import answers
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.wording import by_claim, contrast_line, effect, read_claims
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.figures.drawing import WIDTH, is_notice
from stagewise.analysis.tables.files import markdown
from stagewise.errors import UserError
from stagewise.files import read_text
from stagewise.papers.claims import HEADLINE, UNITS

START, END = "<!-- results:start -->", "<!-- results:end -->"
SHOWN = {
    "differences": "Paired differences with 95 % intervals: what decides the claims.",
    "accuracy": "Test accuracy by arm; every dot is a seed.",
    "compression": "Accuracy against multiply-adds: dense, pruned, recovered.",
}
"""Figures of README's section, with their alternative texts."""
ALSO_SHOWN = {
    "shock": "Gradient shock: what happens to the backbone in the first steps.",
    "exits": "Accuracy of each exit and of their ensemble over their cost.",
}
"""Figures that the page of a folder in ``evidence/`` has besides."""
GALLERY = """# Gallery

Every figure of the default study and how to read it. `snakemake figures` draws them from the run
records alone, as SVG, PNG and, for LaTeX, PDF in `results/<study>/figures/`; equal records give
equal bytes. They are {width:g} inches wide, one column of a paper or a phone, and no text in them
is smaller than 7 points. Colours are distinct for all common kinds of colour blindness, and
shapes or places always say the same.
"""


def verdict_table(claims: pd.DataFrame) -> str:
    """One row a claim: verdict, and the effects that it rests on."""
    rows = []
    for claim, part in by_claim(claims):
        main = part[part["role"] == HEADLINE]
        first = part.iloc[0]
        effects = "<br>".join(contrast_line(row) for _, row in main.iterrows())
        rows.append(
            {
                "Claim": f"{claim} {first['title']}",
                "Verdict here": f"**{first['claim_verdict']}**",
                "Headline contrast": effects,
            }
        )
    return markdown(pd.DataFrame(rows))


def contrast_table(claims: pd.DataFrame) -> str:
    """A row for each contrast that the study has, with the smallest effect that it could detect
    (80 % power, two-sided 5 %) and the published one."""
    rows = []
    for _, row in claims[claims["n"] > 0].iterrows():
        published = [number(row[f"published_{end}"]) for end in ("low", "high")]
        compared = bool(row["control"]) and pd.notna(row["mde"])
        rows.append(
            {
                "Claim": row["claim"],
                "Pair": row["pair"],
                "Contrast": row["contrast"],
                "Effect": effect(row),
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


def answer_lists(claims: pd.DataFrame) -> str:
    """What the study answers, a sentence or two a claim, then what it leaves open, and why."""
    found, parts = answers(claims), []
    for title, decided in (("**Answered here**", True), ("**Left open here**", False)):
        lines = [
            f"- {answer.claim} ({answer.verdict}): {answer.sentence}"
            for answer in found
            if answer.decided == decided
        ]
        parts += [title, "\n".join(lines)] if lines else []
    return "\n\n".join(parts)


def section(evidence: Path, folder: Path, shown: Mapping[str, str] = SHOWN) -> str:
    """The section for a folder with ``claims.csv``, ``tables/`` and ``figures/``, in a page that
    lies in ``folder``; of the figures ``shown`` those that the study has something for."""
    kept = Path(os.path.relpath(evidence, folder))
    guide = os.path.relpath("docs/gallery.md", folder)
    claims = read_claims(evidence / "claims.csv")
    accuracy = read_text(evidence / "tables/accuracy.md")
    protocol = read_text(evidence / "tables/study.md").split("\n## ")[0].partition("\n")[2]
    parts = [answer_lists(claims), verdict_table(claims).strip()]
    parts += [
        f"![{text}]({kept}/figures/{name}.svg)"
        for name, text in shown.items()
        if not is_notice(evidence / f"figures/{name}.svg")
    ]
    parts += [f"<details><summary>How it was run</summary>\n\n{protocol.strip()}\n\n</details>"]
    parts += [f"<details><summary>Accuracy of every arm</summary>\n\n{accuracy.strip()}"]
    parts += [
        f"</details>\n\nAll tables: [{kept / 'tables'}]({kept}/tables/study.md). "
        f"All figures, and how to read them: [docs/gallery.md]({guide})."
    ]
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
