"""candidates.csv is read as it was written, and nothing else is."""

import pytest
from targets import SPREAD, targeted

from stagewise.analysis.records.candidates import read_candidates
from stagewise.errors import UserError


@pytest.fixture
def table(results):
    """Candidates whose runs are of the plan."""
    made = targeted(results, ("recovery/p.2x.kd", "int8", SPREAD, {})).candidates
    paths = results.study.runs["path"].iloc[: len(made)]
    return made.assign(path=paths.to_numpy())


def test_it_is_read_as_it_was_written(table, results, tmp_path):
    table.to_csv(tmp_path / "candidates.csv", index=False)
    found = read_candidates(tmp_path / "candidates.csv", results.study.runs)
    assert found.to_dict("list") == table.to_dict("list")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "runs/elsewhere"}, "'runs/elsewhere' is no run of the plan"),
        ({"role": "judge"}, "column 'role' holds 'judge'"),
        ({"form": "int4"}, "column 'form' holds 'int4'"),
        ({"latency": "fast"}, "column 'latency' holds something else than numbers"),
        ({"role": "candidate"}, "has no row of role 'reference'"),
    ],
)
def test_what_is_broken_is_named(table, results, tmp_path, change, said):
    file = tmp_path / "candidates.csv"
    table.assign(**change).drop_duplicates(["role", "path", "form"]).to_csv(file, index=False)
    with pytest.raises(UserError, match=said):
        read_candidates(file, results.study.runs)


def test_a_column_that_lacks_is_named(table, results, tmp_path):
    table.drop(columns="bytes").to_csv(tmp_path / "candidates.csv", index=False)
    with pytest.raises(UserError, match="lacks column 'bytes'"):
        read_candidates(tmp_path / "candidates.csv", results.study.runs)
