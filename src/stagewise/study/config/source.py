"""The data source of a configuration, and what planning knows of its images."""

from dataclasses import fields
from typing import Any

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.files import canonical_json, sha256_text
from stagewise.study.config.data import Data
from stagewise.study.config.options import Problems, option_problems, unknown
from stagewise.study.config.study import Config


def source_options(config: Config) -> dict[str, Any]:
    """Options of the data source that the config's ``data`` block gives."""
    if config.data.source not in catalogue.sources():
        return {}
    data = config.data.as_dict()
    return {key: data[key] for key in catalogue.source_options(config.data.source) if key in data}


def raw_file(config: Config) -> str:
    """Where the raw data lie. Its name is of what they depend on: not of the place that they came
    from, their content is checked."""
    content = {key: value for key, value in source_options(config).items() if key != "mirrors"}
    of_options = f"-{sha256_text(canonical_json(content))[:8]}" if content else ""
    return f"data/raw/{config.data.source}{of_options}.safetensors"


def prepare_settings(config: Config) -> dict[str, Any]:
    """What the splits depend on: the ``data`` block without what the source alone uses."""
    others = {"mirrors", *source_options(config)} - {"image_size"}
    return {key: value for key, value in config.data.as_dict().items() if key not in others}


def source_fact(config: Config, fact: str) -> Any:
    """What planning knows of the data; None where the source, or the fact, is unknown.

    Raises:
        UserError: the data that the options name are not as they must be.
    """
    name = config.data.source
    if name not in catalogue.sources():
        return None
    return catalogue.source_fact(name, fact, source_options(config))


def source_problems(config: Config) -> Problems:
    """The source's name and options."""
    data = config.data
    if data.source not in catalogue.sources():
        yield unknown("data.source", data.source, catalogue.sources())
        return
    known = catalogue.source_options(data.source)
    own = {each.name for each in fields(Data)} - {"options"}
    for option in data.options.keys() - known.keys():
        yield unknown("data", option, [*own, *known])
    given = {key: value for key, value in source_options(config).items() if key in data.options}
    yield from option_problems("data", given, known)
    if data.mirrors and "mirrors" not in known:
        yield f"data.mirrors: '{data.source}' is not downloaded; remove them"


def known_fact(config: Config, fact: str) -> Any:
    """The same, but None where the data are not as they must be: one check says so."""
    if any(source_problems(config)):
        return None
    try:
        return source_fact(config, fact)
    except UserError:
        return None


def class_count(config: Config) -> int | None:
    """Classes that the study uses; None where nobody knows yet."""
    wanted, count = config.data.classes, known_fact(config, "CLASSES")
    if wanted is not None:
        return wanted if isinstance(wanted, int) else len(wanted)
    return int(count) if count else None


def least_images(config: Config) -> int | None:
    """Images of the smallest class in use; None where nobody knows yet."""
    wanted, images = config.data.classes, known_fact(config, "IMAGES")
    if not isinstance(images, list):
        return int(images) if images else None
    numbers = range(wanted) if isinstance(wanted, int) else wanted or range(len(images))
    return min((images[number] for number in numbers if number < len(images)), default=None)


def image_size(config: Config) -> int | None:
    """Pixels of an image's side; None where nobody knows yet."""
    size = config.data.image_size or known_fact(config, "SIZE")
    if size is None and config.data.source in catalogue.sources():
        size = catalogue.source_options(config.data.source).get("image_size")
    return int(size) if size else None
