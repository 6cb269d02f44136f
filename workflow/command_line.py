"""Snakemake's command line where it is easily mistyped; the profiles run this file before Snakemake
looks for its files. Not in the library: which library is this clone's is not known yet."""

import os
import sys
from collections.abc import Sequence

import yaml

TAKES_ALL = ("--configfile", "--configfiles")
"""Options that take every word up to the next option."""
CONFIGS = (".yaml", ".yml", ".json")
LARGEST = 1_000_000
"""Bytes of a configuration; the library reads no more either."""
DEEPEST = 50
"""Levels of a configuration that Snakemake's reader, which calls itself at each, surely manages."""


def taken(arguments: Sequence[str]) -> list[str]:
    """Words that follow ``--configfile``."""
    found, taking = [], False
    for word in arguments:
        if word.startswith("-"):
            option, _, word = word.partition("=")
            taking = option in TAKES_ALL
        if taking and word:
            found.append(word)
    return found


def unreadable(path: str) -> str:
    """What in a configuration would end Snakemake's own reader in a traceback, and the mend; else
    nothing, as for files that it refuses in words, and for pipes, which can be read only once."""
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        return f"larger than {LARGEST:,} bytes, which no configuration needs; shorten it"
    depth = 0
    try:
        text = content.decode()
        for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):  # a few nested ones stand for billions of values
                line = event.start_mark.line + 1
                return f"line {line}: an alias (*name); write the value out instead"
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                return "nested too deeply; flatten it"
        yaml.safe_load(text)
    except UnicodeDecodeError as error:
        return f"not valid YAML: byte {error.start} is no UTF-8; save the file as UTF-8"
    except yaml.YAMLError:
        return ""
    except ValueError as error:  # such as the 32nd of a month
        return f"not valid YAML: {error}; correct it there"
    return ""


def problem(arguments: Sequence[str]) -> str:
    """What is wrong with ``snakemake``'s arguments, and the order that works; else nothing."""
    given = taken(arguments)
    words = [word for word in given if os.path.isdir(word) or not os.path.exists(word)]
    targets = [word for word in words if not word.endswith(CONFIGS)]
    if targets:
        rest = [word for word in arguments if word not in targets]
        return (
            f"--configfile: '{targets[0]}' is no file; the option takes every word that follows,"
            f" so type targets first: snakemake {' '.join([*targets, *rest])}"
        )
    if words:
        return f"--configfile: '{words[0]}' is not there; correct its name"
    return next((f"{path}: {said}" for path in given if (said := unreadable(path))), "")


if __name__ == "__main__" and (said := problem(sys.argv[1:])):
    sys.exit(f"error: {said}")
