"""How often are verdicts wrong, and what can they find? Made-up studies through the real judging.

Every study is a plan and tables of results, judged by ``judge_claims`` as a real one is; nothing of
the rules is written here again. For each rule: rates of every verdict where the truth is just the
value that the rule tests (the hardest case for a false verdict), and over larger effects.
"""

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import LABELS
from stagewise.analysis.records.study import Study
from stagewise.files import write_text

FOLDER = Path(__file__).resolve().parent
RATE = 0.05
TWO, ONE, ALONE = "two_stage/p.kd", "two_stage/p.one-stage.kd", "students/p.pretrained"
COUNTS = (6, 8, 12)
"""Seeds of a study."""


@dataclass(frozen=True)
class Scenario:
    """A truth about one contrast, of which studies are drawn.

    ``truth``: the true difference in points, or the true ratio. ``sd``: of a seed's difference, in
    points, or of the logarithm of its ratio. ``level``: what the control is around; of "halved",
    the true harm. ``wrong``: the verdicts that would be false; none where the effect is real.
    """

    rule: str
    claim: str
    contrast: str
    truth: float
    sd: float
    level: float
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Shares of the verdicts on a scenario's contrast over ``studies`` of ``n`` seeds."""

    scenario: Scenario
    n: int
    studies: int
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def false(self) -> float:
        """Share of false verdicts."""
        return sum(self.shares.get(verdict, 0.0) for verdict in self.scenario.wrong)


@dataclass(frozen=True)
class Made(Results):
    """Results whose shock was made up, too."""

    made_shock: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def shock(self) -> pd.DataFrame:
        """The made-up table."""
        return self.made_shock


PEAK = "early gradient peak over late"
FALL = "fall of the feature probe at step 50"
AT = f" at rate {RATE:g}"
FOUND = ("reproduced", "partially", "mixed")
BOTH = ("reproduced", "not reproduced")


def scenarios() -> Iterator[Scenario]:
    """First the truths at which a rule is most easily wrong, then growing effects."""
    for sd in (0.3, 1.0):
        name = "two-stage KD − one-stage KD"
        yield Scenario("difference", "A3b", name, 0.0, sd, 70.0, FOUND)
        yield Scenario("difference", "A3b", name, 0.3, sd, 70.0, ("not reproduced",))
        for truth in (0.5, 1.0, 2.0):
            yield Scenario("difference", "A3b", name, truth, sd, 70.0)
        name = "two-stage KD − standard training"
        yield Scenario("difference, published", "A3a", name, 0.0, sd, 70.0, FOUND)
        yield Scenario("difference, published", "A3a", name, 1.5, sd, 70.0, ("not reproduced",))
        for truth in (1.0, 2.0, 3.0):
            yield Scenario("difference, published", "A3a", name, truth, sd, 70.0)
    for sd in (0.2, 0.8):
        name = f"{PEAK}, one-stage KD{AT}"
        yield Scenario("above", "A1", name, 3.0, sd, 3.0, BOTH)
        yield Scenario("above", "A1", name, 2.5, sd, 2.5, ("reproduced",))
        for truth in (4.0, 6.0, 12.0):
            yield Scenario("above", "A1", name, truth, sd, truth)
        name = f"{PEAK}, two-stage over one-stage{AT}"
        yield Scenario("halved", "A2", name, 0.5, sd, 20.0, BOTH)
        yield Scenario("halved", "A2", name, 0.5, sd, 3.0, BOTH)
        yield Scenario("halved", "A2", name, 0.25, sd, 2.0, BOTH)
        for truth in (0.35, 0.25, 0.1, 1.0):
            yield Scenario("halved", "A2", name, truth, sd, 20.0)
    for sd in (0.8, 2.0):
        name = f"{FALL}, one-stage KD − standard training{AT}"
        yield Scenario("above, paired", "A1", name, 1.0, sd, 0.0, BOTH)
        yield Scenario("above, paired", "A1", name, 0.0, sd, 0.0, ("reproduced",))
        for truth in (2.0, 4.0, 8.0):
            yield Scenario("above, paired", "A1", name, truth, sd, 0.0)
        name = f"{FALL}, two-stage − one-stage{AT}"
        yield Scenario("below", "A2", name, 0.0, sd, 8.0, BOTH)
        for truth in (-1.0, -2.0, -4.0):
            yield Scenario("below", "A2", name, truth, sd, 8.0)


@cache
def made_study(claim: str, n: int, at: str) -> Study:
    """A study of one pair that tests one claim, and has the arms of paper A's first half, ``at``
    behind their names."""
    arms = [f"{arm}{at}" for arm in (TWO, ONE, ALONE)]
    rows = [
        {
            "path": f"runs/made/{arm}/seed-{seed}",
            "arm": arm,
            "step": arm.partition("/")[0],
            "name": arm.partition("/")[2],
            "seed": seed,
            "parents": {},
            "reference": "",
            **LABELS,
            "pair": "p",
        }
        for arm in arms
        for seed in range(n)
    ]
    config = {
        "pairs": {"p": {}},
        "seeds": list(range(n)),
        "data": {"source": "made", "validation": 0},
        "gate": {"points": 0},
        "claims_tested": [claim],
        "two_stage": {"common_rates": [RATE]},
    }
    return Study("made", "made", config, pd.DataFrame(rows), Path("made"))


def draw(scenario: Scenario, n: int, rng: np.random.Generator) -> Results:
    """A study in which the scenario is true, and no other quantity says anything.

    Seeds share a part of their noise, as those of paired arms do.
    """
    accuracies = scenario.rule.startswith("difference")
    study = made_study(scenario.claim, n, "" if accuracies else f".lr-{RATE:g}")
    shared, own = rng.normal(0, 1, n), rng.normal(0, 1, n) * scenario.sd
    control, other = scenario.level + shared, scenario.level + 0.5 * rng.normal(0, 1, n)
    facts = study.runs[["path", "arm", "seed"]]
    treated = control + scenario.truth + own
    # In the order of the arms: two stages, one stage, standard training.
    accuracy, shock = [treated, control, control] if accuracies else [control] * 3, {}
    if scenario.rule == "above":
        peak = scenario.level * np.exp(own)
        shock = {"shock_peak": [peak, peak, peak]}
    elif scenario.rule == "halved":
        peak = scenario.level * np.exp(0.3 * shared)
        shock = {"shock_peak": [peak * scenario.truth * np.exp(own), peak, peak]}
    elif scenario.rule == "above, paired":
        shock = {"probe_fall_50": [control, treated, control]}
    elif scenario.rule == "below":
        harmed = other + shared
        shock = {"probe_fall_50": [harmed + scenario.truth + own, harmed, shared]}
    columns = {name: np.concatenate(values) for name, values in shock.items()}
    summary = facts.assign(exit="final", test_accuracy=np.concatenate(accuracy))
    return Made(study, summary, made_shock=facts.assign(**columns))


def measure(scenario: Scenario, n: int, studies: int) -> Outcome:
    """Verdicts on the scenario's contrast in so many studies; equal calls give equal numbers."""
    seed = zlib.crc32(repr((scenario, n)).encode())
    rng = np.random.default_rng(seed)
    verdicts: Counter[str] = Counter()
    for _ in range(studies):
        claims = judge_claims(draw(scenario, n, rng))
        row = claims[
            (claims["claim"] == scenario.claim) & (claims["contrast"] == scenario.contrast)
        ]
        verdicts[str(row["verdict"].iloc[0])] += 1
    return Outcome(scenario, n, studies, {v: count / studies for v, count in verdicts.items()})


def written(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The outcomes as JSON values."""
    return [
        {**asdict(outcome.scenario), "n": outcome.n, "studies": outcome.studies}
        | {"false": round(outcome.false, 4), "shares": outcome.shares}
        for outcome in outcomes
    ]


def main() -> None:
    """Read arguments, judge, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--studies", type=int, default=500, help="of each n and false truth")
    options.add_argument("--power", type=int, default=100, help="of each n and real effect")
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--out", type=Path, default=FOLDER / "results/verdicts.json")
    given = options.parse_args()
    tasks = [
        (scenario, n, given.studies if scenario.wrong else given.power)
        for scenario in scenarios()
        for n in COUNTS
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(measure, *zip(*tasks, strict=True)))
    write_text(given.out, json.dumps(written(outcomes), indent=1, ensure_ascii=False) + "\n")
    worst = max(outcomes, key=lambda outcome: outcome.false)
    print(f"{given.out}: {sum(task[2] for task in tasks):,} studies; most false: {worst}")


if __name__ == "__main__":
    main()
