"""Made-up candidates for a target, beside made-up references."""

from dataclasses import replace

import numpy as np
import pandas as pd

from stagewise.study.goals import QUANTITIES

REFERENCE = [95.0, 95.5, 96.0, 94.5, 95.0, 95.2]
SPREAD = np.array([0.2, -0.2, 0.1, -0.1, 0.15, -0.15])


def file_rows(role, arm, form, tests, validation=90.0, others=0.0, **taken):
    usual = dict.fromkeys(QUANTITIES, 100.0) | taken
    return [
        {
            "role": role,
            "pair": "p",
            "network": "resnet8",
            "form": form,
            "ratio": 2.0 if "2x" in arm else 1.0,
            "arm": arm,
            "seed": seed,
            "path": f"runs/made/{arm}/seed-{seed}",
            "validation_accuracy": validation + (seed == 3),
            "test_accuracy": test,
            **usual,
            "latency_low": usual["latency"],
            "latency_high": usual["latency"],
            "others": others,
        }
        for seed, test in enumerate(tests)
    ]


def targeted(results, *candidates, against="student", teacher=(97.0,), **asked):
    """Results with candidates: arm, form, points beside the reference by seed, what they take."""
    if against == "teacher":
        rows = file_rows("reference", "teachers/p", "float32", teacher, latency=400.0)
    else:
        rows = file_rows("reference", "recovery/p.baseline.dense.kd", "float32", REFERENCE)
    for arm, form, effects, taken in candidates:
        tests = np.array(REFERENCE)[: len(effects)] + effects
        rows += file_rows("candidate", arm, form, tests, **taken)
    target = {"latency": "2x", "loss": 1.0, "against": against, "batch": 1, "threads": 1, **asked}
    study = replace(results.study, config={**results.study.config, "target": target})
    return replace(results, study=study, candidates=pd.DataFrame(rows))
