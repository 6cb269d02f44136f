"""Training state on disk: what a killed run needs to go on bit for bit.

The state lives in an undeclared folder keyed by spec, code and inputs, so that it can never be
taken for another run's, and under a lock, so that an orphaned process and its successor never both
write.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from stagewise.errors import UserError
from stagewise.files import atomic


class Checkpoint:
    """One run's state file: named tensors and a JSON position, replaced atomically.

    The file is written by a thread, from copies, while training goes on.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.safetensors"
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def save(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        """Replace the state; floats in ``position`` survive exactly (JSON of Python's repr)."""
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        self._writing = self._thread.submit(self._write, copies, json.dumps(position))

    def wait(self) -> None:
        """Until the last state is on disk; raises what kept it from getting there."""
        if self._writing:
            self._writing.result()
            self._writing = None

    def _write(self, tensors: dict[str, Tensor], position: str) -> None:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        size = sum(tensor.nbytes for tensor in contiguous.values())
        with atomic(self.path, size) as temporary:
            save_file(contiguous, temporary, {"position": position})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last saved state, or None; a damaged file counts as none: training starts anew."""
        self.wait()
        if not self.path.exists():
            return None
        try:
            with safe_open(str(self.path), "pt") as stream:
                position = dict(json.loads((stream.metadata() or {})["position"]))
            return load_file(self.path), position
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
            return None


@contextmanager
def state_folder(work: Path, key: str) -> Iterator[Path]:
    """``work/key`` under an exclusive lock; states of other keys (older settings) are removed.

    Raises:
        UserError: another process trains this run right now.
    """
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{work}: another process is training this run; wait for it, or end it"
                f" (fuser {work / 'lock'} shows its number)"
            ) from None
        for other in work.iterdir():
            if other.is_dir() and other.name != key:
                shutil.rmtree(other)
        folder = work / key
        folder.mkdir(exist_ok=True)
        yield folder
