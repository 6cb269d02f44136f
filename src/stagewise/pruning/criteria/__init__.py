"""Pruning criteria: one file each, a function ``importance`` that scores groups of channels."""
