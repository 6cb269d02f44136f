"""Training state on disk: what a killed run needs to go on bit for bit.

The state lives in an undeclared folder keyed by spec, code and inputs, so that it can never be
taken for another run's, and under a lock, so that an orphaned process and its successor never both
write.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from stagewise.errors import UserError
from stagewise.files import atomic, regular_size


class Checkpoint:
    """One run's state file: named tensors and a JSON position, under a checksum, replaced
    atomically.

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
        stated = {"position": position, "sha256": _checksum(contiguous, position)}
        metadata = {"state": json.dumps(stated)}
        with atomic(self.path, size) as temporary:
            save_file(contiguous, temporary, metadata)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last saved state; None where there is none.

        Raises:
            ValueError: what is there is no state, or is damaged.
        """
        self.wait()
        if not self.path.exists():
            return None
        try:
            regular_size(self.path)
            with safe_open(str(self.path), "pt") as stream:
                stated = json.loads((stream.metadata() or {})["state"])
            tensors, position = load_file(self.path), str(stated["position"])
            if _checksum(tensors, position) != stated["sha256"]:
                raise ValueError("its checksum is wrong")
            return tensors, dict(json.loads(position))
        except OSError as error:
            raise ValueError(error.strerror or "cannot be read") from None
        except (SafetensorError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no training state ({type(error).__name__})") from None

    def discard(self) -> None:
        """Take away whatever is in the state's place."""
        _remove(self.path)


def _checksum(tensors: dict[str, Tensor], position: str) -> str:
    """Of names, types, shapes and values, and the position."""
    digest = hashlib.sha256(position.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _remove(path: Path) -> None:
    """A file, a pipe, a link, or a folder and all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def state_folder(work: Path, key: str) -> Iterator[Path]:
    """``work/key`` under an exclusive lock; states of other keys (older settings) are removed.

    Raises:
        UserError: another process trains this run right now.
    """
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "lock").is_file():  # a pipe would be waited for
        _remove(work / "lock")
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
                _remove(other)
        folder = work / key
        if not folder.is_dir():
            _remove(folder)
        folder.mkdir(exist_ok=True)
        yield folder
