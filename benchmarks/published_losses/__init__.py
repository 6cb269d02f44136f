"""What the field's scripts add to their loop for each method, written anew from how they work.

One class a method, as RepDistiller, mdistiller or the authors' own code has it: plain modules,
whole tensors where they make whole tensors, host reads where they read, the term that they compute
and weigh with 0. Nothing in it is slower than there. A test says that each loss is ours. Taps come
from the network's features, which is not slower than their lists.
"""

from published_loop import Criterion

from published_losses.logits import DIST, DKD, KD, WTTM, StandardisedDKD, StandardisedKD
from published_losses.maps import AB, AFD, AT, FSP, FT, NST, SP, VID, FitNet, ReviewKD
from published_losses.vectors import CC, CRD, PKT, RKD
from published_losses.views import HSAKD, MLKD, SSKD

CRITERIA: dict[str, type[Criterion]] = {
    "kd": KD,
    "fitnet": FitNet,
    "at": AT,
    "sp": SP,
    "cc": CC,
    "vid": VID,
    "rkd": RKD,
    "pkt": PKT,
    "ab": AB,
    "ft": FT,
    "fsp": FSP,
    "nst": NST,
    "crd": CRD,
    "sskd": SSKD,
    "hsakd": HSAKD,
    "afd": AFD,
    "dkd": DKD,
    "reviewkd": ReviewKD,
    "dist": DIST,
    "kd_ls": StandardisedKD,
    "dkd_ls": StandardisedDKD,
    "mlkd": MLKD,
    "wttm": WTTM,
}
"""Our name of a method → what its published script adds."""
