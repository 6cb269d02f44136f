"""Metrics of all runs from their logits, and the table that joins them with the records."""

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.logits import read_logits
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import mean_accuracies, summarise
from stagewise.errors import UserError

MakeStudy = Callable[..., Study]
Make = Callable[..., Results]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}
TINY = {**SMALL, "multi_exit": {}, "seeds": (0,)}


def test_evaluation_agrees_with_logits(make_study: MakeStudy) -> None:
    study = make_study(**SMALL)
    table = evaluate(study)
    path = "runs/toy/multi_exit/resnet.oto/seed-2"
    rows = table[(table["path"] == path) & (table["split"] == "test")].set_index("exit")
    assert list(rows.index) == ["1", "2", "3", "ensemble"]
    part = read_logits(study.folder(path))["test"]
    right = part.logits.mean(axis=0).argmax(axis=1) == part.labels
    assert rows.loc["ensemble", "accuracy"] == pytest.approx(100 * right.mean())
    assert rows.loc["2", "accuracy"] == pytest.approx(rows.loc["3", "accuracy"] - 2, abs=0.6)


def test_a_teacher_agrees_with_itself_only(make_study: MakeStudy) -> None:
    table = evaluate(make_study(**TINY)).groupby("arm")["agreement"].mean()
    assert np.isnan(table["teachers/resnet"])  # no reference
    assert 50 < table["students/resnet.baseline"] < 100


@pytest.mark.parametrize("damage", ["truncated", "text", "missing array", "gone"])
def test_corrupted_logits_are_named(make_study: MakeStudy, damage: str) -> None:
    study = make_study(**TINY)
    file = study.folder(study.runs["path"].iloc[5]) / "logits.npz"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "text":
        file.write_text("not an archive")
    elif damage == "missing array":
        np.savez(file, test=np.zeros((1, 2, 3)))
    else:
        file.unlink()
    with pytest.raises(UserError, match=re.escape(str(file))) as error:
        evaluate(study)
    assert "run" in str(error.value)


def test_flipped_byte_is_found(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    file = study.folder(study.runs["path"].iloc[0]) / "logits.npz"
    with zipfile.ZipFile(file) as archive:
        start = archive.infolist()[0].header_offset
    content = bytearray(file.read_bytes())
    content[start + 1000] ^= 255
    file.write_bytes(content)
    with pytest.raises(UserError, match="corrupted"):
        evaluate(study)


def test_another_teachers_images_are_refused(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    file = study.folder("runs/toy/teachers/resnet/seed-0") / "logits.npz"
    arrays = dict(np.load(file))
    arrays["test_labels"] = (arrays["test_labels"] + 1) % 10
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="not those of its teacher"):
        evaluate(study)


def test_no_plan_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"runs": []}')
    with pytest.raises(UserError, match="plan"):
        read_study(tmp_path / "plan.json")
    with pytest.raises(UserError, match="no such file"):
        read_study(tmp_path / "other.json")


def test_summarise_reads_every_record(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    evaluation = evaluate(study)
    (study.folder(study.runs["path"].iloc[-1]) / "record.json").write_text("{")
    study = read_study(study.root / "plan.json", study.root)
    with pytest.raises(UserError, match=r"record\.json"):
        summarise(study, evaluation)


def test_a_file_of_a_run_is_read_once(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    path = study.runs["path"].iloc[-1]
    record = study.files(path).record
    (study.folder(path) / "record.json").unlink()
    assert study.files(path).record is record


def test_settings_are_those_of_the_plan(make_study: MakeStudy) -> None:
    study = make_study(seeds=(0,))
    kd, pruned = (
        study.files(f"runs/toy/{arm}/seed-0").record.settings
        for arm in ("distillation/vgg.kd", "pruning/vgg.baseline.l2-2x")
    )
    assert (kd.network, kd.method, kd.images) == ("vgg8", "kd", "few")
    assert kd.method_options == {"temperature": 4.0}
    assert kd.weights == {"ce": 0.1, "kd": 0.9}
    assert (kd.epochs, kd.batch_size) == (100, 64)
    assert (pruned.method, pruned.weights, pruned.epochs, pruned.lr) == ("", {}, None, None)
    assert kd.checksum != pruned.checksum


def test_summary_survives_the_csv(make_results: Make, tmp_path: Path) -> None:
    results = make_results(**SMALL)
    results.summary.to_csv(tmp_path / "summary.csv", index=False)
    back = read_csv(tmp_path / "summary.csv")
    assert set(back["exit"]) == {"final", "1", "2", "3", "ensemble"}
    assert back["chain"].eq("").all()
    assert back["config_hash"].str.fullmatch("[0-9a-f]{12}").all()
    again = judge_claims(replace(results, summary=back))
    pd.testing.assert_frame_equal(again, judge_claims(results), check_dtype=False)


def test_mean_accuracies_are_of_the_main_exit(make_results: Make) -> None:
    summary = make_results(**SMALL).summary
    rows = summary[(summary["arm"] == "multi_exit/resnet.oto") & (summary["exit"] == "ensemble")]
    found = mean_accuracies(summary)["multi_exit"]["resnet.oto"]
    assert found == pytest.approx(rows["test_accuracy"].mean(), abs=5e-3)


TWICE = "runs/toy/multi_exit/resnet.kd_twice/seed-2"


def test_two_networks_are_an_ensemble_by_their_mean_logits(make_study: MakeStudy) -> None:
    study = make_study(**SMALL)
    rows = evaluate(study).query("path == @TWICE and split == 'test'").set_index("exit")
    assert list(rows.index) == ["final", "ensemble"]
    first = read_logits(study.root / "runs/toy/distillation/resnet.kd/seed-2")["test"]
    second = read_logits(study.root / TWICE)["test"]
    both = (first.logits[0].astype(np.float64) + second.logits[0]) / 2
    right = both.argmax(axis=1) == first.labels
    assert rows.loc["ensemble", "accuracy"] == pytest.approx(100 * right.mean())
    alone = second.logits[0].argmax(axis=1) == first.labels
    assert rows.loc["final", "accuracy"] == pytest.approx(100 * alone.mean())
    for cost in ("macs", "parameters", "file_bytes"):
        assert rows.loc["ensemble", cost] == 2 * rows.loc["final", cost]


def test_two_networks_take_the_training_and_the_time_of_both(make_study: MakeStudy) -> None:
    study = make_study(**SMALL)
    first = study.folder("runs/toy/distillation/resnet.kd/seed-2")
    for folder, macs in ((first, 3e9), (study.root / TWICE, 5e9)):
        record = json.loads((folder / "record.json").read_text())
        record["protocol"] |= {"training_macs": macs, "teacher_macs": 1e9}
        (folder / "record.json").write_text(json.dumps(record))
    study = read_study(study.root / "plan.json", study.root)
    summary = summarise(study, evaluate(study))
    rows = summary.query("path == @TWICE").set_index("exit")
    assert rows.loc["final", "training_macs"] == 5e9
    assert rows.loc["ensemble", ["training_macs", "teacher_macs"]].tolist() == [8e9, 2e9]
    alone = summary.query("path == 'runs/toy/distillation/resnet.kd/seed-2'")
    assert alone["training_macs"].tolist() == [3e9]
    arms = ["distillation/resnet.kd", "multi_exit/resnet.kd_twice", "multi_exit/resnet.oto"]
    latency = pd.DataFrame({"arm": arms, "exit": ["final", "final", "ensemble"], "batch": 1})
    timed = Results(study, summary, latency.assign(milliseconds=[0.5, 0.7, 0.9])).timed
    assert dict(zip(timed["arm"], timed["milliseconds"], strict=True)) == {
        "distillation/resnet.kd": 0.5,
        "multi_exit/resnet.oto": 0.9,
        "multi_exit/resnet.kd_twice": pytest.approx(1.2),
    }
    assert timed.set_index("arm")["exit"]["multi_exit/resnet.kd_twice"] == "ensemble"


def test_a_partner_that_answered_about_other_images_is_refused(make_study: MakeStudy) -> None:
    study = make_study(**TINY | {"multi_exit": {"pairs": ["resnet"], "controls": ["twice"]}})
    file = study.root / "runs/toy/distillation/resnet.kd/seed-0/logits.npz"
    parts = dict(np.load(file))
    parts["test_labels"] = parts["test_labels"][::-1]
    run = study.runs["arm"] != "distillation/resnet.kd"  # its own teacher is another matter
    np.savez(file, **parts)
    with pytest.raises(UserError, match=r"kd_twice/seed-0: .*those of its partner"):
        evaluate(replace(study, runs=study.runs[run]))
