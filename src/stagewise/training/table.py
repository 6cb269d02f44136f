"""Teacher tables on disk: rows that a frozen network computed once, for all runs that ask again.

A table is one memory-mapped file: a check word for each row, then the rows of every output. Its
space is reserved when it is made, so a full disk can never break a run that writes into it, and its
folder never takes more than its limit: tables that nobody has open go first, the least recently
used before others.

Several processes read and write one table at a time. That is safe because a row's values do not
depend on who computes it (see ``teachers``), and because a row counts only if its check word fits:
a row that is half written, or lost in a power cut, is a row that is missing.
"""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stagewise.errors import UserError
from stagewise.files import atomic

Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]


def check_words(values: Sequence[Rows]) -> NDArray[np.uint32]:
    """One odd number for each row of several (n, width) arrays; a word of 0 marks no row."""
    words = np.ones(len(values[0]), dtype=np.uint32)
    for part in values:
        bits = np.ascontiguousarray(part).view(np.uint32)
        weights = 2 * np.arange(1, bits.shape[1] + 1, dtype=np.uint32) + 1
        words = words * np.uint32(0x9E3779B1) + (bits * weights).sum(1, dtype=np.uint32)
    return words | np.uint32(1)


def table_bytes(rows: int, width: int) -> int:
    """Bytes of a table of ``rows`` rows of ``width`` values in all."""
    return 4 * rows * (1 + width)


class Table:
    """``rows`` rows of each output; ``widths`` says how many float32 values each output has.

    Open as long as the object lives.
    """

    def __init__(self, stream: BinaryIO, rows: int, widths: Sequence[int]) -> None:
        self._stream = stream  # its lock keeps the file from being removed
        self.words = np.memmap(stream, np.uint32, "r+", 0, (rows,))
        self.columns: list[Rows] = []
        offset = self.words.nbytes
        for width in widths:
            self.columns.append(np.memmap(stream, np.float32, "r+", offset, (rows, width)))
            offset += self.columns[-1].nbytes

    def read(self, rows: Numbers) -> tuple[NDArray[np.bool_], list[Rows]]:
        """Which of ``rows`` (n,) are there, and the values of all of them (n, width)."""
        values = [column[rows] for column in self.columns]
        return check_words(values) == self.words[rows], values

    def write(self, rows: Numbers, values: Sequence[Rows]) -> None:
        """Store rows, and only then their check words."""
        for column, part in zip(self.columns, values, strict=True):
            column[rows] = part
        self.words[rows] = check_words(values)

    def filled(self) -> Numbers:
        """Numbers of the rows that were written."""
        return np.flatnonzero(self.words)

    def clear(self) -> None:
        """Forget all rows."""
        self.words[:] = 0


@dataclass(frozen=True)
class TableFolder:
    """Where tables are kept, and how many bytes all of them together may take."""

    path: Path
    limit: int

    def open(self, key: str, rows: int, widths: Sequence[int]) -> Table | None:
        """The table ``key``, made where there is none; None where it does not fit.

        ``key`` must name everything that the rows depend on.
        """
        size = table_bytes(rows, sum(widths))
        if size > self.limit:
            return None
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"{key}.table"
        with open(self.path / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (file.is_file() and file.stat().st_size == size):
                file.unlink(missing_ok=True)
                if not (self._make_room(size) and self._make(file, size)):
                    return None
            stream = open(file, "r+b")  # noqa: SIM115 - the table keeps it
            fcntl.flock(stream, fcntl.LOCK_SH)
        os.utime(file)
        return Table(stream, rows, widths)

    def _make_room(self, size: int) -> bool:
        """Remove unused tables until ``size`` bytes fit; False where they cannot."""
        tables = sorted(self.path.glob("*.table"), key=lambda path: path.stat().st_mtime)
        taken = sum(path.stat().st_size for path in tables)
        for path in tables:
            if taken + size <= self.limit:
                break
            with open(path, "rb") as stream, suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken -= path.stat().st_size
                path.unlink()
        return taken + size <= self.limit

    @staticmethod
    def _make(file: Path, size: int) -> bool:
        """An empty table with its space reserved; False where the disk has not so much."""
        try:
            with atomic(file, size) as temporary, open(temporary, "wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
        except (OSError, UserError):
            return False
        return True
