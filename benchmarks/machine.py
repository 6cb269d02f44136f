"""What the machine is, and how fast it multiplies: the floor under every throughput."""

import datetime
import json
import platform
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from stagewise.process.machine import processor

CPU = torch.device("cpu")


def describe(device: torch.device) -> dict[str, str]:
    """Processor, cores, versions, date."""
    cuda = device.type == "cuda"
    return {
        "processor": torch.cuda.get_device_name(device) if cuda else processor(),
        "threads": str(torch.get_num_threads()),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def synchronise(device: torch.device) -> None:
    """Wait for all that the device has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a large square matrix product: the best that a network could reach."""
    size, repeats = (8192, 20) if device.type == "cuda" else (2048, 7)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        left @ right
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / median(seconds[2:])


def keep(found: dict[str, Any], out: Path, device: torch.device = CPU) -> None:
    """Write what was found, and on what machine, as a JSON file for ``table.py``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": describe(device), **found}, indent=1, sort_keys=True)
    out.write_text(text + "\n", encoding="utf-8")
