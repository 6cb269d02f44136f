"""Plans, records and logs of runs: broken, wrong, or with any odd value."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from damaged import PATH, PLAN, RECORD, refused

from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import summarise
from stagewise.errors import UserError


def test_the_good_study_is_good(study: Study) -> None:
    assert len(summarise(study, evaluate(study))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"words",
        b"[" * 100_000,
        b'{"spec": NaN}',
        b"null",
        b"[]",
        b"{}",
        pickle.dumps({}),
        json.dumps(RECORD).encode()[:-40],
    ],
)
def test_a_broken_record_is_refused(study: Study, content: bytes) -> None:
    file = study.folder(PATH) / "record.json"
    file.write_bytes(content)
    refused(file, lambda: evaluate(study))
    refused(file, lambda: study.files(PATH).record)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("spec", None),
            ("spec", []),
            ("spec", {"training": {"lr": "x"}}),
            ("spec", {"training": 1}),
        ),
        *(("model_sha256", None), ("model_sha256", 5), ("file_bytes", None), ("file_bytes", "1")),
        *(
            ("costs", None),
            ("costs", {}),
            ("costs", []),
            ("costs", [1]),
            ("costs", [{"exit": "final"}]),
        ),
        ("costs", [{"exit": "final", "parameters": "5", "macs": 50}]),
        ("costs", [{"exit": "final", "parameters": 5, "macs": 0}]),
        ("costs", [{"exit": "9", "parameters": 5, "macs": 5}]),
        *(("protocol", None), ("protocol", 3), ("protocol", {"steps_per_epoch": "many"})),
        *(("parents", []), ("parents", {"teacher": {}}), ("pruning", 5)),
        ("pruning", {"ratio_reached": "2x"}),
    ],
)
def test_a_record_that_lacks_or_mistypes_is_refused(study: Study, key: str, value: Any) -> None:
    file = study.folder(PATH) / "record.json"
    changed = {**RECORD, key: value}
    if value is None:
        del changed[key]
    file.write_text(json.dumps(changed))
    refused(study.folder(PATH), lambda: evaluate(study))


def test_a_record_that_is_a_folder_is_refused(study: Study) -> None:
    file = study.folder(PATH) / "record.json"
    file.unlink()
    refused(file, lambda: study.files(PATH).record, "no such file")
    file.mkdir()
    refused(file, lambda: study.files(PATH).record, "directory")


@pytest.mark.parametrize(
    "changes",
    [
        {"study": 5},
        {"config": []},
        {"config": {}},
        {"runs": {}},
        {"runs": [1]},
        {"runs": [{"path": "x"}]},
        {"runs": [{**PLAN["runs"][0], "seed": "0"}]},
        {"runs": [{**PLAN["runs"][0], "parents": ["x"]}]},
        {"runs": [{**PLAN["runs"][0], "path": 5}]},
        {"runs": [{**PLAN["runs"][0], "ratio": "2x"}]},
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({**PLAN, **changes}))
    refused(file, lambda: read_study(file), "is no study plan")


@pytest.mark.parametrize("content", ["[]", "null", "3", '"plan"', "{}"])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    refused(file, lambda: read_study(file), "is no study plan")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of some JSON stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, part in inner:
        found.append((*path, key))
        if isinstance(part, dict | list):
            found += places(part, (*path, key))
    return found


ODD: tuple[Any, ...] = ("words", "", -7, 2**62, 1e308, [[]], {"": {}}, None, True)


def odd_ones(content: Any) -> list[tuple[str, str]]:
    """Text of ``content`` with one value missing, or replaced by an odd one."""
    found = []
    for *parents, last in places(content):
        for odd in (*ODD, "missing"):
            changed = json.loads(json.dumps(content))
            holder = changed
            for key in parents:
                holder = holder[key]
            if odd == "missing":
                del holder[last]
            else:
                holder[last] = odd
            found.append((".".join(map(str, (*parents, last))), json.dumps(changed)))
    return found


@pytest.mark.parametrize("name", ["plan.json", f"{PATH}/record.json"])
def test_every_odd_value_is_refused_or_harmless(study: Study, name: str) -> None:
    file = study.root / name
    good, said = json.loads(file.read_text()), []
    for place, text in odd_ones(good):
        file.write_text(text)
        try:
            again = read_study(study.root / "plan.json", study.root)
            summarise(again, evaluate(again)).to_csv().encode()
        except UserError as error:
            said.append(str(error))
        except Exception as error:
            raise AssertionError(f"{place}: {text}") from error
    assert len(said) > 50
    assert all(len(line.splitlines()) == 1 for line in said)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00\x01",
        b"\x80\x04\x95" + bytes(50),
        b"step,g_backbone\n1,2\n",
        b"step,g_backbone,displacement,probe_accuracy\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4\nx,y,z,w\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4,5\n1,2,3,4,5\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4\n1,2,3,4,5\n",
        b'step,g_backbone,displacement,probe_accuracy\n1,"2,3,4\n',
        b"step,g_backbone,displacement,probe_accuracy\n1,True,3,4\n2,no,3,4\n",
    ],
)
def test_a_malformed_shock_log_is_refused(study: Study, content: bytes) -> None:
    file = study.folder(PATH) / "shock.csv"
    file.write_bytes(content)
    refused(file, lambda: study.files(PATH).shock)


@pytest.mark.parametrize(
    "content", ["epoch,phase\n1,all\n", "epoch,validation_accuracy\none,5\n", "", "\x00\x00"]
)
def test_a_malformed_history_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "history.csv"
    file.write_text(content)
    refused(file, lambda: read_csv(file, ("epoch", "validation_accuracy")))
    refused(tmp_path, lambda: read_csv(tmp_path), "not a readable CSV")
