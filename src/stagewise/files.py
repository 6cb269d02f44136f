"""Small file helpers: canonical JSON, checksums, atomic writes, and why one failed; bounded reads
of regular files."""

import errno
import hashlib
import json
import math
import os
import re
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from stagewise.errors import UserError

UNWRITABLE = {
    errno.ENOSPC: "the disk is full; make room there",
    errno.EDQUOT: "your quota is used up; make room there",
    errno.EFBIG: "larger than a file of this process may be; raise the limit (ulimit -f)",
    errno.EROFS: "the disk is read-only; work in another folder, or mount it for writing",
    errno.EACCES: "no permission; make it, or its folder, writable for you",
    errno.EPERM: "no permission; make it, or its folder, writable for you",
    errno.EIO: "the disk fails; check it",
    errno.EMFILE: "this process has too many open files; raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "the name is too long; choose shorter names",
    errno.ENOTDIR: "a part of this path is a file; move it away",
    errno.EISDIR: "a folder has this name; move it away",
    errno.EEXIST: "a file has the name of this folder; move it away",
}
"""What an error number says of a file that could not be written, and the mend."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic(path: Path | str, size: int = 0) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well.

    A reader sees the old file or the whole new one; a full disk or a kill leaves the old one.
    ``size``: how many bytes it will have, where that is known.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        yield temporary
        # safetensors puts a file of its own there, for its user alone, whatever the umask.
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            temporary.chmod(mode)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        number = _number(error)
        if number not in UNWRITABLE:
            raise
        raise UserError(unwritable(number, path, max(size, _size(temporary)))) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def require_room(folder: Path | str, size: int) -> None:
    """See to it that ``folder`` is there and takes ``size`` bytes; leaves none of them.

    Raises:
        UserError: it does not.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(unwritable(error.errno, folder, size)) from None


def unwritable(number: int, path: Path | str, size: int = 0) -> str:
    """One line: why ``path`` could not be written, the space that it needs, the mend.

    ``number``: a key of ``UNWRITABLE``; ``size``: bytes that it needs at least, 0 if not known.
    """
    facts = [f"needs {_amount(size)}"] if size else []
    if number == errno.ENOSPC:
        folder = next(parent for parent in Path(path).absolute().parents if os.path.exists(parent))
        facts.append(f"{_amount(shutil.disk_usage(folder).free)} are free")
    if number == errno.EFBIG:
        facts.append(f"{_amount(resource.getrlimit(resource.RLIMIT_FSIZE)[0])} are allowed")
    known = f" ({', '.join(facts)})" if facts else ""
    return f"{path}{known}: {UNWRITABLE[number]}, then type the same command again"


def _amount(size: int) -> str:
    return f"{size:,} bytes" if size < 10**6 else f"{size / 10**6:,.1f} MB"


def _number(error: Exception) -> int:
    """The system's error number; safetensors, which is no Python, has it in its text."""
    if isinstance(error, OSError):
        return error.errno or 0
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said[1]) if said else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_text(path: Path | str, text: str) -> None:
    """Write text atomically."""
    content = text.encode()
    with atomic(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Write readable JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


LARGEST_JSON = 64 * 2**20
"""Bytes of the largest JSON file that is read: the plan of some 60,000 runs."""

LARGEST_FILE = 256 * 2**20
"""Bytes of the largest of all other results: pictures, pages, tables."""

LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that tables can hold."""


def regular_size(path: Path | str) -> int:
    """Bytes of a regular file; nothing else is ever opened: a pipe would be waited for, and a
    device may have no end.

    Raises:
        OSError: it is missing, or something else than a file.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return status.st_size


def read_bounded(path: Path | str, most: int) -> bytes:
    """The bytes of a regular file of at most ``most`` bytes.

    Raises:
        OSError: it is missing, no regular file, or larger.
    """
    size = regular_size(path)
    if size > most:
        text = f"Larger than such a file can be ({_amount(size)}, at most {_amount(most)})"
        raise OSError(errno.EFBIG, text, str(path))
    with open(path, "rb") as stream:
        return stream.read(most)


def read_file(path: Path | str, most: int = LARGEST_FILE) -> bytes:
    """The bytes of a file that was made by an earlier step.

    Raises:
        UserError: it is missing, no regular file, or too large.
    """
    try:
        return read_bounded(path, most)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the step that writes it") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; delete it and run again") from None


def read_text(path: Path | str) -> str:
    """The text of a file that was made by an earlier step.

    Raises:
        UserError: it is missing, no regular file, too large, or no UTF-8.
    """
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8"
        raise UserError(f"{path}: no text ({reason}); delete it and run again") from None


def read_json(path: Path | str, most: int = LARGEST_JSON) -> Any:
    """Read JSON of at most ``most`` bytes, whose numbers and text can be written again.

    Raises:
        UserError: it is missing or broken, no regular file, or too large.
    """
    try:
        text = read_file(path, most).decode()
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_int=_whole, parse_float=_finite
        )
        if "\\ud" in text.lower():  # an escape that may be half of a pair
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    return value


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python reads but JSON does not know."""
    raise ValueError(f"{name} is no JSON")


def _whole(text: str) -> int:
    """A whole number that a table can hold."""
    number = int(text) if len(text) < 30 else LARGEST_WHOLE + 1
    if abs(number) > LARGEST_WHOLE:
        raise ValueError(f"{text:.40} is beyond 64 bits")
    return number


def _finite(text: str) -> float:
    """A number that is not beyond all bounds, as 1e999 is."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is beyond 64 bits")
    return number
