"""What is known of the machines and the time of a study."""

import json
import re
from collections.abc import Callable

import pytest

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.environment import time_table, timings, training_environment
from stagewise.analysis.records.study import Study, read_study
from stagewise.errors import UserError

MakeStudy = Callable[..., Study]
Make = Callable[..., Results]
TINY = {"pruning": [], "two_stage": {"pairs": []}, "multi_exit": {}, "seeds": (0,)}


def test_times_are_shown_where_runs_left_them(make_results: Make) -> None:
    results = make_results(**TINY)
    study = results.study
    assert time_table(timings(study)).empty
    arms = study.runs[study.runs["step"] == "students"]
    for path, seconds in zip(arms["path"], (1.0, 7.0), strict=True):
        timing = {"total_seconds": seconds, "device": "GPU", "python": "3.12.1", "torch": "2.14.0"}
        (study.folder(path) / "timing.json").write_text(json.dumps(timing))
    times = timings(read_study(study.root / "plan.json", study.root))
    assert time_table(times).to_dict("records") == [
        {"Step": "students", "Runs": "2", "Seconds in all": "8.0", "Median run, seconds": "4.0"}
    ]
    facts = training_environment(times, results.summary)
    assert facts["Processor"] == "GPU"
    assert facts["Threads a run"] == "1"


@pytest.mark.parametrize(
    ("parts", "spent"),
    [({"steps": 3.0, "rest": 1.0}, 4.0), ({"steps": 30.0}, 7.0), ({}, 7.0)],
    ids=["it waited", "several threads", "not counted"],
)
def test_the_time_of_a_run_is_no_longer_than_it_computed(
    make_study: MakeStudy, parts: dict[str, float], spent: float
) -> None:
    study = make_study(**TINY)
    timing = {"total_seconds": 7.0, "cpu_seconds": parts}
    timing |= {"device": "x86_64", "python": "3.12.1", "torch": "2.14.0"}
    path = study.runs["path"].iloc[0]
    (study.folder(path) / "timing.json").write_text(json.dumps(timing))
    assert timings(read_study(study.root / "plan.json", study.root))["total_seconds"].sum() == spent


def test_a_broken_timing_is_named(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    file = study.folder(study.runs["path"].iloc[0]) / "timing.json"
    file.write_text('{"total_seconds": "long"}')
    with pytest.raises(UserError, match=re.escape(str(file))):
        timings(study)
