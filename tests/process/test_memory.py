"""Freed memory stays with the process, until it is given back; too little is said in one line."""

import platform
import subprocess
import sys

import pytest

from stagewise.errors import UserError
from stagewise.process.machine import (
    MMAP_THRESHOLD,
    TRIM_THRESHOLD,
    give_back_memory,
    keep_freed_memory,
)
from stagewise.process.scripting import importing

START = """
import resource
from pathlib import Path
from stagewise.process.machine import give_back_memory, keep_freed_memory

def use():
    for _ in range(10):
        blocks = [bytearray(b"x") * 2**22 for _ in range(8)]
        del blocks

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def held():
    [line] = [n for n in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in n]
    return int(line.split()[1]) * 1024

def used_again():
    before = faults()
    use()
    return faults() - before

use()
plain = used_again()
keep_freed_memory()
use()
"""
TORCH = """
from stagewise.process.scripting import importing, run_script

def main():
    with importing():
        import torch

run_script(main)
"""
GLIBC = platform.libc_ver()[0] == "glibc"
BLOCKS = 8 * 2**22


def measured(code: str) -> list[int]:
    """What the code prints after ``START``, in a process of its own."""
    command = [sys.executable, "-c", START + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(not GLIBC, reason="with another C library nothing is to be done")
def test_blocks_are_not_given_back_to_the_kernel() -> None:
    plain, kept = measured("print(plain, used_again())")
    assert kept < plain * 0.01


@pytest.mark.skipif(not GLIBC, reason="with another C library nothing is to be done")
def test_they_are_on_request() -> None:
    before, after = measured("print(held()); give_back_memory(); print(held())")
    assert before - after > 0.9 * BLOCKS


class Library:
    """A C library that accepts a threshold up to ``limit`` bytes for mapped blocks."""

    def __init__(self, limit: int) -> None:
        self.limit, self.set = limit, {}

    def mallopt(self, parameter: int, value: int) -> int:
        if parameter == MMAP_THRESHOLD and value > self.limit:
            return 0
        self.set[parameter] = value
        return 1


@pytest.mark.parametrize(("limit", "set"), [(2**40, 2**30), (2**25, 2**25), (0, None)])
def test_the_highest_threshold_that_the_library_accepts_is_set(
    limit: int, set: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(limit)
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    keep_freed_memory()
    assert library.set.get(MMAP_THRESHOLD) == set
    assert (TRIM_THRESHOLD in library.set) == (set is not None)


def test_a_library_without_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    keep_freed_memory()
    give_back_memory()


@pytest.mark.parametrize(("start", "megabytes"), [("import stagewise, numpy", 250), (TORCH, 2_000)])
def test_too_few_addresses_are_named_before_a_library_ends_the_process(
    start: str, megabytes: int
) -> None:
    limited = f'ulimit -v {megabytes}000; exec "$0" -c "$1"'
    command = ["bash", "-c", limited, sys.executable, start]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: too little memory to start: needs ")
    assert "ulimit -v unlimited" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libtorch_cuda.so: failed to map segment from shared object"),
        OSError("libx.so: cannot allocate memory in static TLS block"),
        MemoryError(),
    ],
)
def test_an_import_that_lacks_memory_is_a_users_error(error: Exception) -> None:
    with pytest.raises(UserError, match="not enough memory to start"), importing():
        raise error


def test_an_import_that_lacks_something_else_is_not() -> None:
    with pytest.raises(ImportError), importing():
        raise ImportError("no module named torch")
