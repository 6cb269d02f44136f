"""Pruning criteria: one file each, a function ``importance`` that scores groups of channels.

A file may say ``GRADIENTS = True`` (it scores by the loss's gradients of training images),
``ISOMORPHIC = True`` or ``UNIFORM = True`` (groups are ranked with those of their kind alone, or
each by itself) and ``RECIPE`` (by which the student is first trained).
"""
