"""The quantities of the gradient shock, by hand."""

import pandas as pd
import pytest

from stagewise.analysis.records.shock import shock_measures


def test_shock_measures_by_hand() -> None:
    log = pd.DataFrame({"step": [0, 1, 20, 21, 89, 90, 95, 100]})
    log["g_backbone"] = [2.0, 6, 3, 50, 9, 1, 2, 3]
    log["probe_accuracy"] = [80.0, 77, None, 85, None, None, None, 82]
    log["displacement"] = [0.0, 0.1, None, None, None, None, None, 0.4]
    found = shock_measures(log)
    assert found["shock_ratio"] == pytest.approx(6 / 2)
    assert found["probe_loss"] == pytest.approx(3)
    assert found["displacement"] == pytest.approx(0.4)
