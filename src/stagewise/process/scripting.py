"""How a script starts and ends: user errors become one line on stderr and exit code 1, never a
traceback; and a process that lives for seconds wastes none of them."""

import argparse
import gc
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stagewise.errors import UserError
from stagewise.process.machine import keep_freed_memory
from stagewise.process.warm import ask


def run_script(main: Callable[[], int | None], *, forked: bool = False) -> None:
    """Run ``main`` and exit with what it returns (None is 0).

    With ``forked`` a warm process does it, where there is one (see ``warm``).
    """
    code = ask() if forked else None
    if code is not None:
        leave(code)
    try:
        leave(main() or 0)
    except UserError as error:
        leave(f"error: {error}")


def leave(status: int | str) -> None:
    """``sys.exit`` without taking the modules apart, which costs torch 0.3 CPU-s."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if isinstance(status, str) else status)


@contextmanager
def importing() -> Iterator[None]:
    """Around the import of torch: looking for garbage meanwhile takes 0.15 CPU-s and finds none.
    From then on the process keeps the memory that it frees."""
    keep_freed_memory()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help shows defaults."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def seconds(text: str) -> float:
    """``90``, ``90s``, ``9m`` or ``2h`` in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise UserError(f"--budget: '{text}' is no time; write 90s, 9m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def json_object(text: str) -> dict[str, Any]:
    """``type=`` of an argument that is a JSON object."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object: {...}")
    return value
