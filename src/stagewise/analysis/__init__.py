"""From run records to statistics, tables, figures, verdicts and the report. Never imports torch."""

from stagewise.analysis.claims.wording import headline

__all__ = ["headline"]
