"""Warnings: what a valid study does, or cannot show, without its author perhaps meaning it."""

import fnmatch
from collections.abc import Iterator

from stagewise import catalogue
from stagewise.study.config.lessons import lessons
from stagewise.study.config.source import class_count
from stagewise.study.planned import Plan
from stagewise.study.spec import TrainSpec

TUNING_SEEDS = 3
"""Seeds that a learning rate is to be chosen on."""


def find_warnings(plan: Plan) -> list[str]:
    """One line a warning, with key, value and mend; a tuning study judges no claim."""
    purpose = [_tuning] if plan.config.tune else [_seeds, _claims, _rates, _teachers_images]
    judged = [line for find in purpose for line in find(plan)]
    return [*judged, *_methods(plan), *_assistants(plan), *_recovery(plan), *_batches(plan)]


def _seeds(plan: Plan) -> Iterator[str]:
    count, least = len(plan.config.seeds), catalogue.least_seeds()
    if count < least:
        few = "1 seed is" if count == 1 else f"{count} seeds are"
        yield f"seeds: {few} descriptive only; a verdict on a claim needs {least}"


def _tuning(plan: Plan) -> Iterator[str]:
    """One seed chooses by its noise."""
    config, kinds = plan.config, {"seeds": "arms", "replicates": "teachers"}
    counts = {"seeds": len(config.seeds), "replicates": len(config.teacher_seeds)}
    for key, count in counts.items():
        if count < TUNING_SEEDS:
            mend = "give more" if key == "seeds" else "say chains, and give so many seeds"
            seeds = f"{count} seed{'s' * (count != 1)}"
            yield (
                f"{key}: rates of {kinds[key]} are chosen on {seeds}, whose noise can move one by"
                f" points; {TUNING_SEEDS} are needed: {mend}"
            )


def _teachers_images(plan: Plan) -> Iterator[str]:
    """Teachers that see more images than their students, and no network that shows what they do."""
    data = plan.config.data
    few = data.student_images_per_class or data.target_images_per_class
    if few and not plan.config.teachers.same_data:
        yield (
            "teachers.same_data: false, but teachers see more images than their students: without"
            " the teacher's network on the student's images, nobody can tell how much of a gain is"
            " the images'; say true"
        )


def _claims(plan: Plan) -> Iterator[str]:
    """Claims to be tested for which no pair has the arms of any headline contrast."""
    arms, claims = {run.arm for run in plan.runs.values()}, catalogue.claims()
    for index, claim in enumerate(plan.config.claims_tested):
        contrasts = [
            sorted(arm for arm in _sides(sides, pair, arms) if not _fits(arm, arms))
            for sides in claims[claim]
            for pair in plan.config.pairs
        ]
        if all(contrasts):
            missing = min(contrasts, key=len)
            yield (
                f"claims_tested.{index}: '{claim}' cannot be judged without the arms"
                f" {', '.join(missing)}; add the steps that give them, or drop the claim"
            )


def _sides(sides: list[str], pair: str, arms: set[str]) -> set[str]:
    """The arms of a contrast in a pair, a common rate as ``*``; of several that a side names, those
    that are there, or all."""
    found: set[str] = set()
    for side in sides:
        named = {arm.format(pair=pair, rate="*") for arm in side.split(catalogue.OR)}
        found |= {arm for arm in named if _fits(arm, arms)} or {" or ".join(sorted(named))}
    return found


def _fits(arm: str, arms: set[str]) -> bool:
    """Whether an arm, or one at any common rate, is there."""
    return bool(fnmatch.filter(arms, arm)) if "*" in arm else arm in arms


def _rates(plan: Plan) -> Iterator[str]:
    """Claims that would rest on a tuned arm against one that is not, so on the tuning too."""
    arms, tuned = {run.arm for run in plan.runs.values()}, {*plan.config.learning_rates}
    partners = {run.arm: plan.runs[run.partner].arm for run in plan.runs.values() if run.partner}
    tuned |= {arm for arm, partner in partners.items() if partner in tuned}
    # Of two rates the better one on validation is taken.
    families = plan.config.recovery.families
    searched = {arm for arm in arms if any(f"{arm}.{family}" in arms for family in families)}
    for index, claim in enumerate(plan.config.claims_tested):
        for sides in catalogue.claims()[claim]:
            for pair in plan.config.pairs:
                compared = _sides(sides, pair, arms)
                rest = compared - searched
                if compared <= arms and 0 < len(rest & tuned) < len(rest):
                    yield (
                        f"claims_tested.{index}: '{claim}' compares {', '.join(sorted(compared))},"
                        f" of which learning_rates lists {', '.join(sorted(compared & tuned))}"
                        " alone; tune all of them, or none"
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
    for label in ("ce", "kd") if plan.config.prunings else ():
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
