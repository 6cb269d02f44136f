"""Named tensors from somebody else's file; nothing in it is ever executed."""

from pathlib import Path
from pickle import UnpicklingError
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stagewise.errors import UserError
from stagewise.files import sha256_file

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which training scripts keep the tensors beside other things."""
PARALLEL = "module."
"""What DataParallel puts before every name."""


def unpickled(path: Path, what: str, mend: str) -> object:
    """What a file of torch's holds, by its restricted unpickler, which takes nothing but tensors
    and plain values.

    Raises:
        UserError: the file is packed or broken, or holds anything else: it is no ``what``; the
            ``mend`` ends the message.
    """
    if _is_packed(path):
        raise UserError(f"{path}: is compressed, which {what} are not; {mend}")
    try:
        found: object = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: no {what} ({reason}); {mend}") from None
    return found


def only_tensors(found: object, path: Path, mend: str) -> dict[str, Tensor]:
    """What a file holds, if it is named tensors and nothing else.

    Raises:
        UserError: it is not.
    """
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise UserError(f"{path}: holds more than named tensors; {mend}")
    return found


def _is_packed(path: Path) -> bool:
    """Whether a zip's members are compressed: a few bytes could become any number of them."""
    if not is_zipfile(path):
        return False
    try:
        with ZipFile(path) as archive:
            return any(member.compress_type != ZIP_STORED for member in archive.infolist())
    except (BadZipFile, ValueError, RuntimeError):  # torch says what is wrong with it
        return False


def own_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a user's file: safetensors, or torch's own, which is opened only where its
    checksum is named.

    Raises:
        UserError: it is missing, broken, another file, or holds anything but named tensors.
    """
    mend = "give a file that torch.save(network.state_dict(), …) wrote, or safetensors"
    if not path.is_file():
        raise UserError(f"{path}: no such file; name one with weights")
    found = sha256_file(path)
    if sha256 and found != sha256.lower():
        raise UserError(f"{path}: has SHA-256 {found}, not {sha256}; correct one of the two")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: no safetensors ({error}); {mend}") from None
    if not sha256:
        raise UserError(
            f"{path}: is read only where its checksum says that it is the file you mean; if you"
            f" trust where it is from, add `sha256: {found}`"
        )
    content = unpickled(path, "weights of torch's", mend)
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = only_tensors(content, path, mend)
    return {str(name).removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
