"""Data sources, one file each: ``load(cache, *, options)`` returns the images of one data set.

Constants say what planning knows of it, or a function ``facts(*, options)`` where that depends on
the options; see ``catalogue.source_fact``.
"""
