"""Contrasts over seeds, their statistics, and the verdicts."""
