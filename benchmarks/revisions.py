"""Images per second of our loop in two checkouts: an old revision beside this one, in turns.

Each checkout has a process of its own, which waits while the other's trains; a ratio is that of
medians over rounds. ``git worktree add ../old REVISION`` makes the other checkout.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
PAIRS = ("wrn40-2 → wrn16-2", "vgg13 → vgg8", "resnet32x4 → resnet8x4")
SERVER = """
import sys, tempfile
from pathlib import Path
root, pair, dtype, teaching, steps = sys.argv[1:]
sys.path[:0] = [f"{root}/src", f"{root}/benchmarks"]
import torch
import throughput
from throughput import BATCH, PAIRS, keep_freed_memory, ours, random_data
keep_freed_memory()
data = random_data(BATCH * int(steps), torch.device("cpu"))
with tempfile.TemporaryDirectory(prefix="stagewise-bench-") as folder:
    run = ours(PAIRS[pair], data, dtype, teaching, Path(folder))
    for line in sys.stdin:
        print(run(), flush=True)
"""


@contextmanager
def serving(root: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process with a checkout's loop, which does a round for each line that it gets."""
    command = [sys.executable, "-c", SERVER, str(root), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def a_round(process: "subprocess.Popen[str]") -> float:
    """Images per second."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def ratio(old: Path, pair: str, dtype: str, teaching: str, steps: int, rounds: int) -> float:
    """New over old."""
    with ExitStack() as stack:
        arguments = (pair, dtype, teaching, str(steps))
        both = [stack.enter_context(serving(root, *arguments)) for root in (old, HERE)]
        speeds: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            for process, kept in zip(both, speeds, strict=True):
                speed = a_round(process)
                if number:  # the first round warms up
                    kept.append(speed)
    first, second = map(median, speeds)
    print(f"{pair:26} {dtype}, {teaching:5} {first:8.1f} → {second:8.1f} images/s", end="  ")
    print(f"{second / first:.3f}", flush=True)
    return second / first


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("old", type=Path, help="the other checkout")
    options.add_argument("--pairs", nargs="*", default=PAIRS)
    options.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    options.add_argument("--steps", type=int, default=6, help="steps in a round")
    options.add_argument("--rounds", type=int, default=7)
    arguments = options.parse_args()
    found = [
        ratio(arguments.old.resolve(), pair, dtype, teaching, arguments.steps, arguments.rounds)
        for pair in arguments.pairs
        for dtype in arguments.dtypes
        for teaching in ("live", "warm")
    ]
    print(f"least ratio {min(found):.3f}")


if __name__ == "__main__":
    main()
