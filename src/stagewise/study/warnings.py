"""Warnings: what a valid study does, or cannot show, without its author perhaps meaning it."""

from collections.abc import Iterator

from stagewise import catalogue
from stagewise.study.config.lessons import lessons
from stagewise.study.config.source import class_count
from stagewise.study.planned import Plan
from stagewise.study.spec import TrainSpec


def find_warnings(plan: Plan) -> list[str]:
    """One line a warning, with key, value and mend; a tuning study judges no claim."""
    judged = [] if plan.config.tune else [*_seeds(plan), *_claims(plan)]
    return [*judged, *_methods(plan), *_assistants(plan), *_recovery(plan), *_batches(plan)]


def _seeds(plan: Plan) -> Iterator[str]:
    count, least = len(plan.config.seeds), catalogue.least_seeds()
    if count < least:
        few = "1 seed is" if count == 1 else f"{count} seeds are"
        yield f"seeds: {few} descriptive only; a verdict on a claim needs {least}"


def _claims(plan: Plan) -> Iterator[str]:
    """Claims to be tested for which no pair has the arms of any headline contrast."""
    arms, claims = {run.arm for run in plan.runs.values()}, catalogue.claims()
    for index, claim in enumerate(plan.config.claims_tested):
        contrasts = [
            {side.format(pair=pair) for side in sides}
            for sides in claims[claim]
            for pair in plan.config.pairs
        ]
        if not any(sides <= arms for sides in contrasts):
            missing = min((sorted(sides - arms) for sides in contrasts), key=len)
            yield (
                f"claims_tested.{index}: '{claim}' cannot be judged without the arms"
                f" {', '.join(missing)}; add the steps that give them, or drop the claim"
            )


def _methods(plan: Plan) -> Iterator[str]:
    for step, block in plan.config.taught_steps().items():
        if step != "two_stage" and block.pairs and not block.methods:
            yield f"{step}.methods: [] gives {step}.pairs nothing to do; add a method"


def _assistants(plan: Plan) -> Iterator[str]:
    """Assistants that nobody learns from."""
    config = plan.config
    taught = {
        each.pair for each in lessons(config) if config.method(each.label).teacher == "assistant"
    }
    for pair, entry in config.pairs.items():
        if entry.assistants and pair not in taught:
            yield (
                f"pairs.{pair}.assistants: no method of this pair has teacher: assistant, so they"
                " are not trained; give one that, or remove them"
            )


def _recovery(plan: Plan) -> Iterator[str]:
    """Budgets of a method that hold in recovery too, where all arms should have the same."""
    for label in ("ce", "kd") if plan.config.pruning else ():
        if "epochs" in plan.config.method(label).training:
            yield (
                f"methods.{label}.training.epochs: holds in recovery too, whose arms then have"
                " unequal budgets; give these epochs to a method of another label"
            )


def _batches(plan: Plan) -> Iterator[str]:
    """Batches of students that hold the whole set, or leave one image out of every epoch."""
    data = plan.config.data
    classes = class_count(plan.config) or 0
    counts = {
        "all": classes * (data.student_images_per_class or 0),
        "target": (classes - len(data.source_classes)) * (data.target_images_per_class or 0),
    }
    found: dict[str, None] = {}
    for run in plan.runs.values():
        if not isinstance(run.spec, TrainSpec) or run.spec.data.images != "few":
            continue
        count, size = counts[run.spec.data.task], run.spec.training.batch_size
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
