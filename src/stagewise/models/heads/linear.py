"""Mean over space and a linear layer: a probe rather than an exit, for ablation.

Plain heads cannot be paper B's: its first exit of vgg8 beats the whole network alone.
"""

from torch import nn

from stagewise.models.heads.base import Layers, Pool, Site


def build(site: Site) -> Layers:
    """Pooling, a linear layer."""
    return Layers(Pool(), nn.Linear(site.channels, site.classes))
