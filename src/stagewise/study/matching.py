"""Which of a study's methods may not fit their networks, and ratios not be reached by pruning them,
so are built once before it starts."""

from pathlib import Path

from stagewise import catalogue
from stagewise.files import canonical_json, sha256_file, sha256_text
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import PruneSpec


def matches(plan: Plan) -> list[PlannedRun]:
    """The first run of every arm that prunes, or whose method reads feature maps or exits, or has a
    part on its teacher.

    Runs that start from a pruned network are left out: its shape is not known yet.
    """
    first: dict[str, PlannedRun] = {}
    for run in plan.runs.values():
        spec = run.spec
        if isinstance(spec, PruneSpec):
            first.setdefault(run.arm, run)
        elif spec.network and spec.init in ("scratch", "features"):
            needs = catalogue.method_needs(spec.method["method"])
            if needs.teacher_taps or needs.blocks or needs.teacher_part or needs.exits:
                first.setdefault(run.arm, run)
    return list(first.values())


def match_key(plan: Plan, found: list[PlannedRun]) -> str:
    """Checksum of all that the outcome for ``matches`` depends on, but for code."""
    rows = []
    for run in found:
        teacher = plan.runs.get(run.parents.get("teacher", ""))
        rows.append([run.arm, run.spec.written(), teacher.spec.written() if teacher else {}])
    given = [
        [folder, each.as_dict(), sha256_file(Path(each.weights).expanduser())]
        for folder, each in plan.given().items()
    ]
    content = [rows, plan.config.data.as_dict(), *([given] if given else [])]
    return sha256_text(canonical_json(content))
