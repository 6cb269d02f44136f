"""Methods in the steps that they can serve, on pairs that they can serve."""

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.config.lessons import above, lessons, methods_named, sound_needs
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.config.study import Config


def place_problems(config: Config) -> Problems:
    """Pairs and methods that exist, in steps that they can serve."""
    for step, block in config.taught_steps().items():
        for index, pair in enumerate(block.pairs):
            if pair not in config.pairs:
                yield unknown(f"{step}.pairs.{index}", pair, config.pairs)
    for key, label in methods_named(config):
        name = config.method(label).method
        if label not in config.methods and label not in catalogue.methods():
            yield unknown(key, label, [*config.methods, *catalogue.methods()])
        if name in catalogue.methods():
            yield from _step_problems(config, key, label)


def _step_problems(config: Config, key: str, label: str) -> Problems:
    """A method in a step that is not for it, or whose file asks for what there is not."""
    entry, step = config.method(label), key.partition(".")[0]
    try:
        needs = catalogue.method_needs(entry.method)
    except UserError as error:
        yield f"{key}: '{label}' cannot be planned: {error}"
        return
    if needs.exits != (step == "multi_exit"):
        place = "multi_exit" if needs.exits else "distillation or two_stage"
        yield f"{key}: '{label}' cannot serve here; move it to {place}.methods"
    recipe = entry.trained_by()["recipe"]
    replaced = recipe in catalogue.recipes() and recipe != "one_stage"
    if key.startswith("two_stage.methods") and replaced:
        yield (
            f"{key}: '{label}' is trained by the recipe '{recipe}', which two stages would replace;"
            " move it to two_stage.arms or distillation.methods"
        )


def _control_problems(config: Config) -> Problems:
    """Controls that lack what they are made of."""
    block = config.multi_exit
    kd = [p for p in config.distillation.pairs if "kd" in config.distillation.methods]
    for index, name in enumerate(block.controls):
        for pair in block.pairs:
            key = f"multi_exit.controls.{index}: '{name}' needs"
            if name == "wide" and pair in config.pairs and not config.pairs[pair].wide:
                yield (
                    f"{key} the pair's wide student; set pairs.{pair}.wide to what"
                    " `python scripts/widths.py` prints"
                )
            if name == "twice" and not (pair in kd and config.serves("kd", pair)):
                yield (
                    f"{key} a first student with KD; add 'kd' to distillation.methods and"
                    f" '{pair}' to distillation.pairs"
                )


def exit_problems(config: Config) -> Problems:
    """Arms of one name; teachers' exits that nobody learns from; controls without their parts."""
    yield from _control_problems(config)
    arms = {f"kd_{name}": f"controls: {name}" for name in config.multi_exit.controls}
    for index, label in enumerate(config.multi_exit.methods):
        other = arms.setdefault(label.removeprefix("exits_"), label)
        if other != label:
            yield (
                f"multi_exit.methods.{index}: '{label}' and '{other}' would share the name of their"
                " arm; choose another label"
            )
    for label, entry in config.methods.items():
        needs = sound_needs(config, label)
        part = sound_needs(config, needs.teacher_part) if needs else None
        if needs and entry.teacher_exits != "frozen" and not (part and part.exits):
            yield (
                f"methods.{label}.teacher_exits: '{entry.teacher_exits}', but"
                f" '{config.method(label).method}' learns from no teacher's exits; remove it"
            )


def arm_problems(config: Config) -> Problems:
    """Arms of paper A whose folders other arms have; new classifiers where there are none."""
    block = config.two_stage
    taken = {*block.methods, *(f"one-stage.{label}" for label in block.methods)}
    for index, label in enumerate(block.arms):
        if label in taken:
            yield (
                f"two_stage.arms.{index}: '{label}' is among two_stage.methods, whose arms have its"
                " folders; choose another label"
            )
    started = {*block.methods, *block.arms} if block.regime != "scratch" else set()
    elsewhere = {label for key, label in methods_named(config) if not key.startswith("two_stage")}
    for label, entry in config.methods.items():
        if entry.classifier != "family" and (label not in started or label in elsewhere):
            yield (
                f"methods.{label}.classifier: '{entry.classifier}', but only students of two_stage"
                " with features from elsewhere have a new classifier; name it there alone, or"
                " remove the key"
            )


def channel_problems(config: Config) -> Problems:
    """Networks of other channels, where a method compares them one by one."""
    for lesson in lessons(config):
        needs = sound_needs(config, lesson.label)
        teacher = above(config, lesson)
        if not (needs and needs.same_channels and teacher):
            continue
        own, theirs = _channels(config.pairs[lesson.pair].student), _channels(teacher)
        depth = min(len(own), len(theirs))
        if own[-depth:] != theirs[-depth:]:
            yield (
                f"{lesson.key}: '{lesson.label}' compares maps channel by channel, but in pair"
                f" '{lesson.pair}' the student's stem and stages have {_listed(own)} channels and"
                f" the teacher's {_listed(theirs)}; choose a student of the teacher's kind and"
                " width"
            )


def _channels(entry: NetworkEntry) -> list[int]:
    """Of the stem and of each stage; none where the network does not say."""
    if entry.network not in catalogue.networks():
        return []
    widths = catalogue.network_fact(entry.network, "WIDTHS") or ()
    options = {**catalogue.network_options(entry.network), **entry.options}
    width = options.get("width")
    return [factor * width for factor in widths] if type(width) is int else []


def _listed(channels: list[int]) -> str:
    return ", ".join(map(str, channels))


def assistant_problems(config: Config) -> Problems:
    """Methods that learn from an assistant where there is none, or that learn from nobody."""
    for label in config.methods:
        needs = sound_needs(config, label)
        if needs and not needs.teacher and config.method(label).teacher == "assistant":
            yield (
                f"methods.{label}.teacher: 'assistant', but"
                f" '{config.method(label).method}' has no teacher; remove it"
            )
    for lesson in lessons(config):
        pair = config.pairs.get(lesson.pair)
        if pair and not pair.assistants and config.method(lesson.label).teacher == "assistant":
            yield (
                f"{lesson.key}: '{lesson.label}' learns from an assistant, but pair"
                f" '{lesson.pair}' has none; add pairs.{lesson.pair}.assistants"
            )


def stage_problems(config: Config) -> Problems:
    """Two stages need two epochs."""
    labels = config.two_stage.methods if config.two_stage.pairs else ()
    arms = [("two_stage", config.two_stage.training, label) for label in labels]
    for label in config.two_stage.arms if config.two_stage.pairs else ():
        if config.method(label).trained_by()["recipe"] != "one_stage":
            arms.append(("two_stage", config.two_stage.training, label))
    for label in ("ce", "kd"):
        if any(f"two_stage_{label}" in block.recover for _, block in config.prunings):
            arms.append(("recovery", config.recovery.training, label))
    budgets: dict[str, int] = {}
    for step, training, label in arms:
        own = config.method(label).training
        key = f"methods.{label}" if "epochs" in own else step
        budgets[key] = config.trained(training, own).epochs
    for key, epochs in budgets.items():
        if epochs < 2:
            yield f"{key}.training.epochs: {epochs} cannot make two stages; give at least 2"
