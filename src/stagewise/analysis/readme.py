"""The results section of the README, from a recorded study; nothing in it is typed by hand."""

from pathlib import Path

import pandas as pd

from stagewise.analysis.publish import markdown
from stagewise.analysis.words import by_claim, contrast_line
from stagewise.errors import UserError

START, END = "<!-- results:start -->", "<!-- results:end -->"
SHOWN = {
    "differences": "Paired differences with 95 % intervals: what decides the claims.",
    "accuracy": "Test accuracy by arm; every dot is a seed.",
    "compression": "Accuracy against multiply-adds: dense, pruned, recovered.",
}
"""Figures of the section, with their alternative texts."""


def verdict_table(claims: pd.DataFrame) -> str:
    """One row a claim: verdict, and the effects that it rests on."""
    rows = []
    for claim, part in by_claim(claims):
        main = part[part["role"] == "headline"]
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


def section(evidence: Path) -> str:
    """The section for a folder with ``claims.csv``, ``tables/`` and ``figures/``."""
    claims = pd.read_csv(evidence / "claims.csv", keep_default_na=True)
    claims[["pair", "reason"]] = claims[["pair", "reason"]].fillna("")
    accuracy = (evidence / "tables/accuracy.md").read_text(encoding="utf-8")
    protocol = (evidence / "tables/study.md").read_text(encoding="utf-8").split("\n## ")[0]
    parts = [protocol.partition("\n")[2].strip(), verdict_table(claims).strip()]
    parts += [f"![{text}]({evidence}/figures/{name}.svg)" for name, text in SHOWN.items()]
    parts += [f"<details><summary>Accuracy of every arm</summary>\n\n{accuracy.strip()}"]
    parts += [f"</details>\n\nAll tables: [{evidence}/tables]({evidence}/tables/study.md)."]
    return "\n\n".join(parts)


def filled(readme: str, text: str) -> str:
    """``readme`` with ``text`` between its two markers."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise UserError(f"README: the markers {START} and {END} must stand there, in this order")
    return f"{before}{START}\n{text}\n{END}{after}"
