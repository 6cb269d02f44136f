"""Methods, their options, weights and recipes."""

from typing import Any

from stagewise import catalogue
from stagewise.study.config.methods import MethodEntry, RecipeEntry
from stagewise.study.config.options import Problems, option_problems, unknown
from stagewise.study.config.study import Config


def method_problems(config: Config) -> Problems:
    """Methods that exist, their options, weights and recipes."""
    known = catalogue.methods()
    for label in config.methods:
        entry, key = config.method(label), f"methods.{label}"
        name = entry.method
        if name not in known:
            yield unknown(key, name, known)
            continue
        if label in known and label != name:
            yield (
                f"{key}.method: '{name}', but '{label}' is a method of its own, which other arms"
                f" use; choose another label, like '{label}_{name}'"
            )
        yield from option_problems(key, entry.method_options(), catalogue.method_options(name))
        for index, pair in enumerate(entry.pairs):
            if pair not in config.pairs:
                yield unknown(f"{key}.pairs.{index}", pair, config.pairs)
        terms = catalogue.method_weights(name)
        for term in entry.weights.keys() - terms.keys():
            yield unknown(f"{key}.weights", term, terms)
        if terms and not any({**terms, **entry.weights}.values()):
            yield f"{key}.weights: all are 0, so nothing is learned; raise one"
        if entry.recipe:
            yield from _recipe_problems(f"{key}.recipe", entry.recipe)
        yield from _shared_problems(key, entry)


def _shared_problems(key: str, entry: MethodEntry) -> Problems:
    """What a method and its recipe both ask for, as FitNet's ``hint``, must be one thing; a term
    that a recipe names must be the method's."""
    recipe = entry.trained_by()
    name = recipe["recipe"]
    if name not in catalogue.recipes():
        return
    terms = catalogue.method_weights(entry.method)
    if "term" in catalogue.recipe_options(name) and recipe.get("term", "") not in {"", *terms}:
        yield unknown(f"{key}.recipe.term", recipe["term"], terms)
    for option, usual in catalogue.recipe_options(name).items():
        own: dict[str, Any] = catalogue.method_options(entry.method)
        if option not in own:
            continue
        wanted, given = entry.method_options().get(option, own[option]), recipe.get(option, usual)
        if wanted != given:
            yield (
                f"{key}.recipe.{option}: {given!r:.40}, but the method's own '{option}' is"
                f" {wanted!r:.40}; give both the same"
            )


def _recipe_problems(key: str, entry: RecipeEntry) -> Problems:
    """A recipe that exists, and its options, all of which must be given that have no default."""
    if entry.recipe not in catalogue.recipes():
        yield unknown(key, entry.recipe, catalogue.recipes())
        return
    known = catalogue.recipe_options(entry.recipe)
    yield from option_problems(key, entry.options, known)
    for option, default in known.items():
        if default is None and option not in entry.options:
            yield f"{key}: '{entry.recipe}' needs '{option}'; add it"
