"""Warnings: what a valid study does, or cannot show, without its author perhaps meaning it."""

from collections.abc import Iterator

from stagewise import catalogue
from stagewise.study.checks.data import class_count
from stagewise.study.runs import Plan


def advice(plan: Plan) -> list[str]:
    """One line a warning, with key, value and mend; a tuning study judges no claim."""
    judged = [] if "tune" in plan.config else [*_seeds(plan), *_claims(plan)]
    return [*judged, *_methods(plan), *_batches(plan)]


def _seeds(plan: Plan) -> Iterator[str]:
    count, least = len(plan.config["seeds"]), catalogue.least_seeds()
    if count < least:
        few = "1 seed is" if count == 1 else f"{count} seeds are"
        yield f"seeds: {few} descriptive only; a verdict on a claim needs {least}"


def _claims(plan: Plan) -> Iterator[str]:
    """Claims to be tested for which no pair has the arms of any headline contrast."""
    arms, claims = {run.arm for run in plan.runs.values()}, catalogue.claims()
    for index, claim in enumerate(plan.config["claims_tested"]):
        contrasts = [
            {side.format(pair=pair) for side in sides}
            for sides in claims[claim]
            for pair in plan.config["pairs"]
        ]
        if not any(sides <= arms for sides in contrasts):
            missing = min((sorted(sides - arms) for sides in contrasts), key=len)
            yield (
                f"claims_tested.{index}: '{claim}' cannot be judged without the arms"
                f" {', '.join(missing)}; add the steps that give them, or drop the claim"
            )


def _methods(plan: Plan) -> Iterator[str]:
    for step in ("distillation", "multi_exit"):
        block = plan.config[step]
        if block["pairs"] and not block["methods"]:
            yield f"{step}.methods: [] gives {step}.pairs nothing to do; add a method"


def _batches(plan: Plan) -> Iterator[str]:
    """Batches of students that hold the whole set, or leave one image out of every epoch."""
    data = plan.config["data"]
    classes = class_count(plan.config) or 0
    counts = {
        "all": classes * (data["student_images_per_class"] or 0),
        "target": (classes - len(data["source_classes"])) * (data["target_images_per_class"] or 0),
    }
    found: dict[str, None] = {}
    for run in plan.runs.values():
        if "training" not in run.spec or run.spec["data"]["images"] != "few":
            continue
        count, size = counts[run.spec["data"]["task"]], run.spec["training"]["batch_size"]
        if 0 < 2 * count < size:
            found[
                f"batch_size: {size} is far more than the {count} images of {run.step}, so a batch"
                " is the whole set; lower it if that is not meant"
            ] = None
        elif count > 0 and count % size == 1:
            found[
                f"batch_size: {size} leaves one of the {count} images of {run.step} out of every"
                " epoch, as batch norm cannot take one; change it by one"
            ] = None
    yield from found
