"""Structural pruning: a thin layer over Torch-Pruning, and the history that rebuilds a network."""
