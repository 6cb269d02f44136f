"""Where a script's words go: plain terminals, logs on full disks, streams that are closed."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from stagewise.errors import UserError
from stagewise.files import UNWRITABLE, unwritable

PLAIN = {"−": "-", "–": "-", "—": "-", "×": "x", "±": "+/-", "→": "->", "…": "...", "·": "*"}
"""What stands for a sign where the terminal's encoding lacks it; a minus must not vanish."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Error handler of an encoding: a plain sign, else the letter's code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    known = [PLAIN.get(letter) or ascii(letter)[1:-1] for letter in letters]
    return "".join(known), error.end


codecs.register_error("stagewise.plain", _plain)


class Output(io.TextIOWrapper):
    """Standard output whose errors are the user's: ``print`` raises ``UserError``."""

    def write(self, text: str) -> int:
        """As ever."""
        with _told():
            return super().write(text)

    def flush(self) -> None:
        """As ever."""
        with _told():
            super().flush()


def open_streams() -> None:
    """Let the process say everything everywhere; call it first.

    Raises:
        UserError: standard output is closed.
    """
    for number in (0, 2):  # else the next file that is opened gets this number, and the messages
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        raise UserError("standard output is closed; send it to a file, or to /dev/null")
    if type(sys.stdout) is io.TextIOWrapper:
        old = sys.stdout
        how = (old.encoding, "strict", None, old.line_buffering, old.write_through)
        sys.stdout = Output(old.detach(), *how)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="stagewise.plain")


@contextmanager
def _told() -> Iterator[None]:
    """Make an error of standard output a user's."""
    try:
        yield
    except BrokenPipeError:
        raise UserError(
            "standard output: whoever read it has gone; send it to a file, or to /dev/null"
        ) from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(unwritable(error.errno, _name())) from None


def _name() -> str:
    """The file behind standard output."""
    with suppress(OSError):
        return os.readlink("/proc/self/fd/1")
    return "standard output"
