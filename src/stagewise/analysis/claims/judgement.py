"""From a study's records to ``claims.csv``: each claim's contrasts in each pair, with verdicts.

The claims are data (``claims.yaml``); how they are judged stands in ``rules.py``.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from stagewise.analysis.claims import rules
from stagewise.analysis.claims.statistics import NAN, Paired, holm, paired
from stagewise.analysis.records.shock import MEASURES, shock_table
from stagewise.analysis.records.study import FINAL, Study, exit_called

HEADLINE = "headline"
COLUMNS = [
    "claim",
    "paper",
    "title",
    "claim_verdict",
    "pair",
    "role",
    "contrast",
    "unit",
    "treatment",
    "treatment_exit",
    "control",
    "control_exit",
    "treatment_mean",
    "control_mean",
    "n",
    "mean",
    "sd",
    "low",
    "high",
    "p_t",
    "p_holm",
    "p_sign_flip",
    "p_sign_flip_minimum",
    "mde",
    "p_equivalence",
    "published_low",
    "published_high",
    "verdict",
    "reason",
    "wording",
    "source",
]


@dataclass(frozen=True)
class Gate:
    """Whether the study can judge: per pair the teacher's lead on validation, points.

    ``judged``: whether images were held out for it; a gate that is not judged stops nothing.
    """

    leads: dict[str, float]
    needed: float
    judged: bool = True

    @property
    def reason(self) -> str:
        """Why the study cannot judge; empty where it can."""
        if not self.judged:
            return ""
        weak = [pair for pair, lead in self.leads.items() if not lead >= self.needed]
        if not self.leads:
            return "study gate: no pair has both a teacher and a baseline student"
        if weak:
            leads = ", ".join(f"{pair} {self.leads[pair]:+.1f}" for pair in weak)
            return (
                f"study gate failed: the teacher's lead on validation is {leads} points, "
                f"{self.needed:g} are needed in every pair"
            )
        return ""


@cache
def load_claims() -> dict[str, Any]:
    """The packaged ``claims.yaml``; read it, change nothing."""
    text = files("stagewise.papers").joinpath("claims.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def study_gate(study: Study, summary: pd.DataFrame) -> Gate:
    """Teacher minus baseline student, mean validation accuracy, in every pair of the config."""
    needed = float(study.config["gate"]["points"])
    if not study.holds_out:
        return Gate({}, needed, judged=False)
    leads = {}
    for pair in study.config["pairs"]:
        teacher = _values(summary, {"arm": f"teachers/{pair}"}, "validation_accuracy")
        student = _values(summary, {"arm": f"students/{pair}.baseline"}, "validation_accuracy")
        if len(teacher) and len(student):
            leads[pair] = float(teacher.mean() - student.mean())
    return Gate(leads, needed)


def judge_claims(study: Study, summary: pd.DataFrame) -> pd.DataFrame:
    """A row per claim, contrast and pair (one row without a pair where no pair has the arms).

    A guard stands among them where the study has its arms; no gate and no list binds it.
    """
    book = load_claims()
    gate, tested = study_gate(study, summary), set(study.config["claims_tested"])
    guards = {guard["id"] for guard in book["guards"]}
    shock = shock_table(study).assign(exit=FINAL)
    rows: list[dict[str, Any]] = []
    for claim in [*book["claims"], *book["guards"]]:
        found = [
            row
            for contrast in claim["contrasts"]
            for pair in study.config["pairs"]
            if (row := _contrast(contrast, pair, summary, shock, book["margin"]))
        ]
        absent = [] if claim["id"] in guards else [_empty(claim["contrasts"][0])]
        for row in found or absent:
            named = {key: claim[key] for key in ("paper", "title", "wording", "source")}
            rows.append({"claim": claim["id"], **named, **row})
    _correct(rows, tested)
    for row in rows:
        free = row["claim"] in guards
        _decide(row, "" if free else gate.reason, free or row["claim"] in tested)
    verdicts = _claim_verdicts(rows)
    table = pd.DataFrame([{**row, "claim_verdict": verdicts[row["claim"]]} for row in rows])
    return table[COLUMNS]


def _values(source: pd.DataFrame, side: dict[str, str], measure: str) -> pd.Series:
    """A side's measure by seed: of an exit, or of the gain over another exit of the same run."""
    part = source.loc[source["arm"] == side["arm"], ["exit", "seed", measure]]
    if part.empty:
        return pd.Series(dtype=float)

    def at(name: str) -> pd.Series:
        rows = part[part["exit"] == exit_called(part["exit"], name)]
        return pd.Series(rows[measure].to_numpy(float), rows["seed"].to_numpy())

    values = at(side.get("exit", "main"))
    return values - at(side["minus_exit"]) if "minus_exit" in side else values


def _contrast(
    contrast: dict[str, Any],
    pair: str,
    summary: pd.DataFrame,
    shock: pd.DataFrame,
    margin: float,
) -> dict[str, Any] | None:
    """One contrast in one pair; None where the study lacks an arm or an exit."""
    measure = contrast.get("measure", "test_accuracy")
    source = shock if measure in MEASURES else summary
    sides = {
        name: {**contrast[name], "arm": contrast[name]["arm"].format(pair=pair)}
        for name in ("treatment", "control")
        if name in contrast
    }
    values = {name: _values(source, side, measure).dropna() for name, side in sides.items()}
    if any(part.empty for part in values.values()):
        return None
    treatment, control = values["treatment"], values.get("control")
    if control is None:
        differences = treatment
    else:
        if sides["control"]["arm"].startswith("teachers/"):
            # One teacher serves all seeds: it is a constant, and its own variation is not seen.
            control = pd.Series(float(control.mean()), index=treatment.index)
        differences = (treatment - control).dropna()
        treatment, control = treatment[differences.index], control[differences.index]
    low, high = contrast.get("published", (NAN, NAN))
    return {
        **_empty(contrast),
        "pair": pair,
        "treatment": sides["treatment"]["arm"],
        "control": sides.get("control", {}).get("arm", ""),
        "treatment_mean": float(treatment.mean()),
        "control_mean": NAN if control is None else float(control.mean()),
        **paired(differences.sort_index(), margin).columns(),
        "published_low": low,
        "published_high": high,
    }


def _empty(contrast: dict[str, Any]) -> dict[str, Any]:
    """A row's fixed part; as it stands it says that no pair has the contrast's arms."""
    return {
        "pair": "",
        "contrast": contrast["name"],
        "role": contrast["role"],
        "rule": contrast["rule"],
        "threshold": contrast.get("threshold", NAN),
        "unit": contrast.get("unit", "points"),
        "treatment": contrast["treatment"]["arm"],
        "treatment_exit": contrast["treatment"].get("exit", "main"),
        "control": contrast.get("control", {}).get("arm", ""),
        "control_exit": contrast.get("control", {}).get("exit", "main"),
        "treatment_mean": NAN,
        "control_mean": NAN,
        **Paired(0).columns(),
        "published_low": NAN,
        "published_high": NAN,
    }


def _correct(rows: list[dict[str, Any]], tested: set[str]) -> None:
    """Add ``p_holm``: Holm over the tested headline differences within each paper."""
    for row in rows:
        row["p_holm"] = NAN
    for paper in {row["paper"] for row in rows}:
        family = [
            row
            for row in rows
            if row["paper"] == paper and row["role"] == HEADLINE and row["claim"] in tested
            # "above" sets a level, it does not compare two arms
            if row["rule"] != "above"
        ]
        for row, p in zip(family, holm([row["p_t"] for row in family]), strict=True):
            row["p_holm"] = p


def _decide(row: dict[str, Any], gate_reason: str, tested: bool) -> None:
    """Add ``verdict`` and ``reason`` to a row; secondary rows carry no verdict."""
    if not row["pair"]:
        row["verdict"], row["reason"] = rules.NOT_TESTABLE, "the study has no such arms"
        return
    if row["role"] != HEADLINE:
        row["verdict"], row["reason"] = "", "shown beside the headline"
        return
    evidence = rules.Evidence(
        paired=Paired(**{field: row[field] for field in Paired.__dataclass_fields__}),
        p_holm=row["p_holm"],
        treatment_mean=row["treatment_mean"],
        control_mean=row["control_mean"],
        published_low=row["published_low"],
        threshold=row["threshold"],
        tested=tested,
        gate_reason=gate_reason,
    )
    row["verdict"], row["reason"] = rules.judge(row["rule"], evidence)


def _claim_verdicts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Claim to its verdict over its headline rows."""
    verdicts: dict[str, list[str]] = {row["claim"]: [] for row in rows}
    for row in rows:
        if row["role"] == HEADLINE:
            verdicts[row["claim"]].append(row["verdict"])
    return {claim: rules.combine(found) for claim, found in verdicts.items()}
