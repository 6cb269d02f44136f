"""Mean over space and a linear layer: a probe rather than an exit, for ablation.

Plain heads cannot be paper B's: its first exit of vgg8 beats the whole network alone.
"""

from torch import nn

from stagewise.models.heads.base import Pool, Site


def build(site: Site) -> nn.Sequential:
    """Pooling, a linear layer."""
    return nn.Sequential(Pool(), nn.Linear(site.channels, site.classes))
