"""The data source, its classes and images."""

from stagewise.errors import UserError
from stagewise.study.config.options import Problems
from stagewise.study.config.source import (
    class_count,
    image_size,
    known_fact,
    least_images,
    source_fact,
    source_problems,
)
from stagewise.study.config.study import Config
from stagewise.study.regimes import REGIMES


def data_problems(config: Config) -> Problems:
    """The source and its options; shares; images of each class."""
    data, found = config.data, list(source_problems(config))
    yield from found
    if not found:
        try:
            source_fact(config, "CLASSES")
        except UserError as error:
            yield str(error)
    train = 1 - data.validation - (0 if known_fact(config, "HAS_TEST") else data.test)
    if train <= 0:
        yield (
            f"data.validation: {data.validation:g} and data.test: {data.test:g} leave no images"
            " for training; lower one"
        )
    images = least_images(config)
    asked = {
        "student_images_per_class": data.student_images_per_class,
        "target_images_per_class": data.target_images_per_class,
    }
    for key, count in asked.items():
        # + 1: splits round either way
        if images and train > 0 and (count or 0) > train * images + 1:
            yield (
                f"data.{key}: {count} are more than the {train * images:.0f} training images of"
                f" the smallest class of '{data.source}'; lower it"
            )


def probe_problems(config: Config) -> Problems:
    """A gradient-shock probe without the held-out images that it looks at."""
    block = config.two_stage
    if block.pairs and block.probe and not config.data.validation:
        yield (
            "two_stage.probe: true, but data.validation is 0, so there are no held-out images for"
            " the probe; set probe: false, or hold some out"
        )
    if block.pairs and block.probe and not (block.probe_own_rates or block.common_rates):
        yield (
            "two_stage.probe_own_rates: false, but two_stage.common_rates is empty, so probe: true"
            " logs nothing; give a common rate, or set probe: false"
        )


def class_problems(config: Config) -> Problems:
    """Classes that exist; source classes that leave a target."""
    data, have = config.data, known_fact(config, "CLASSES")
    wanted = list(data.classes) if isinstance(data.classes, tuple) else data.classes
    highest = wanted - 1 if isinstance(wanted, int) else max(wanted or [0])
    if have and highest >= have:
        yield (
            f"data.classes: {wanted!s:.200} is more than the {have} classes of '{data.source}';"
            f" use numbers below {have}"
        )
        return
    given = list(data.source_classes)
    if len(given) == 1:
        yield (
            f"data.source_classes: {given}: one class cannot be told from itself; list at least two"
        )
    block = config.two_stage
    if block.pairs and REGIMES[block.regime].pretrains and not given:
        yield "data.source_classes: two_stage pretrains on source classes; list at least two"
    count = class_count(config)
    if count is None:
        return
    absent = [number for number in given if number >= count]
    if absent:
        yield (
            f"data.source_classes: {absent!s:.200} are no classes of '{data.source}', of"
            f" which the study uses {count}; use 0 to {count - 1}"
        )
    elif count - len(given) < 2:
        yield (
            f"data.source_classes: {given!s:.200} leave {count - len(given)} of {count} classes as"
            " the target; leave at least two"
        )


def crop_problems(config: Config) -> Problems:
    """Crops that could miss the image."""
    size = image_size(config)
    crops = {"training": config.training.crop}
    crops |= {key: given.get("crop", 0) for key, given in config.overrides()}
    for key, crop in crops.items():
        if size is not None and crop >= size:
            yield (
                f"{key}.crop: {crop} could move the image of {size} pixels out"
                f" of sight; choose at most {size // 2}"
            )
