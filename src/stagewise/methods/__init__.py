"""Distillation methods: one file per paper, a pure loss and a thin module."""
