"""How a script starts: user errors become one line on stderr and exit code 1, never a traceback."""

import argparse
import sys
from collections.abc import Callable

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
