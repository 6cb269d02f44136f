"""Checks across keys: names that must exist, settings that must fit each other and the data.

A check takes a configuration with all defaults and yields its problems, each with key, value and
mend. ``CHECKS`` lists them with the blocks that they read: where a block breaks the schema, only
the checks of other blocks run.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.models.imagenet_weights import WEIGHTS
from stagewise.study.regimes import REGIMES
from stagewise.study.schema import schema

Config = dict[str, Any]
Problems = Iterator[str]

STEPS_WITH_METHODS = ("distillation", "two_stage", "multi_exit")
TRAININGS = (
    ("training",),
    ("teachers", "training"),
    ("students", "training"),
    ("two_stage", "training"),
    ("two_stage", "pretraining", "training"),
    ("multi_exit", "teacher_exits"),
    ("recovery", "training"),
)
"""Where training settings stand."""

KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
    tuple: ((list,), "a list"),
    list: ((list,), "a list"),
}
"""Type of an option's default → types that the option takes, and their name."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the known names where none is near."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def method_entry(config: Config, label: str) -> dict[str, Any]:
    """The ``methods`` entry of a label; an empty one where the config has none."""
    return {"method": label, **config["methods"].get(label, {})}


def problems(config: Config, broken: Collection[str] = ()) -> Problems:
    """All that the checks find, but for those that read a ``broken`` or absent block."""
    for check, blocks in CHECKS.items():
        if not any(block in broken or block not in config for block in blocks):
            yield from check(config)


def _unknown(key: str, value: str, known: Iterable[str]) -> str:
    return f"{key}: '{value}' is unknown; {nearest(value, known)}"


def _option_problems(key: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> Problems:
    """Options that do not exist, or are of another type than their default."""
    for option, value in given.items():
        if option not in known:
            yield _unknown(key, option, known)
        elif known[option] is not None:
            kind = type(known[option])
            types, name = KINDS[kind]
            if not isinstance(value, types) or isinstance(value, bool) != (kind is bool):
                yield f"{key}.{option}: {value!r} is of the wrong type; give {name}"


# -- data ----------------------------------------------------------------------------------------


def source_options(config: Config) -> dict[str, Any]:
    """Options of the data source that the config's ``data`` block gives."""
    data = config["data"]
    if data["source"] not in catalogue.sources():
        return {}
    return {key: data[key] for key in catalogue.source_options(data["source"]) if key in data}


def source_fact(config: Config, fact: str) -> Any:
    """What planning knows of the data; None where the source, or the fact, is unknown.

    Raises:
        UserError: the data that the options name are not as they must be.
    """
    name = config["data"]["source"]
    if name not in catalogue.sources():
        return None
    return catalogue.source_fact(name, fact, source_options(config))


def _known(config: Config, fact: str) -> Any:
    """The same, None where the data are not as they must be: ``data_problems`` says so once."""
    if any(_source_problems(config)):
        return None
    try:
        return source_fact(config, fact)
    except UserError:
        return None


def class_count(config: Config) -> int | None:
    """Classes that the study uses; None where nobody knows yet."""
    wanted, count = config["data"]["classes"], _known(config, "CLASSES")
    if wanted is not None:
        return wanted if isinstance(wanted, int) else len(wanted)
    return int(count) if count else None


def _least_images(config: Config) -> int | None:
    """Images of the smallest class in use; None where nobody knows yet."""
    wanted, images = config["data"]["classes"], _known(config, "IMAGES")
    if not isinstance(images, list):
        return int(images) if images else None
    numbers = range(wanted) if isinstance(wanted, int) else wanted or range(len(images))
    return min((images[number] for number in numbers if number < len(images)), default=None)


def image_size(config: Config) -> int | None:
    """Pixels of an image's side; None where nobody knows yet."""
    size = config["data"].get("image_size") or _known(config, "SIZE")
    if size is None and config["data"]["source"] in catalogue.sources():
        size = catalogue.source_options(config["data"]["source"]).get("image_size")
    return int(size) if size else None


def _source_problems(config: Config) -> Problems:
    """The source's name and options."""
    data = config["data"]
    if data["source"] not in catalogue.sources():
        yield _unknown("data.source", data["source"], catalogue.sources())
        return
    keys, options = schema()["properties"]["data"]["properties"], {}
    known = catalogue.source_options(data["source"])
    for key, value in data.items():
        if key in known:
            options[key] = value
        elif key not in keys:
            yield _unknown("data", key, {**keys, **known})
    yield from _option_problems("data", options, known)
    if data["mirrors"] and "mirrors" not in known:
        yield f"data.mirrors: '{data['source']}' is not downloaded; remove them"


def data_problems(config: Config) -> Problems:
    """The source and its options; shares; images of each class."""
    data, found = config["data"], list(_source_problems(config))
    yield from found
    if not found:
        try:
            source_fact(config, "CLASSES")
        except UserError as error:
            yield str(error)
    train = 1 - data["validation"] - (0 if _known(config, "HAS_TEST") else data["test"])
    if train <= 0:
        yield (
            f"data.validation: {data['validation']} and data.test: {data['test']} leave no images"
            " for training; lower one"
        )
    images = _least_images(config)
    for key in ("student_images_per_class", "target_images_per_class"):
        # + 1: splits round either way
        if images and train > 0 and (data[key] or 0) > train * images + 1:
            yield (
                f"data.{key}: {data[key]} are more than the {train * images:.0f} training images of"
                f" the smallest class of '{data['source']}'; lower it"
            )


def class_problems(config: Config) -> Problems:
    """Classes that exist; source classes that leave a target."""
    wanted, have = config["data"]["classes"], _known(config, "CLASSES")
    highest = wanted - 1 if isinstance(wanted, int) else max(wanted or [0])
    if have and highest >= have:
        yield (
            f"data.classes: {wanted} is more than the {have} classes of"
            f" '{config['data']['source']}'; use numbers below {have}"
        )
        return
    given = config["data"]["source_classes"]
    if len(given) == 1:
        yield (
            f"data.source_classes: {given}: one class cannot be told from itself; list at least two"
        )
    block = config["two_stage"]
    if block["pairs"] and REGIMES[block["regime"]].pretrains and not given:
        yield "data.source_classes: two_stage pretrains on source classes; list at least two"
    count = class_count(config)
    if count is None:
        return
    absent = [number for number in given if number >= count]
    if absent:
        yield (
            f"data.source_classes: {absent} are no classes of '{config['data']['source']}', of"
            f" which the study uses {count}; use 0 to {count - 1}"
        )
    elif count - len(given) < 2:
        yield (
            f"data.source_classes: {given} leave {count - len(given)} of {count} classes as the"
            " target; leave at least two"
        )


def crop_problems(config: Config) -> Problems:
    """Crops that could miss the image."""
    size = image_size(config)
    own = [("methods", label, "training") for label in config["methods"]]
    for path in (*TRAININGS, *own):
        block = config
        for key in path:
            block = block.get(key, {})
        if size is not None and block.get("crop", 0) >= size:
            yield (
                f"{'.'.join(path)}.crop: {block['crop']} could move the image of {size} pixels out"
                f" of sight; choose at most {size // 2}"
            )


# -- networks ------------------------------------------------------------------------------------


def network_problems(config: Config) -> Problems:
    """Networks that exist, their options, and images that are large enough for them."""
    size = image_size(config)
    for pair, roles in config["pairs"].items():
        for role, entry in roles.items():
            key, name = f"pairs.{pair}.{role}", entry["network"]
            if name not in catalogue.networks():
                yield _unknown(f"{key}.network", name, catalogue.networks())
                continue
            options = {option: value for option, value in entry.items() if option != "network"}
            yield from _network_option_problems(key, options, catalogue.network_options(name))
            smallest = catalogue.network_fact(name, "SMALLEST") or 1
            if size is not None and size < smallest:
                yield (
                    f"{key}.network: '{name}' pools images of {size} pixels away; set"
                    f" data.image_size to at least {smallest}, or choose another network"
                )


def _network_option_problems(
    key: str, given: Mapping[str, Any], known: Mapping[str, Any]
) -> Problems:
    largest = catalogue.LARGEST_OPTION
    for option, value in given.items():
        if option not in known:
            yield _unknown(key, option, known)
        elif not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            yield f"{key}.{option}: {value!r} must be a whole number from 1 to {largest}"


def regime_problems(config: Config) -> Problems:
    """Settings of another regime; data and networks that ImageNet weights do not fit."""
    block = config["two_stage"]
    name, regime = block["regime"], REGIMES[block["regime"]]
    if block["pretraining"]["training"] and not regime.pretrains:
        yield (
            f"two_stage.pretraining.training: regime '{name}' pretrains no student; remove it, or"
            " choose regime 'split'"
        )
    if block["mirrors"] and not regime.imagenet:
        yield (
            f"two_stage.mirrors: regime '{name}' fetches no weights; remove them, or choose regime"
            " 'imagenet'"
        )
    if not (regime.imagenet and block["pairs"]):
        return
    if _known(config, "CHANNELS") == 1:
        yield (
            f"two_stage.regime: '{name}' needs colour images, and those of"
            f" '{config['data']['source']}' are grey; choose another source, or another regime"
        )
    for pair in block["pairs"]:
        for role, entry in config["pairs"].get(pair, {}).items():
            yield from _weights_problems(f"pairs.{pair}.{role}", entry)


def _weights_problems(key: str, entry: Mapping[str, Any]) -> Problems:
    """A network that torchvision has no weights for, or none of its width."""
    network = entry["network"]
    if network not in catalogue.networks():
        return
    if network not in WEIGHTS:
        yield (
            f"{key}.network: '{network}' has no ImageNet weights, which regime 'imagenet' starts"
            f" from; take one of {', '.join(WEIGHTS)}"
        )
        return
    for option, value in catalogue.network_options(network).items():
        if entry.get(option, value) != value:
            yield (
                f"{key}.{option}: {entry[option]!r}, but the ImageNet weights of '{network}' are"
                f" for {value}; remove it"
            )


# -- methods -------------------------------------------------------------------------------------


def method_problems(config: Config) -> Problems:
    """Methods that exist, their options and weights."""
    known = catalogue.methods()
    for label in config["methods"]:
        entry = method_entry(config, label)
        name, key = entry["method"], f"methods.{label}"
        if name not in known:
            yield _unknown(key, name, known)
            continue
        if label in known and label != name:
            yield (
                f"{key}.method: '{name}', but '{label}' is a method of its own, which other arms"
                f" use; choose another label, like '{label}_{name}'"
            )
        given = entry.keys() - {"method", "weights", "training"}
        options = {option: entry[option] for option in given}
        yield from _option_problems(key, options, catalogue.method_options(name))
        terms, weights = catalogue.method_weights(name), entry.get("weights", {})
        for term in weights.keys() - terms.keys():
            yield _unknown(f"{key}.weights", term, terms)
        if terms and not any({**terms, **weights}.values()):
            yield f"{key}.weights: all are 0, so nothing is learned; raise one"


def place_problems(config: Config) -> Problems:
    """Methods in the steps that they can serve, on pairs that they can serve."""
    known, pairs = catalogue.methods(), config["pairs"]
    for step in STEPS_WITH_METHODS:
        for index, pair in enumerate(config[step]["pairs"]):
            if pair not in pairs:
                yield _unknown(f"{step}.pairs.{index}", pair, pairs)
        for index, label in enumerate(config[step]["methods"]):
            key, name = f"{step}.methods.{index}", method_entry(config, label)["method"]
            if label not in config["methods"] and label not in known:
                yield _unknown(key, label, [*config["methods"], *known])
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


# -- pruning, claims, tuning ---------------------------------------------------------------------


def pruning_problems(config: Config) -> Problems:
    """Chains that exist, ratios that can be reached and have names of their own."""
    two_stage = config["two_stage"]
    seen: dict[tuple[str, ...], str] = {}
    for index, block in enumerate(config["pruning"]):
        key, pair = f"pruning.{index}", block["pair"]
        if pair not in config["pairs"]:
            yield _unknown(f"{key}.pair", pair, config["pairs"])
            continue
        if block["chain"] == "two_stage" and pair not in two_stage["pairs"]:
            yield (
                f"{key}.chain: two_stage, but two_stage.pairs lacks"
                f" '{pair}'; add it there, or prune the baseline"
            )
        elif block["chain"] == "two_stage" and not two_stage["methods"]:
            yield (
                f"{key}.chain: two_stage, but two_stage.methods is empty, so there is no student"
                " to prune; add a method there, or prune the baseline"
            )
        yield from _prunable_problems(f"{key}.pair", config["pairs"][pair]["student"]["network"])
        most = largest_ratio(config, pair)
        for number, ratio in enumerate(block["ratios"]):
            place = f"{key}.ratios.{number}"
            shape = (pair, block["chain"], block["criterion"], f"{ratio:g}")
            if shape in seen:
                yield f"{place}: {ratio:g} is repeated, see {seen[shape]}; keep one"
            seen.setdefault(shape, place)
            if ratio > most:
                yield (
                    f"{place}: {ratio:g} cannot be reached, as recovery.min_share and min_channels"
                    f" keep so much that MACs fall by {most:.1f} at most; lower one of them, or"
                    " the ratio, or take a wider student"
                )


def _prunable_problems(key: str, network: str) -> Problems:
    """Students whose channels cannot be removed."""
    known = network in catalogue.networks()
    reason = catalogue.network_fact(network, "UNPRUNABLE") if known else None
    if reason:
        yield (
            f"{key}: its student '{network}' cannot be pruned, as {reason}; prune a student of"
            " another kind"
        )


def largest_ratio(config: Config, pair: str) -> float:
    """A bound on the factor by which pruning can cut a student's MACs.

    A layer's MACs grow with its inputs times its outputs, and each keeps at least the share that
    the limits leave of the widest layer, so at least the square of that share stays.
    """
    limits, student = config["recovery"], config["pairs"][pair]["student"]
    share = limits["min_share"]
    if student["network"] in catalogue.networks():
        width = student.get("width", catalogue.network_options(student["network"]).get("width"))
        widths = catalogue.network_fact(student["network"], "WIDTHS")
        if widths and type(width) is int and width > 0:
            wide = catalogue.network_fact(student["network"], "WIDEST") or 0
            widest = max(wide, max(widths) * width)
            share = min(1.0, max(share, limits["min_channels"] / widest))
    return float((1 + limits["tolerance"]) / share**2)


def claim_problems(config: Config) -> Problems:
    """Claims that exist."""
    known = catalogue.claims()
    for index, claim in enumerate(config["claims_tested"]):
        if claim not in known:
            yield _unknown(f"claims_tested.{index}", claim, known)


def tuning_problems(config: Config) -> Problems:
    """Rates that have names of their own."""
    names = [f"{rate:g}" for rate in config["tune"]["rates"]]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"tune.rates.{index}: {name} is repeated up to rounding; keep one"


CHECKS: dict[Callable[[Config], Problems], tuple[str, ...]] = {
    data_problems: ("data",),
    class_problems: ("data", "two_stage"),
    crop_problems: ("data", "methods", *dict.fromkeys(path[0] for path in TRAININGS)),
    network_problems: ("pairs", "data"),
    regime_problems: ("two_stage", "pairs", "data"),
    method_problems: ("methods",),
    place_problems: ("methods", "pairs", *STEPS_WITH_METHODS),
    stage_problems: ("training", "two_stage", "pruning", "recovery"),
    pruning_problems: ("pruning", "pairs", "two_stage", "recovery"),
    claim_problems: ("claims_tested",),
    tuning_problems: ("tune",),
}
"""Check → the blocks that it reads."""
