"""Factor transfer's paraphraser: an autoencoder of the teacher's last map (Kim et al. 2018).

arXiv 1802.04977, section 3.1. It is trained on the frozen teacher, without labels; its encoder's
outputs are the factors that ``ft`` transfers. As in the CRD benchmark: mean squared error, 30
epochs at a constant rate of 0.01 for ResNet and WRN students, 0.05 for others. The authors' code
has the mean absolute error, 6 epochs and 0.1; the paper, squares.
"""

from torch import Tensor
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import factor_layers, last_map
from stagewise.methods.base import DistillationMethod, Losses, Setup
from stagewise.models.features import Batch, Features

NAME = "paraphraser"
NEEDS = Needs()
PART = "paraphraser"
RECIPE = {"recipe": "frozen_backbone"}
WEIGHTS = {"reconstruction": 1.0}


class Method(DistillationMethod):
    """L = mean (decoder(encoder(x)) - x)² of the last map x."""

    def __init__(self, setup: Setup, *, rate: float = 0.5) -> None:
        """``rate``: the paper's k, channels of a factor for each of the map's.

        Raises:
            UserError: it is out of range.
        """
        check_range("rate", rate, 0.01, 4)
        super().__init__(setup)
        channels = last_map(setup.student).shape[1]
        factors = max(1, int(rate * channels))
        self.encoder = factor_layers([channels, channels, factors, factors])
        self.decoder = factor_layers([factors, factors, channels, channels], transposed=True)

    def factor(self, features: Features) -> Tensor:
        """The encoded last map, (B, factors, H, W)."""
        encoded: Tensor = self.encoder(last_map(features))
        return encoded

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``reconstruction``, a mean over everything; ``student`` is the frozen teacher."""
        decoded = self.decoder(self.factor(student))
        return {"reconstruction": mse_loss(decoded, last_map(student))}
