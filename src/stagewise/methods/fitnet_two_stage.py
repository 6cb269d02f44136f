"""FitNet in its paper's two stages: first the hint alone, then KD (Romero et al. 2015, ICLR).

arXiv 1412.6550, section 2.3 and algorithm 1. The first stage is a phase of the recipe
``hint_first``: what lies up to the hint's depth and the regressor learn the hint. These weights are
the second stage's, in which the regressor rests; ``ce`` 1 and ``kd`` 0 make it training on labels.
The paper lets KD's share shrink during the second stage; here it stays.
"""

from stagewise.declarations import Needs
from stagewise.methods.fitnet import Method as FitNet

NAME = "FitNet, two stages"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9, "hint": 0.0}
RECIPE = {"recipe": "hint_first"}


class Method(FitNet):
    """L = w_hint · mean (r(student's map) - hint)², then w_ce · CE(labels, student) + w_kd · KL."""
