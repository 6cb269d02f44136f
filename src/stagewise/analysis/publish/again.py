"""Kept evidence judged again, without training: what its records carry, by the rules of today.

Records hold the accuracy of a run's main output alone. A contrast that takes another output is
judged by the statistics that the kept ``claims.csv`` has of it; where it has none, its row says
what the records lack.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from stagewise.analysis.claims.contrasts import Contrasts, Kept, Key
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired
from stagewise.analysis.figures import differences, shock
from stagewise.analysis.figures.drawing import save, style
from stagewise.analysis.publish.evidence import page
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.logits import SPLITS, main_output
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import COSTS, METRICS, summarise
from stagewise.analysis.tables.files import protocol_lines, table_text
from stagewise.analysis.tables.table import make_table
from stagewise.errors import UserError
from stagewise.files import write_text

STATISTICS = ("mean", "sd", "low", "high", "p_t", "p_sign_flip", "p_sign_flip_minimum")
NEEDED = ("claim", "contrast", "pair", "treatment_mean", "control_mean", "n", *STATISTICS)
"""Columns of a kept ``claims.csv``, of whichever version."""


@dataclass(frozen=True)
class KeptResults(Results):
    """Results of records alone. ``kept``: the rows of the kept ``claims.csv``."""

    kept: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def contrasts(self) -> Contrasts:
        """Those of the records, and for those that records cannot carry the kept statistics."""
        found = super().contrasts
        measured, lacking = dict(found.measured), dict(found.lacking)
        for key, why in found.lacking.items():
            if "outputs" in why and (kept := self._kept(key)):
                measured[key] = kept
                del lacking[key]
        return Contrasts(measured, lacking)

    def _kept(self, key: Key) -> Kept | None:
        claim, contrast, pair = key
        claims = self.kept["claim"].isin(self.book.ids(claim))
        rows = self.kept[claims & (self.kept["contrast"] == contrast)]
        rows = rows[(rows["pair"] == pair) & (rows["n"] > 0)]
        if rows.empty:
            return None
        row = rows.iloc[0]
        return Kept(
            (row["treatment"], row["control"]),
            pd.DataFrame(),
            None,
            note="judged by kept statistics: no record has the accuracy of each exit",
            statistics=Paired(int(row["n"]), **{name: float(row[name]) for name in STATISTICS}),
            means=(float(row["treatment_mean"]), float(row["control_mean"])),
        )


def kept_results(evidence: Path) -> KeptResults:
    """What a folder of evidence carries.

    Raises:
        UserError: it holds no results, or a file of it is broken.
    """
    if not (evidence / "claims.csv").is_file():
        raise UserError(f"{evidence}: holds no claims.csv; keep a finished study first")
    study = read_study(evidence / "plan.json", evidence)
    kept = read_csv(evidence / "claims.csv", NEEDED)
    return KeptResults(study, summarise(study, _evaluation(study)), kept=kept)


def _evaluation(study: Study) -> pd.DataFrame:
    """What ``evaluation.csv`` says of main outputs, as far as records say it.

    A run that diverged is wrong on every image, as there, though its record has the first class's
    share.
    """
    rows = []
    for run in study.runs.itertuples():
        files = study.files(str(run.path))
        record = files.record
        output = main_output(pd.Series(list(record.costs)))
        costs = {**record.costs[output], "file_bytes": record.file_bytes}
        accuracy = {"test": record.test_accuracy, "validation": record.validation_accuracy}
        if files.diverged:
            accuracy = dict.fromkeys(accuracy, 0.0)
        for split in SPLITS:
            metrics = {**dict.fromkeys(METRICS, float("nan")), "accuracy": accuracy[split]}
            names = {"path": run.path, "arm": run.arm, "seed": run.seed, "exit": output}
            rows.append({**names, "split": split, **metrics, **{c: costs[c] for c in COSTS}})
    return pd.DataFrame(rows)


def judge_again(evidence: Path) -> None:
    """Write a folder's verdicts, protocol, tables of the shock and page anew; its other tables and
    figures, which rest on no rule, stay.

    Raises:
        UserError: it holds no results, or a file of it is broken.
    """
    results = kept_results(evidence)
    claims = judge_claims(results)
    readme = evidence / "README.md"
    command = re.search(r"`([^`]+)` does it again", readme.read_text(encoding="utf-8"))
    if not command:
        raise UserError(f"{readme}: names no command that does the study again")
    write_text(evidence / "claims.csv", claims.to_csv(index=False))
    for name in ("shock", "mechanism"):
        table = make_table(name, results)
        write_text(evidence / f"tables/{name}.csv", table.data.to_csv(index=False))
        write_text(evidence / f"tables/{name}.md", table_text(table))
    _write_study(results, evidence / "tables")
    _draw(results, evidence / "figures")
    write_text(readme, page(evidence, command.group(1)))


def _draw(results: Results, figures: Path) -> None:
    """The figures that show verdicts' effects and the shock, as vectors."""
    with style(), TemporaryDirectory() as folder:
        for name, draw in (("differences", differences.draw), ("shock", shock.draw)):
            save(draw(results), Path(folder), name, results.study.config["figures"]["dpi"])
            (figures / f"{name}.svg").write_bytes((Path(folder) / f"{name}.svg").read_bytes())


def _write_study(results: Results, tables: Path) -> None:
    """``study.md`` from the protocol and the kept tables, in the order that it has."""
    old = (tables / "study.md").read_text(encoding="utf-8")
    names = re.findall(r"(?m)^## (\w+)$", old)
    parts = [f"# {results.study.title}\n", *(f"{line}\n" for line in protocol_lines(results))]
    for name in names:
        text = (tables / f"{name.lower()}.md").read_text(encoding="utf-8")
        parts.append(f"## {name}\n\n{text}")
    write_text(tables / "study.md", "\n".join(parts))
