"""How a script starts and ends: user errors become one line on stderr and exit code 1, never a
traceback; and a process that lives for seconds wastes none of them."""

import argparse
import gc
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from stagewise.errors import UserError
from stagewise.files import UNWRITABLE, unwritable
from stagewise.process.family import orphaned
from stagewise.process.machine import TORCH_NEEDS, keep_freed_memory, short_of_addresses
from stagewise.process.streams import open_streams
from stagewise.process.terminal import terminal
from stagewise.process.warm import ask

LARGEST_GB = 10**6
"""GiB that an argument may ask for."""

SHORT_OF_MEMORY = ("failed to map segment", "annot allocate memory")
"""What a library says that cannot be loaded for want of memory."""


def run_script(main: Callable[[], int | None], *, forked: bool = False) -> None:
    """Run ``main`` and exit with what it returns (None is 0).

    With ``forked`` a warm process does it, where there is one (see ``warm``).
    """
    status: int | str
    try:
        open_streams()
        if orphaned():
            raise UserError("the Snakemake that started this has ended; start it again")
        code = ask() if forked else None
        status = _returned(main) if code is None else code
        sys.stdout.flush()
    except UserError as error:
        status = f"error: {error}"
    except MemoryError:
        status = "error: not enough memory; give this process more, or start less at once"
    except OSError as error:
        if error.errno not in UNWRITABLE or not error.filename:
            raise
        status = f"error: {unwritable(error.errno, error.filename2 or error.filename)}"
    leave(status)


def _returned(main: Callable[[], int | None]) -> int | str:
    """What ``main`` returns, or exits with, as argparse does."""
    try:
        return main() or 0
    except SystemExit as ended:
        return ended.code or 0


def leave(status: int | str) -> None:
    """``sys.exit`` without taking the modules apart, which costs torch 0.3 CPU-s."""
    if isinstance(status, str):
        _tell(status)
    os._exit(1 if isinstance(status, str) else status)


def _tell(text: str) -> None:
    """Say it on stderr, or, where that takes no more (a log on the full disk), on the terminal."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        if stream := terminal():
            with suppress(OSError), stream:
                print(text, file=stream)


@contextmanager
def importing() -> Iterator[None]:
    """Around the import of torch: looking for garbage meanwhile takes 0.15 CPU-s and finds none.
    From then on the process keeps the memory that it frees.

    Raises:
        UserError: there is too little memory.
    """
    if said := short_of_addresses(TORCH_NEEDS):
        raise UserError(said)
    keep_freed_memory()
    gc.disable()
    try:
        yield
    except (ImportError, OSError, MemoryError) as error:
        told = any(text in str(error) for text in SHORT_OF_MEMORY)
        if not (told or isinstance(error, MemoryError)):
            raise
        raise UserError(
            f"not enough memory to start ({error}); give this process more, or start less at once"
        ) from None
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


def gigabytes(text: str) -> int:
    """``type=`` of an argument in GiB; returns bytes."""
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 <= size <= LARGEST_GB:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; give 0 to {LARGEST_GB:,} GiB")
    return int(size * 2**30)


def table_bytes() -> int:
    """Most bytes of the teacher tables: ``STAGEWISE_TABLE_GB``, else 4 GiB.

    Raises:
        UserError: it is no size.
    """
    try:
        return gigabytes(os.environ.get("STAGEWISE_TABLE_GB", "4"))
    except argparse.ArgumentTypeError as error:
        raise UserError(f"STAGEWISE_TABLE_GB: {error}") from None


def json_object(text: str) -> dict[str, Any]:
    """``type=`` of an argument that is a JSON object."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object: {...}")
    return value
