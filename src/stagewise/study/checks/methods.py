"""Methods, their options and weights, and the steps that use them."""

from stagewise import catalogue
from stagewise.study.checks.common import (
    STEPS_WITH_METHODS,
    Config,
    Problems,
    method_entry,
    option_problems,
    unknown,
)


def method_problems(config: Config) -> Problems:
    """Methods that exist, their options and weights."""
    known = catalogue.methods()
    for label in config["methods"]:
        entry = method_entry(config, label)
        name, key = entry["method"], f"methods.{label}"
        if name not in known:
            yield unknown(key, name, known)
            continue
        if label in known and label != name:
            yield (
                f"{key}.method: '{name}', but '{label}' is a method of its own, which other arms"
                f" use; choose another label, like '{label}_{name}'"
            )
        given = entry.keys() - {"method", "weights", "training"}
        options = {option: entry[option] for option in given}
        yield from option_problems(key, options, catalogue.method_options(name))
        terms, weights = catalogue.method_weights(name), entry.get("weights", {})
        for term in weights.keys() - terms.keys():
            yield unknown(f"{key}.weights", term, terms)
        if terms and not any({**terms, **weights}.values()):
            yield f"{key}.weights: all are 0, so nothing is learned; raise one"


def place_problems(config: Config) -> Problems:
    """Methods in the steps that they can serve, on pairs that they can serve."""
    known, pairs = catalogue.methods(), config["pairs"]
    for step in STEPS_WITH_METHODS:
        for index, pair in enumerate(config[step]["pairs"]):
            if pair not in pairs:
                yield unknown(f"{step}.pairs.{index}", pair, pairs)
        for index, label in enumerate(config[step]["methods"]):
            key, name = f"{step}.methods.{index}", method_entry(config, label)["method"]
            if label not in config["methods"] and label not in known:
                yield unknown(key, label, [*config["methods"], *known])
            if name not in known:
                continue
            multi_exit = step == "multi_exit"
            if ("exits" in catalogue.method_needs(name)) != multi_exit:
                place = "multi_exit" if not multi_exit else "distillation or two_stage"
                yield f"{key}: '{label}' cannot serve here; move it to {place}.methods"
    yield from _exit_problems(config)


def _exit_problems(config: Config) -> Problems:
    """Exits that are paired with those of a teacher that has fewer; arms of one name."""
    block, pairs = config["multi_exit"], config["pairs"]
    arms: dict[str, str] = {}
    for index, label in enumerate(block["methods"]):
        other = arms.setdefault(label.removeprefix("exits_"), label)
        if other != label:
            yield (
                f"multi_exit.methods.{index}: '{label}' and '{other}' would share the name of their"
                " arm; choose another label"
            )
        name = method_entry(config, label)["method"]
        if name not in catalogue.methods() or "teacher_exits" not in catalogue.method_needs(name):
            continue
        for pair in block["pairs"]:
            roles = pairs.get(pair, {})
            exits = {role: _exits(entry["network"]) for role, entry in roles.items()}
            if exits and all(exits.values()) and exits["student"] > exits["teacher"]:
                yield (
                    f"multi_exit.methods.{index}: '{label}' gives each exit a teacher's exit, but"
                    f" in pair '{pair}' the student has {exits['student']} and the teacher"
                    f" {exits['teacher']}; choose a student of the teacher's kind"
                )


def _exits(network: str) -> int:
    """Exits of a network, one a stage; 0 where it does not say."""
    known = network in catalogue.networks()
    widths = catalogue.network_fact(network, "WIDTHS") if known else None
    return len(widths) - 1 if widths else 0


def stage_problems(config: Config) -> Problems:
    """Two stages need two epochs."""
    wanted = {
        "two_stage": bool(config["two_stage"]["pairs"] and config["two_stage"]["methods"]),
        "recovery": any("two_stage_kd" in block["recover"] for block in config["pruning"]),
    }
    for step, used in wanted.items():
        epochs = {**config["training"], **config[step]["training"]}["epochs"]
        if used and epochs < 2:
            yield f"{step}.training.epochs: {epochs} cannot make two stages; give at least 2"
