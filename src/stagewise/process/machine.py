"""What this machine offers; no setting of a study, so it never reruns anything."""

import ctypes
import fcntl
import itertools
import os
import platform
import re
import resource
from contextlib import suppress
from pathlib import Path

from stagewise.errors import UserError

DEVICES = re.compile(r"cpu|cuda(:\d{1,3})?")
"""Names of devices; whether one is there, only torch can tell."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers of these parameters (malloc.h), in bytes: only larger blocks are given back."""

NUMPY_NEEDS, TORCH_NEEDS = (300, 100), (3400, 100)
"""MB of addresses that a process needs to start: once, and for each core (OpenBLAS's threads).
Measured: 255 and 80 for NumPy, SciPy and pandas; 3,360 and 80 with torch and CUDA."""


def short_of_addresses(needs: tuple[int, int]) -> str:
    """What is wrong where this process may have fewer addresses (``ulimit -v``), else nothing.

    Ask before the import: OpenBLAS ends a process that has too few, or waits for ever.
    """
    once, core = needs
    needed = once + core * len(os.sched_getaffinity(0))
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= needed * 10**6:
        return ""
    return (
        f"too little memory to start: needs {needed:,} MB of addresses, {limit // 10**6:,} MB are"
        " allowed; raise the limit (ulimit -v unlimited)"
    )


def default_device() -> str:
    """``STAGEWISE_DEVICE`` where it is set, else ``cuda`` with an NVIDIA GPU, else ``cpu``.

    Raises:
        UserError: ``STAGEWISE_DEVICE`` is no device's name.
    """
    name = os.environ.get("STAGEWISE_DEVICE")
    if name and not DEVICES.fullmatch(name):
        raise UserError(f"STAGEWISE_DEVICE: '{name}' is no device; write cpu, cuda or cuda:1")
    return name or ("cuda" if Path("/dev/nvidia0").exists() else "cpu")


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the CPU is called."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 itself; where it does not, that is slow."""
    try:
        return "bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return True  # unknown


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, up to its peak.

    glibc gives large blocks back to the kernel and asks for them again at every training step; the
    page faults cost 5 to 10 % of its time. Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Some versions refuse more than 32 MiB; the trim threshold alone would be worse than nothing.
    if mallopt and (mallopt(MMAP_THRESHOLD, 2**30) or mallopt(MMAP_THRESHOLD, 2**25)):
        mallopt(TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Give all that ``keep_freed_memory`` kept back to the kernel, once."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def visible_gpus(devices: Path = Path("/dev")) -> list[str]:
    """GPUs that this process may use: CUDA_VISIBLE_DEVICES (Slurm sets it), else all."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name for name in map(str.strip, listed.split(",")) if name]
    numbers = (path.name.removeprefix("nvidia") for path in devices.glob("nvidia[0-9]*"))
    return [str(number) for number in sorted(int(text) for text in numbers if text.isdigit())]


def claim_gpu(folder: Path, devices: Path = Path("/dev")) -> str | None:
    """Take the least shared GPU until this process ends, however it ends, and make it the only
    visible one. Call it before CUDA starts. Returns its name, or None without any.

    A slot is a locked file: the first of each GPU, then, when more jobs run than there are GPUs,
    the second of each.
    """
    gpus = visible_gpus(devices)
    if not gpus:
        return None
    slots = folder / platform.node()  # a shared file system serves several machines
    slots.mkdir(parents=True, exist_ok=True)
    for layer, gpu in ((n, gpu) for n in itertools.count(1) for gpu in gpus):
        slot = os.open(slots / f"{gpu.replace('/', '-')}.{layer}", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(slot)
        else:  # never closed: the kernel does it, also after SIGKILL
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            return gpu
    raise AssertionError("unreachable")
