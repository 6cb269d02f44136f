"""Networks, their options, the images and the weights that they start from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stagewise import catalogue
from stagewise.study.config.lessons import above, lessons, sound_needs
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.pairs import HOSTED, NetworkEntry, Teacher
from stagewise.study.config.source import image_size, known_fact
from stagewise.study.config.study import Config
from stagewise.study.regimes import REGIMES


def _entries(config: Config, pair: str) -> Iterator[tuple[str, NetworkEntry]]:
    """Key and entry of each network of a pair."""
    block = config.pairs[pair]
    yield f"pairs.{pair}.teacher", block.teacher
    yield f"pairs.{pair}.student", block.student
    if block.wide:
        yield f"pairs.{pair}.wide", block.wide
    for number, assistant in enumerate(block.assistants):
        yield f"pairs.{pair}.assistants.{number}", assistant


def network_problems(config: Config) -> Problems:
    """Networks that exist, their options, and images that are large enough for them."""
    size = image_size(config)
    for key, entry in (found for pair in config.pairs for found in _entries(config, pair)):
        name = entry.network
        if not catalogue.network_file(name):
            yield unknown(f"{key}.network", name, catalogue.named_like(name))
            continue
        yield from _option_problems(key, entry.options, catalogue.network_options(name))
        smallest = catalogue.network_fact(name, "SMALLEST") or 1
        if size is not None and size < smallest:
            yield (
                f"{key}.network: '{name}' pools images of {size} pixels away; set"
                f" data.image_size to at least {smallest}, or choose another network"
            )


def _option_problems(key: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> Problems:
    largest = catalogue.LARGEST_OPTION
    for option, value in given.items():
        if option not in known:
            yield unknown(key, option, known)
        elif not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            yield f"{key}.{option}: {value!r:.200} must be a whole number from 1 to {largest}"


def teacher_problems(config: Config) -> Problems:
    """Networks of other libraries that do more than teach by their logits; weights of teachers."""
    for pair in config.pairs:
        for key, entry in _entries(config, pair):
            if catalogue.is_foreign(entry.network) and not isinstance(entry, Teacher):
                yield (
                    f"{key}.network: '{entry.network}' can only be a teacher; take one of"
                    f" {', '.join(catalogue.networks())}"
                )
        yield from _given_problems(config, pair, config.pairs[pair].teacher)
    for lesson in lessons(config):
        teacher, needs = above(config, lesson), sound_needs(config, lesson.label)
        inside = needs and (needs.teacher_taps or needs.blocks or needs.teacher_part)
        if teacher and catalogue.is_foreign(teacher.network) and inside:
            yield (
                f"{lesson.key}: '{lesson.label}' looks at what is inside its teacher, and"
                f" '{teacher.network}' of pair '{lesson.pair}' shows its logits and pooled vectors"
                " only; choose another method, such as kd, or a teacher of the zoo"
            )


def _given_problems(config: Config, pair: str, teacher: Teacher) -> Problems:
    """Weights that are there, and settings that belong to them."""
    key, foreign = f"pairs.{pair}.teacher", catalogue.is_foreign(teacher.network)
    if foreign and known_fact(config, "CHANNELS") == 1:
        yield (
            f"{key}.network: '{teacher.network}' takes colour images, and those of"
            f" '{config.data.source}' are grey; take a network of the zoo"
        )
    for name in ("sha256", "head", "mean", "std"):
        if name in teacher.as_dict() and not teacher.weights:
            yield f"{key}.{name}: is of weights that are given, and none are; add {key}.weights"
    for name, values in (("mean", teacher.mean), ("std", teacher.std)):
        if values and (not foreign or len(values) != 3 or (name == "std" and 0 in values)):
            yield (
                f"{key}.{name}: {[*values]} must be three numbers, not 0, of a network of another"
                " library; correct or remove it"
            )
    if teacher.hosted:
        yield from _hosted_problems(key, teacher)
    elif teacher.weights and not Path(teacher.weights).expanduser().is_file():
        yield f"{key}.weights: '{teacher.weights}' is no file; correct it"
    if teacher.mirrors and not teacher.hosted:
        yield f"{key}.mirrors: nothing is fetched; remove them, or say weights: torchvision"
    if teacher.weights and pair in config.two_stage.pairs:
        yield (
            f"{key}.weights: two_stage trains teachers of its own, on some of the classes; remove"
            f" '{pair}' from two_stage.pairs, or the weights"
        )


def _hosted_problems(key: str, teacher: Teacher) -> Problems:
    """Weights that torchvision has, for other classes than the study's."""
    if not teacher.network.startswith(f"{HOSTED}:"):
        yield (
            f"{key}.weights: torchvision has none for '{teacher.network}'; name its network, such"
            " as torchvision:resnet50, or a file"
        )
    if teacher.head != "new":
        yield (
            f"{key}.head: torchvision's weights are for ImageNet's classes; add head: new, and the"
            " whole is trained on the study's"
        )


def regime_problems(config: Config) -> Problems:
    """Settings of another regime; data and networks that ImageNet weights do not fit."""
    block = config.two_stage
    name, regime = block.regime, REGIMES[block.regime]
    if block.pretraining.training and not regime.pretrains:
        yield (
            f"two_stage.pretraining.training: regime '{name}' pretrains no student; remove it, or"
            " choose regime 'split'"
        )
    if block.mirrors and not regime.imagenet:
        yield (
            f"two_stage.mirrors: regime '{name}' fetches no weights; remove them, or choose regime"
            " 'imagenet'"
        )
    if not (regime.imagenet and block.pairs):
        return
    if known_fact(config, "CHANNELS") == 1:
        yield (
            f"two_stage.regime: '{name}' needs colour images, and those of"
            f" '{config.data.source}' are grey; choose another source, or another regime"
        )
    for pair in block.pairs:
        if pair in config.pairs:
            for key, entry in _entries(config, pair):
                yield from _weights_problems(key, entry)


def _weights_problems(key: str, entry: NetworkEntry) -> Problems:
    """A network that torchvision has no weights for, or none of its width."""
    network, known = entry.network, catalogue.networks()
    if network not in known:
        return
    if not catalogue.network_fact(network, "IMAGENET"):
        there = [name for name in known if catalogue.network_fact(name, "IMAGENET")]
        yield (
            f"{key}.network: '{network}' has no ImageNet weights, which regime 'imagenet' starts"
            f" from; take one of {', '.join(there)}"
        )
        return
    for option, value in catalogue.network_options(network).items():
        if entry.options.get(option, value) != value:
            yield (
                f"{key}.{option}: {entry.options[option]!r}, but the ImageNet weights of"
                f" '{network}' are for {value}; remove it"
            )
