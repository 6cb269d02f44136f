"""The page of all networks says what the networks are."""

from helpers import ROOT

from stagewise.catalogue import network_fact, networks
from stagewise.models.zoo import table


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/zoo.md").read_text(encoding="utf-8") == table(), "run `make zoo`"


def test_every_network_has_a_row_and_a_source() -> None:
    rows = [line.split(" | ")[0] for line in table().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"| `{name}`" for name in networks())
    assert all(network_fact(name, "SOURCE") for name in networks())
