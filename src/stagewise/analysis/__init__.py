"""From run records to statistics, tables, figures, verdicts and the report. Never imports torch."""

from stagewise.analysis.words import headline

__all__ = ["headline"]
