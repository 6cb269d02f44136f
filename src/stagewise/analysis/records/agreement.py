"""Whether the records of a study are those of its plan, and of each other."""

from collections import Counter

from stagewise.analysis.records.run_files import Record
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.study.agreement import Made, differences

MOST = 5
"""Runs or arms that a message names."""

Records = dict[str, Record]


def disagreements(study: Study) -> dict[str, str]:
    """Path of a run → in what its record is not what the plan, the study's data or its parents'
    records say; runs that agree are left out, and so is what a plan or record does not state.

    Raises:
        UserError: a record is missing or broken.
    """
    records = _records(study)
    data, found = _data(study, records), {}
    for run in study.runs.to_dict("records"):
        parents = {
            role: records[path].model_sha256
            for role, path in run["parents"].items()
            if path in records
        }
        spec = run.get("spec")
        planned = Made(spec if isinstance(spec, dict) else {}, data, parents)
        record = records[str(run["path"])]
        what = differences(Made(record.spec, record.data_sha256, record.parents), planned)
        if what:
            found[str(run["path"])] = what
    return found


def refuse_others(study: Study) -> None:
    """Raises ``UserError`` that names the runs whose records are not the plan's."""
    found = disagreements(study)
    if found:
        named = [f"{study.folder(path)} ({what})" for path, what in [*found.items()][:MOST]]
        runs = "1 run is" if len(found) == 1 else f"{len(found)} runs are"
        raise UserError(
            f"{runs} not what the plan says: {_some(named, len(found))}; delete these folders and"
            " run again, or bring back the data and runs that belong together"
        )


def mixed_code(study: Study) -> list[str]:
    """A line where an arm's runs were made by more than one state of the code: no error, for the
    difference may not matter to them, but a reader should know."""
    codes: dict[str, set[str]] = {}
    records = _records(study)
    for arm, path in zip(study.runs["arm"], study.runs["path"], strict=True):
        codes.setdefault(arm, set()).update({records[path].code} - {""})
    mixed = [arm for arm, found in codes.items() if len(found) > 1]
    if not mixed:
        return []
    return [
        f"runs of one arm were made by different code in {len(mixed)} of {len(codes)} arms"
        f" ({_some(mixed[:MOST], len(mixed))}); delete the older ones and run again if the change"
        " matters to them"
    ]


def _records(study: Study) -> Records:
    return {path: study.files(path).record for path in study.runs["path"]}


def _data(study: Study, records: Records) -> str:
    """Checksum of the study's prepared data; where they are not here, that of most runs."""
    file = study.root / "data" / study.name / "prepared.safetensors"
    if file.is_file():
        return sha256_file(file)
    sums = Counter(record.data_sha256 for record in records.values() if record.data_sha256)
    return sums.most_common(1)[0][0] if sums else ""


def _some(named: list[str], count: int) -> str:
    more = f" and {count - len(named)} more" if count > len(named) else ""
    return ", ".join(named) + more
