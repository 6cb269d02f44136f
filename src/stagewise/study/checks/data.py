"""The data source, its classes and images; what planning knows of them."""

from typing import Any

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.checks.common import TRAININGS, Config, Problems, option_problems, unknown
from stagewise.study.regimes import REGIMES
from stagewise.study.schema import schema


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


def known_fact(config: Config, fact: str) -> Any:
    """The same, None where the data are not as they must be: ``data_problems`` says so once."""
    if any(_source_problems(config)):
        return None
    try:
        return source_fact(config, fact)
    except UserError:
        return None


def class_count(config: Config) -> int | None:
    """Classes that the study uses; None where nobody knows yet."""
    wanted, count = config["data"]["classes"], known_fact(config, "CLASSES")
    if wanted is not None:
        return wanted if isinstance(wanted, int) else len(wanted)
    return int(count) if count else None


def _least_images(config: Config) -> int | None:
    """Images of the smallest class in use; None where nobody knows yet."""
    wanted, images = config["data"]["classes"], known_fact(config, "IMAGES")
    if not isinstance(images, list):
        return int(images) if images else None
    numbers = range(wanted) if isinstance(wanted, int) else wanted or range(len(images))
    return min((images[number] for number in numbers if number < len(images)), default=None)


def image_size(config: Config) -> int | None:
    """Pixels of an image's side; None where nobody knows yet."""
    size = config["data"].get("image_size") or known_fact(config, "SIZE")
    if size is None and config["data"]["source"] in catalogue.sources():
        size = catalogue.source_options(config["data"]["source"]).get("image_size")
    return int(size) if size else None


def _source_problems(config: Config) -> Problems:
    """The source's name and options."""
    data = config["data"]
    if data["source"] not in catalogue.sources():
        yield unknown("data.source", data["source"], catalogue.sources())
        return
    keys, options = schema()["properties"]["data"]["properties"], {}
    known = catalogue.source_options(data["source"])
    for key, value in data.items():
        if key in known:
            options[key] = value
        elif key not in keys:
            yield unknown("data", key, {**keys, **known})
    yield from option_problems("data", options, known)
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
    train = 1 - data["validation"] - (0 if known_fact(config, "HAS_TEST") else data["test"])
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


def probe_problems(config: Config) -> Problems:
    """A gradient-shock probe without the held-out images that it looks at."""
    block = config["two_stage"]
    if block["pairs"] and block["probe"] and not config["data"]["validation"]:
        yield (
            "two_stage.probe: true, but data.validation is 0, so there are no held-out images for"
            " the probe; set probe: false, or hold some out"
        )


def class_problems(config: Config) -> Problems:
    """Classes that exist; source classes that leave a target."""
    wanted, have = config["data"]["classes"], known_fact(config, "CLASSES")
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
