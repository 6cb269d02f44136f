"""Networks, their options, the images and the weights that they start from."""

from collections.abc import Mapping
from typing import Any

from stagewise import catalogue
from stagewise.models.imagenet_weights import WEIGHTS
from stagewise.study.checks.common import Config, Problems, unknown
from stagewise.study.checks.data import image_size, known_fact
from stagewise.study.regimes import REGIMES


def network_problems(config: Config) -> Problems:
    """Networks that exist, their options, and images that are large enough for them."""
    size = image_size(config)
    for pair, roles in config["pairs"].items():
        for role, entry in roles.items():
            key, name = f"pairs.{pair}.{role}", entry["network"]
            if name not in catalogue.networks():
                yield unknown(f"{key}.network", name, catalogue.networks())
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
            yield unknown(key, option, known)
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
    if known_fact(config, "CHANNELS") == 1:
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
