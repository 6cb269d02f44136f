"""The answer of a study with a target: its verdict, and the network that ships in numbers."""

import pandas as pd

from stagewise.analysis.claims.rules import MIN_SEEDS
from stagewise.analysis.claims.target import MEETS, TargetResult
from stagewise.analysis.report.answer import Advice, Tile, few_seeds


def target_advice(found: TargetResult) -> Advice:
    """The verdict in a sentence, what else meets the target, and the tiles."""
    best, reference = found.chosen, found.reference
    sentences = [found.sentence]
    others = [each.name for each in found.judged[1:] if each.verdict == MEETS]
    if others:
        sentences.append(f"Also meets it: {'; '.join(others)}.")
    if found.busy and "latency" in found.goals:
        sentences.append(
            "Other programs used the machine while the files were timed, so times may be off; time"
            " them again on a quiet one: add --forcerun measure_candidates."
        )
    if best.effect.n < MIN_SEEDS:
        sentences.append(few_seeds(best.effect.n))
    numbers = [
        ("Test accuracy", "test_accuracy", best.rows["test_accuracy"].mean(), "{:.1f} %"),
        ("Time of a call", "latency", best.taken["latency"], "{:.3g} ms"),
        ("File", "bytes", best.taken["bytes"] / 1e3, "{:,.0f} kB"),
    ]
    tiles = [
        Tile(heading, [("", form.format(own), f"{found.against} {_of(form, reference[column])}")])
        for heading, column, own, form in numbers
    ]
    return Advice(sentences, tiles)


def _of(form: str, values: pd.Series) -> str:
    """What a reference takes, over its seeds."""
    middle = values.mean() if values.name == "test_accuracy" else values.median()
    return form.format(middle / (1e3 if values.name == "bytes" else 1))
