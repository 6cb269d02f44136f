"""How far a long step is: a line now and then on stdout (its log), a live one on a terminal."""

import time
from contextlib import suppress

from stagewise.process.terminal import terminal

LOG_EVERY = 10.0
"""Seconds between two lines of the log."""


class Progress:
    """``title`` says what is done; ``unit`` is what is counted, ``scale`` how many make one."""

    def __init__(self, title: str, unit: str, scale: int = 1, done: int = 0) -> None:
        self.title, self.unit, self.scale, self.first = title, unit, scale, done
        self.terminal = terminal()
        self.started = self.logged = time.monotonic()
        self.shown = 0.0

    def at(self, done: int, total: int | None) -> None:
        """Report ``done`` of ``total`` (None where nobody knows)."""
        now = time.monotonic()
        if now - self.logged > LOG_EVERY or done == total:
            self.logged = now
            print(self._text(done, total, now), flush=True)
        if self.terminal and (now - self.shown > 0.2 or done == total):
            self.shown = now
            end = "\n" if done == total else ""
            with suppress(OSError):  # the terminal may have been closed
                self.terminal.write(f"\r\x1b[K{self._text(done, total, now)}{end}")
                self.terminal.flush()

    def _text(self, done: int, total: int | None, now: float) -> str:
        rate = (done - self.first) / self.scale / max(1e-9, now - self.started)
        share = f" of {total / self.scale:,.0f}" if total else ""
        return f"{self.title}: {done / self.scale:,.0f}{share} {self.unit}, {rate:,.1f} a second"
