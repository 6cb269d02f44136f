"""Processes that die with the one that started them, however that ends: no orphan writes beside its
successor. The kernel sends the signal, but only to those that have asked for it while their parent
lived; so each looks once, after asking."""

import ctypes
import os
import signal
from pathlib import Path

VARIABLE = "STAGEWISE_PARENT"
"""Environment variable with the number of the Snakemake that starts jobs. They ask for the signal
by ``setpriv``, before they are Python."""

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """End when ``parent``, which forked this process, ends; at once where it has already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def orphaned() -> bool:
    """Whether the Snakemake that ``VARIABLE`` names is no ancestor of this process any more."""
    expected, number = os.environ.get(VARIABLE), os.getppid()
    while expected and number:
        if str(number) == expected:
            return False
        number = _parent(number)
    return bool(expected)


def _parent(number: int) -> int:
    """Number of a process's parent; 0 where it has none, or has ended."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
