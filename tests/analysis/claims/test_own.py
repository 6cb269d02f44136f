"""Claims that a study's own config makes: read, checked, and judged like those of the papers."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stagewise.analysis.claims.answers import answers
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.errors import UserError
from stagewise.papers.claims import OWN, claims_of, load_claims
from stagewise.study.config import resolve_config

Make = Callable[..., Results]
CONTRAST = {
    "name": "KD − alone",
    "treatment": {"arm": "distillation/{pair}.kd"},
    "control": {"arm": "students/{pair}.baseline"},
}
CLAIM: dict[str, Any] = {
    **{"id": "X1", "title": "KD helps", "wording": "KD beats the student alone."},
    **{"holds": "KD helped", "fails": "KD did not help", "open": "whether KD helps"},
    "contrasts": [CONTRAST],
}
STUDY = {
    "study": "mine",
    "data": {"source": "digits"},
    "pairs": {"p": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}},
    "distillation": {"pairs": ["p"], "methods": ["kd"]},
}


def written(*claims: dict[str, Any]) -> dict[str, Any]:
    """The config as the workflow hands it on."""
    config = resolve_config({**STUDY, "claims": [*claims]}).as_dict()
    return {"claims": json.loads(json.dumps(config["claims"]))}


def test_it_stands_between_the_papers_and_the_guards() -> None:
    book = claims_of(written(CLAIM))
    ids = [claim.id for claim in book.claims]
    packaged = [claim.id for claim in load_claims().claims]
    assert ids == [*packaged[:-1], "X1", packaged[-1]]
    [own] = [claim for claim in book.claims if claim.paper == OWN]
    assert (own.chapter, own.contrasts[0].rule, own.contrasts[0].decides) == (
        *("all", "difference"),
        True,
    )
    assert claims_of({}) is load_claims()


def test_it_is_judged_by_itself_and_weighs_on_no_paper(made: Make) -> None:
    base = 80 + np.array([0.3, 0.9, -0.4, 0.0, 1.1, -0.6])
    noise = np.array([0.2, -0.1, 0.05, 0.15, -0.2, -0.1])
    arms = {"distillation/p.kd": base + 2 + noise, "students/p.baseline": base}
    claims = judge_claims(made(arms, **written(CLAIM)))
    row = claims[claims["claim"] == "X1"].iloc[0]
    assert (row["claim_verdict"], row["paper"]) == ("reproduced", OWN)
    assert row["p_holm"] == pytest.approx(row["p_t"])
    book = claims_of(written(CLAIM))
    told = {a.claim: a.sentence for a in answers(claims, book)}["X1"]
    assert told.startswith("Here, KD helped: +2.0 points, between ")
    # Evidence has the rows alone: the title stands for the clauses.
    assert "it holds that KD helps" in {a.claim: a.sentence for a in answers(claims)}["X1"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "A4"}, r"claims\.0\.id: 'A4' names another claim"),
        ({"id": "A5"}, r"claims\.0\.id: 'A5' names another claim"),
        ({"id": "x"}, r"claims\.0\.id"),
        ({"chapter": "nowhere"}, r"claims\.0\.chapter"),
        ({"contrasts": []}, r"claims\.0\.contrasts"),
        ({"contrasts": [{**CONTRAST, "role": "secondary"}]}, "none is a headline"),
        ({"contrasts": [CONTRAST, CONTRAST]}, "stands twice"),
        ({"contrasts": [{**CONTRAST, "rule": "above"}]}, r"threshold: the rule above needs one"),
        (
            {"contrasts": [{k: v for k, v in CONTRAST.items() if k != "control"}]},
            r"contrasts\.0\.control: the rule difference needs one",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        resolve_config({**STUDY, "claims": [{**CLAIM, **change}]})


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"claims\.1\.id: 'X1' names another claim"):
        resolve_config({**STUDY, "claims": [CLAIM, CLAIM]})
