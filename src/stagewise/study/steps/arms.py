"""What all steps share: the settings of an arm, and how they become a run for each seed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from stagewise import catalogue
from stagewise.study.config import Config
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.config.source import image_size
from stagewise.study.planned import PlannedRun, run_path
from stagewise.study.regimes import REGIMES, weights_folder
from stagewise.study.spec import ClassifierStart, Entry, Images, Training, TrainSpec

ONE_STAGE: Entry = {"recipe": "one_stage"}


def differing(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The options that differ from their defaults; a whole number given for a float is one."""
    same = {
        option: float(value) if isinstance(defaults.get(option), float) else value
        for option, value in given.items()
    }
    return {option: value for option, value in same.items() if value != defaults.get(option)}


def network_entry(entry: NetworkEntry) -> Entry:
    """A network as a spec names it."""
    defaults = catalogue.network_options(entry.network)
    return {"network": entry.network, **differing(entry.options, defaults)}


def method_entry(config: Config, label: str) -> Entry:
    """The method of a label as a spec names it."""
    entry = config.method(label)
    defaults = catalogue.method_options(entry.method)
    return {"method": entry.method, **differing(entry.method_options(), defaults)}


def recipe_entry(config: Config, label: str) -> Entry:
    """The recipe of a label as a spec names it."""
    given = config.method(label).trained_by()
    name = given.pop("recipe")
    return {"recipe": name, **differing(given, catalogue.recipe_options(name))}


def two_stages(
    config: Config, arm: str, share: float, lr: float, *, estimate_first: int = 0
) -> Entry:
    """Paper A's recipe as a spec names it; a tuned rate of the arm's stage 1 goes before ``lr``."""
    options = {
        "stage1_share": share,
        "stage1_lr": config.stage1_rates.get(arm, lr),
        "estimate_first": estimate_first,
    }
    return {"recipe": "two_stage", **differing(options, catalogue.recipe_options("two_stage"))}


def with_stage1(recipe: Entry, lr: float) -> Entry:
    """A recipe of two stages with another rate of stage 1."""
    name = recipe["recipe"]
    options = {option: value for option, value in recipe.items() if option != "recipe"}
    defaults = catalogue.recipe_options(name)
    return {"recipe": name, **differing({**options, "stage1_lr": lr}, defaults)}


LABELS = "ce"
"""The loss term that a strength leaves as it is."""


def has_strength(spec: TrainSpec) -> bool:
    """Whether a run has loss terms beside the labels', which a strength weighs against them."""
    weights = catalogue.method_weights(spec.method["method"]) | spec.weights
    return bool(weights.pop(LABELS, 0)) and any(weights.values())


def strengthened(method: str, weights: dict[str, float], factor: float) -> dict[str, float]:
    """Weights that differ from a method's own, with those of all terms but the labels' times
    ``factor``; ``weights`` are those that differed before."""
    own = catalogue.method_weights(method)
    scaled = {
        term: weight if term == LABELS else float(f"{weight * factor:.12g}")
        for term, weight in (own | weights).items()
    }
    return differing(scaled, own)


def title(config: Config, label: str) -> str:
    """What tables call the method of a label."""
    entry = config.method(label)
    return entry.title or catalogue.label_title(label, entry.method)


def given_rate(rates: Mapping[str, float], arm: str) -> float | None:
    """The learning rate of an arm: its own, or that of the first pattern (``*``) that it fits."""
    if arm in rates:
        return rates[arm]
    patterns = (pattern for pattern in rates if "*" in pattern)
    return next((rates[each] for each in patterns if fnmatchcase(arm, each)), None)


def training(config: Config, arm: str, *overrides: dict[str, Any]) -> Training:
    """Training of an arm: the study's, some blocks over it, its own rate."""
    settings = config.trained(*overrides)
    rate = given_rate(config.learning_rates, arm)
    return settings if rate is None else replace(settings, lr=rate)


def same_seed(config: Config, arm: str) -> str:
    """Folder of an arm's run of the seed that asks, as a parent in ``trained``."""
    return run_path(config.study, arm, "{seed}")


def of_teachers(config: Config, arm: str) -> str:
    """Folder of a teacher's run, or of what is trained on one, for the seed that asks."""
    if config.replicates == "chains":
        return same_seed(config, arm)
    return run_path(config.study, arm, config.teachers.seed)


def drawn(config: Config, seen: Images, seed: int) -> Images:
    """What a run of a seed sees: where a seed is a whole chain, a draw of its own."""
    return replace(seen, draw=seed) if config.replicates == "chains" else seen


def imagenet_start(config: Config, pair: str, entry: NetworkEntry) -> tuple[str, dict[str, str]]:
    """``init`` of a spec and the parent that it names, for a network that starts from ImageNet
    weights where regime and pair want it, else from scratch."""
    block, size = config.two_stage, image_size(config)
    if not (REGIMES[block.regime].imagenet and pair in block.pairs):
        return "scratch", {}
    assert size is not None, "regime_problems"
    return "features", {"init": weights_folder(entry.network, size)}


def trained(
    config: Config,
    arm: str,
    seeds: Iterable[int],
    *,
    data: Images,
    init: str,
    network: Entry,
    method: str,
    recipe: Entry,
    training: Training,
    parents: dict[str, str] | None = None,
    exits: str = "",
    exit_places: tuple[int, ...] = (),
    observers: tuple[str, ...] = (),
    classifier: ClassifierStart = "family",
    divergence: Literal["fails", "ends"] = "fails",
    reference: str = "",
    labels: dict[str, Any],
) -> Iterator[PlannedRun]:
    """An arm's runs that train, one for each seed: ``init`` is their start (see ``runs.start``),
    ``method`` a label; a teacher that the method does not need is left out of ``parents``. In paths
    ``{seed}`` stands for the seed."""
    entry = config.method(method)
    weights = strengthened(entry.method, entry.weights, config.strengths.get(arm, 1.0))
    roles = dict(parents or {})
    if not catalogue.method_needs(entry.method).teacher:
        roles.pop("teacher", None)
    spec = TrainSpec(
        seed=0,
        data=data,
        init=init,
        network=network,
        method=method_entry(config, method),
        weights=weights,
        recipe=recipe,
        training=training,
        exits=exits,
        exit_places=exit_places,
        observers=observers,
        classifier=classifier,
        divergence=divergence,
    )
    labels = {"method": method, "recipe": recipe["recipe"], **labels}
    for seed in seeds:
        found = {role: path.format(seed=seed) for role, path in roles.items()}
        own = replace(spec, seed=seed, data=drawn(config, data, seed))
        reference_path = reference.format(seed=seed)
        yield PlannedRun(config.study, arm, seed, own, found, reference_path, labels)
