"""How a script starts: user errors become one line on stderr and exit code 1, never a traceback."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from stagewise.errors import UserError


def run_script(main: Callable[[], int | None]) -> None:
    """Run ``main`` and exit with what it returns (None is 0)."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help shows defaults."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def json_object(text: str) -> dict[str, Any]:
    """``type=`` of an argument that is a JSON object."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object: {...}")
    return value
