"""Figures on disk, as SVG, PDF and PNG."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing


def write_figures(
    results: Results, folder: Path, names: Iterable[str], dpi: int = 300, form: str = "column"
) -> None:
    """Write NAME.svg, NAME.pdf and NAME.png (at ``dpi`` dots per inch) for each name; ``form``: one
    of ``drawing.FORMATS``."""
    with drawing.style(form):
        for name in names:
            module = importlib.import_module(catalogue.module_name(catalogue.figures()[name]))
            drawing.save(module.draw(results), folder, name, dpi)
