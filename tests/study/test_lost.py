"""Weights that must come back before anything else are named, and no others."""

from pathlib import Path

import pytest

from stagewise.study.lost import lost_weights

PARENTS = {"teacher": [], "one": ["teacher"], "two": ["teacher"], "other": ["elsewhere"]}


def done(root: Path, *runs: str) -> None:
    for run in runs:
        (root / run).mkdir()
        (root / run / "record.json").write_text("{}")
        (root / run / "model.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    ("finished", "lost"),
    [
        (["teacher", "one"], ["teacher/model.safetensors"]),
        (["teacher"], []),  # nothing would be repeated
        (["teacher", "one", "two"], []),  # nothing needs them
        (["one"], []),  # never trained, or its record is gone too
    ],
)
def test_weights_that_some_learned_from_and_others_wait_for(
    finished: list[str], lost: list[str], tmp_path: Path
) -> None:
    done(tmp_path, *finished)
    assert lost_weights(PARENTS, tmp_path) == []
    for weights in tmp_path.rglob("model.safetensors"):
        weights.unlink()
    assert lost_weights(PARENTS, tmp_path) == lost
