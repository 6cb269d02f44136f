"""Which students' Grad-CAM maps are compared with which teachers'."""

from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import TrainSpec

STEPS = ("students", "distillation", "multi_exit")


def compared(plan: Plan) -> dict[str, str]:
    """Student's path → its teacher's: of the pairs with exits every student from scratch, and what
    it learns from where that has exits; else its pair's teacher, with the exits that were trained
    on its frozen backbone where there are some."""
    if not plan.config.gradcam.enabled:
        return {}
    frozen = {
        run.parents["init"]: run.path
        for run in reversed(plan.step("teachers"))
        if "init" in run.parents and _has_exits(run)
    }
    found = {}
    for run in plan.step(*STEPS):
        if _asked(plan, run):
            own = plan.runs.get(run.parents.get("teacher", ""))
            usual = frozen.get(run.reference, run.reference)
            found[run.path] = own.path if own and _has_exits(own) else usual
    return found


def _asked(plan: Plan, run: PlannedRun) -> bool:
    """Whether a run is a student from scratch, in a pair with exits."""
    pair = run.labels["pair"]
    scratch = run.step != "students" or run.name == f"{pair}.baseline"
    return scratch and run.labels["network"] == "student" and pair in plan.config.multi_exit.pairs


def _has_exits(run: PlannedRun) -> bool:
    return isinstance(run.spec, TrainSpec) and bool(run.spec.exits)
