"""Snakemake's command line where it is easily mistyped; the profiles run this file before Snakemake
looks for its files. Not in the library: which library is this clone's is not known yet."""

import os
import sys
from collections.abc import Sequence

TAKES_ALL = ("--configfile", "--configfiles")
"""Options that take every word up to the next option."""
CONFIGS = (".yaml", ".yml", ".json")


def swallowed(arguments: Sequence[str]) -> list[str]:
    """Words that are no files (nor pipes) and yet follow ``--configfile``."""
    found, taking = [], False
    for word in arguments:
        if word.startswith("-"):
            option, _, word = word.partition("=")
            taking = option in TAKES_ALL
        if taking and word and (os.path.isdir(word) or not os.path.exists(word)):
            found.append(word)
    return found


def problem(arguments: Sequence[str]) -> str:
    """What is wrong with ``snakemake``'s arguments, and the order that works; else nothing."""
    words = swallowed(arguments)
    targets = [word for word in words if not word.endswith(CONFIGS)]
    if targets:
        rest = [word for word in arguments if word not in targets]
        return (
            f"--configfile: '{targets[0]}' is no file; the option takes every word that follows,"
            f" so type targets first: snakemake {' '.join([*targets, *rest])}"
        )
    return f"--configfile: '{words[0]}' is not there; correct its name" if words else ""


if __name__ == "__main__" and (said := problem(sys.argv[1:])):
    sys.exit(f"error: {said}")
