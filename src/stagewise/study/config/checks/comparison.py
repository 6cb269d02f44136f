"""Methods and references of the comparison, and the published tables beside it."""

from stagewise import catalogue
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.results import Comparison
from stagewise.study.config.study import Config


def comparison_problems(config: Config) -> Problems:
    """Labels that a step trains, references that exist, pairs and networks of published tables."""
    block = config.comparison
    trained = [*config.distillation.methods, *config.multi_exit.methods]
    for index, label in enumerate(block.methods):
        if label not in trained:
            yield unknown(f"comparison.methods.{index}", label, trained)
    usual = Comparison().references
    for index, label in enumerate(block.references):
        if label not in usual and label not in trained:
            yield unknown(f"comparison.references.{index}", label, [*trained, *usual])
    for pair, published in block.published.items():
        if pair not in config.pairs:
            yield unknown("comparison.published", pair, config.pairs)
        for role in ("teacher", "student"):
            network = getattr(published, role)
            if network not in catalogue.networks():
                key = f"comparison.published.{pair}.{role}"
                yield unknown(key, network, catalogue.networks())
