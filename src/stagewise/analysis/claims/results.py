"""A study and what was measured of it: what verdicts, tables, figures and the report start from."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from stagewise.analysis.claims.contrasts import Contrasts, measure_contrasts
from stagewise.analysis.claims.gate import Gate, study_gate
from stagewise.analysis.records.candidates import read_candidates
from stagewise.analysis.records.csv_files import TEXT, read_csv
from stagewise.analysis.records.gradcam import read_gradcam
from stagewise.analysis.records.labels import LABELS
from stagewise.analysis.records.logits import ENSEMBLE, FINAL
from stagewise.analysis.records.shock import shock_table
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import REQUIRED, main_outputs
from stagewise.errors import UserError
from stagewise.papers.claims import OWN, ClaimBook, claims_of

PLANNED = ("arm", "step", "name", "seed", *LABELS)
"""Columns of the summary that say what the plan says."""
LATENCY = ("arm", "batch", "milliseconds")
"""Columns that ``latency.csv`` has at least."""


@dataclass(frozen=True)
class Results:
    """``summary``: a row per run and exit. ``latency``: a row per arm, exit (old ones lack it) and
    batch size, where it was measured. ``gradcam``: a row per student and exit, where maps were
    compared, and ``pictures``, the file of some. ``candidates``: a row per file that may ship,
    where the study has a target. What several of those who read it need is computed here, once."""

    study: Study
    summary: pd.DataFrame
    latency: pd.DataFrame | None = None
    gradcam: pd.DataFrame | None = None
    pictures: Path | None = None
    candidates: pd.DataFrame | None = None

    @cached_property
    def main(self) -> pd.DataFrame:
        """The rows of ``summary`` that stand for a network."""
        return main_outputs(self.summary)

    @cached_property
    def shock(self) -> pd.DataFrame:
        """A row per run that logged the gradient shock of a new classifier, with its quantities."""
        return shock_table(self.study)

    @cached_property
    def recovery_shock(self) -> pd.DataFrame:
        """The same of pruned networks that are trained again."""
        return shock_table(self.study, recovery=True)

    @cached_property
    def gate(self) -> Gate:
        """Whether the study can judge."""
        return study_gate(self.study, self.summary)

    @cached_property
    def timed(self) -> pd.DataFrame:
        """``latency`` with the exit of each row; that of two runs which answer together is the one
        after the other; empty where none was measured."""
        if self.latency is None or self.latency.empty:
            return pd.DataFrame(columns=[*LATENCY, "exit"])
        if "exit" in self.latency:
            pairs = list(self._of_two(self.latency))
            twice = {arm for pair in pairs for arm in pair["arm"]}
            others = self.latency[~self.latency["arm"].isin(twice)]
            return pd.concat([others, *pairs], ignore_index=True)
        outputs = self.main.drop_duplicates("arm").set_index("arm")["exit"]
        return self.latency.assign(exit=self.latency["arm"].map(outputs).fillna(FINAL))

    def _of_two(self, timed: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """The rows of each arm whose runs answer with a partner."""
        arms = self.study.runs.set_index("path")["arm"]
        added = [name for name in ("milliseconds", "low", "high") if name in timed]
        alone = timed[timed["exit"] == FINAL].set_index(["arm", "batch"])
        for run in self.study.runs.query("partner != ''").drop_duplicates("arm").itertuples():
            own, theirs = (
                alone[alone.index.get_level_values("arm") == arm].droplevel("arm")
                for arm in (run.arm, arms.get(run.partner, ""))
            )
            both = own.assign(arm=str(run.arm), exit=ENSEMBLE)
            both[added] += theirs[added]
            yield both.dropna(subset="milliseconds").reset_index()[[*timed.columns]]

    @property
    def rates(self) -> list[float]:
        """The learning rates that all arms of paper A have in common; older studies have none."""
        return list(self.study.config.get("two_stage", {}).get("common_rates", []))

    @cached_property
    def arms(self) -> set[str]:
        """Every arm of the plan."""
        return {*self.study.runs["arm"]}

    @cached_property
    def book(self) -> ClaimBook:
        """The claims of the papers and of the study's own."""
        return claims_of(self.study.config)

    @property
    def claims_listed(self) -> set[str]:
        """The claims that this study may decide: those that its config lists, and its own."""
        listed = self.book.listed(self.study.config["claims_tested"])
        return listed | {claim.id for claim in self.book.claims if claim.paper == OWN}

    @cached_property
    def contrasts(self) -> Contrasts:
        """The contrasts of the claims that the study has the arms of."""
        return measure_contrasts(
            self.book,
            list(self.study.config["pairs"]),
            self.rates,
            self.study.runs,
            self.summary,
            self.shock,
        )


def read_results(
    plan: Path | str,
    root: Path | str,
    summary: Path | str,
    latency: Path | str | None = None,
    own: str = "",
    gradcam: Path | None = None,
    candidates: Path | None = None,
) -> Results:
    """Results from their files; ``own``: the claims of the study's own, as JSON: the plan has none,
    so that a change of them makes nothing else anew. Pictures of Grad-CAM maps lie beside
    ``gradcam``.

    Raises:
        UserError: one is missing or broken.
    """
    study = read_study(plan, root)
    if own:
        study.config["claims"] = json.loads(own)
    table = read_csv(summary, REQUIRED, key=("path", "exit"), text=(*TEXT, "step", "name"))
    if problem := _unlike(table, study.runs):
        raise UserError(f"{summary}: {problem} {plan}; delete it and run again")
    times = _read_latency(latency) if latency else None
    tried = read_candidates(candidates, study.runs) if candidates else None
    if gradcam is None:
        return Results(study, table, times, candidates=tried)
    maps = read_gradcam(gradcam, study.runs)
    return Results(study, table, times, maps, gradcam.with_suffix(".npz"), tried)


def _read_latency(file: Path | str) -> pd.DataFrame:
    """Files of before exits were timed have one row per arm and batch size."""
    table = read_csv(file, LATENCY)
    columns = LATENCY if "exit" not in table else (*LATENCY, "exit")
    return read_csv(file, columns, key=tuple(name for name in columns if name != "milliseconds"))


def _unlike(summary: pd.DataFrame, runs: pd.DataFrame) -> str:
    """In what a summary is not of the plan's runs, up to the plan's name; empty where it is."""
    if strange := sorted({*summary["path"]} - {*runs["path"]}):
        return f"'{strange[0]:.80}' is no run of"
    if lacking := sorted({*runs["path"]} - {*summary["path"]}):
        return f"lacks '{lacking[0]:.80}', a run of"
    planned = runs.set_index("path").loc[summary["path"], list(PLANNED)].reset_index(drop=True)
    for column in PLANNED:
        same = planned[column].eq(summary[column])
        if not (same | (planned[column].isna() & summary[column].isna())).all():
            return f"column '{column}' does not say what is in"
    return ""
