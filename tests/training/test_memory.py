"""Freed memory stays with the process."""

import platform
import subprocess
import sys

ROUNDS = """
import resource
from stagewise.machine import keep_freed_memory
if {keep}:
    keep_freed_memory()
for _ in range(10):
    blocks = [bytearray(b"x") * 2**22 for _ in range(8)]
    del blocks
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    blocks = [bytearray(b"x") * 2**22 for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    """Page faults of ten rounds in which 32 MB are taken and freed."""
    command = [sys.executable, "-c", ROUNDS.format(keep=keep)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_blocks_are_not_given_back_to_the_kernel() -> None:
    share = 0.01 if platform.libc_ver()[0] == "glibc" else 1.1
    assert faults(keep=True) < share * faults(keep=False)
