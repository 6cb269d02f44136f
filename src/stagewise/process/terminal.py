"""The terminal behind a job, for lines that show how far it is."""

from contextlib import suppress
from typing import TextIO


def terminal() -> TextIO | None:
    """The controlling terminal, there even where stdout goes to a log; None without one."""
    with suppress(OSError):
        return open("/dev/tty", "w", encoding="utf-8")
    return None
