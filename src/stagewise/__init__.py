"""Staged distillation, multi-exit students, pruning and recovery, with the evidence."""
