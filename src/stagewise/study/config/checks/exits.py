"""Heads that exist, and exits in places that their networks have."""

from stagewise import catalogue
from stagewise.study.config.lessons import lessons, sound_needs
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.study import Config


def head_problems(config: Config) -> Problems:
    """Heads that exist; places that rise."""
    given = {"multi_exit": (config.multi_exit.head, config.multi_exit.places)}
    for label, entry in config.methods.items():
        given[f"methods.{label}.exits"] = (entry.exits.head, entry.exits.places)
    for key, (head, places) in given.items():
        if head and head not in catalogue.heads():
            yield unknown(f"{key}.head", head, catalogue.heads())
        if [*places] != sorted(places):
            yield f"{key}.places: {[*places]} must rise; give {sorted(places)}"


def placing_problems(config: Config) -> Problems:
    """Exits behind stages that there are; a teacher with every exit that a student learns from."""
    yield from dict.fromkeys(_placing_problems(config))


def _placing_problems(config: Config) -> Problems:
    for lesson in lessons(config):
        label, needs = lesson.label, sound_needs(config, lesson.label)
        if not (needs and lesson.pair in config.pairs):
            continue
        pair, part = config.pairs[lesson.pair], sound_needs(config, needs.teacher_part)
        own, usual = config.exits(label)[1], config.multi_exit.places
        key = f"methods.{label}.exits" if own != usual else "multi_exit"
        if needs.exits:
            yield from _beyond(key, own, lesson.pair, pair.student.network)
        if not (part and part.exits):
            continue
        assisted = config.method(label).teacher == "assistant" and pair.assistants
        above = pair.assistants[-1] if assisted else pair.teacher
        yield from _beyond("multi_exit", usual, lesson.pair, above.network)
        lacking = sorted({*own} - {*usual}) if usual and needs.exits else []
        if lacking:
            yield (
                f"{key}.places: '{label}' has exits in places {lacking} that learn from a"
                f" teacher's, which are in {[*usual]}; add them to multi_exit.places"
            )


def _beyond(key: str, places: tuple[int, ...], pair: str, network: str) -> Problems:
    """Places that a network of a pair does not have."""
    stages = catalogue.stages(network)
    found = [place for place in places if stages and place >= stages]
    if found:
        yield (
            f"{key}.places: {found[0]}, but '{network}' of pair '{pair}' has {stages} stages, and"
            f" the exit behind the last is its classifier; give stages from 1 to {stages - 1}"
        )
