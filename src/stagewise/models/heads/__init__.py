"""Heads of exits: one file each, a function ``build`` that makes one for a ``Site``."""
