"""Snakemake's command line where it is easily mistyped; the profiles ask, before Snakemake reads it."""

import os
from collections.abc import Sequence

TAKES_ALL = ("--configfile", "--configfiles")
"""Options that take every word up to the next option."""


def swallowed(arguments: Sequence[str]) -> list[str]:
    """Words that are no files and yet follow ``--configfile``: targets, most of the time."""
    found, taking = [], False
    for word in arguments:
        if word.startswith("-"):
            option, _, value = word.partition("=")
            taking = option in TAKES_ALL
            word = value
        if taking and word and not os.path.isfile(word):
            found.append(word)
    return found


def check_order(arguments: Sequence[str]) -> None:
    """End with one line where ``--configfile`` has swallowed the targets.

    ``arguments``: those of ``snakemake``, without its name.
    """
    if words := swallowed(arguments):
        rest = " ".join(word for word in arguments if word not in words)
        raise SystemExit(
            f"error: --configfile: '{words[0]}' is no file; the option takes every word that"
            f" follows it, so type targets first: snakemake {' '.join(words)} {rest}"
        )
