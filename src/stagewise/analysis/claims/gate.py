"""The study gate: can this study judge claims at all?"""

from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.contrasts import by_seed
from stagewise.analysis.records.study import Study
from stagewise.papers.claims import Side


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


def study_gate(study: Study, summary: pd.DataFrame) -> Gate:
    """Teacher minus baseline student, mean validation accuracy, in every pair of the config."""
    needed = float(study.config["gate"]["points"])
    if not study.holds_out:
        return Gate({}, needed, judged=False)
    leads = {}
    for pair in study.config["pairs"]:
        teacher, student = (
            by_seed(summary[summary["arm"] == arm], Side(arm), "validation_accuracy")["value"]
            for arm in (f"teachers/{pair}", f"students/{pair}.baseline")
        )
        if len(teacher) and len(student):
            leads[pair] = float(teacher.mean() - student.mean())
    return Gate(leads, needed)
