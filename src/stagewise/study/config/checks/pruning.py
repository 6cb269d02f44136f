"""Pruning chains and the ratios that they can reach."""

from stagewise import catalogue
from stagewise.study.config.compression import Pruning
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.study import Config


def pruning_problems(config: Config) -> Problems:
    """Chains and criteria that exist, ratios that can be reached and have names of their own."""
    two_stage = config.two_stage
    seen: dict[tuple[str, ...], str] = {}
    for key, block in config.prunings:
        pair = block.pair
        if block.criterion not in catalogue.criteria():
            yield unknown(f"{key}.criterion", block.criterion, catalogue.criteria())
        if pair not in config.pairs:
            yield unknown(f"{key}.pair", pair, config.pairs)
            continue
        if block.chain != "baseline" and pair not in two_stage.pairs:
            yield (
                f"{key}.chain: {block.chain}, but two_stage.pairs lacks"
                f" '{pair}'; add it there, or prune the baseline"
            )
        elif block.chain == "two_stage" and not two_stage.methods:
            yield (
                f"{key}.chain: two_stage, but two_stage.methods is empty, so there is no student"
                " to prune; add a method there, or prune the baseline"
            )
        yield from _probe_problems(config, key, block)
        yield from _prunable_problems(f"{key}.pair", config.pairs[pair].student.network)
        most = largest_ratio(config, pair)
        for number, ratio in enumerate(block.ratios):
            place = f"{key}.ratios.{number}"
            shape = (pair, block.chain, block.shape, f"{ratio:g}")
            if shape in seen:
                yield f"{place}: {ratio:g} is repeated, see {seen[shape]}; keep one"
            seen.setdefault(shape, place)
            if ratio > most:
                yield (
                    f"{place}: {ratio:g} cannot be reached, as recovery.min_share and min_channels"
                    f" keep so much that MACs fall by {most:.1f} at most; lower one of them, or"
                    " the ratio, or take a wider student"
                )


def _probe_problems(config: Config, key: str, block: Pruning) -> Problems:
    """Probes of recoveries that are not there, that take no step, or without the held-out images
    that they look at."""
    for recovery in block.probe:
        if recovery not in block.recover:
            yield f"{key}.probe: {recovery} is none of {key}.recover; add it there, or leave it out"
    if "bn" in block.probe:
        yield f"{key}.probe: bn takes no step of training, so it has no gradient; leave it out"
    if block.probe and not config.data.validation:
        yield (
            f"{key}.probe: {', '.join(block.probe)}, but data.validation is 0, so there are no"
            " held-out images for the probe; hold some out, or leave probe out"
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
    limits, student = config.recovery, config.pairs[pair].student
    share = limits.min_share
    if student.network in catalogue.networks():
        options = catalogue.network_options(student.network) | student.options
        widths, width = catalogue.network_fact(student.network, "WIDTHS"), options.get("width")
        if widths and type(width) is int and width > 0:
            wide = catalogue.network_fact(student.network, "WIDEST") or 0
            widest = max(wide, max(widths) * width)
            share = min(1.0, max(share, limits.min_channels / widest))
    return (1 + limits.tolerance) / share**2
