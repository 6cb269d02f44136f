"""Freed memory stays with the process, until it is given back."""

import platform
import subprocess
import sys

START = """
import resource
from pathlib import Path
from stagewise.machine import give_back_memory, keep_freed_memory

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
GLIBC = platform.libc_ver()[0] == "glibc"
BLOCKS = 8 * 2**22


def measured(code: str) -> list[int]:
    """What the code prints after ``START``, in a process of its own."""
    command = [sys.executable, "-c", START + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_blocks_are_not_given_back_to_the_kernel() -> None:
    plain, kept = measured("print(plain, used_again())")
    assert kept < plain * (0.01 if GLIBC else 1.1)


def test_they_are_on_request() -> None:
    before, after = measured("print(held()); give_back_memory(); print(held())")
    assert before - after > (0.9 * BLOCKS if GLIBC else -1)
