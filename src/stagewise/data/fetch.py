"""Fetching an archive: its official place first, then the user's mirrors, each tried in turn.

A download goes on where an earlier one stopped, if the server says that the file is still the same
one (RFC 9110: ``Range`` with ``If-Range``). What arrives is judged by its content alone.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from stagewise.data.names import shown
from stagewise.data.transfer import Broken, Head, Transfer
from stagewise.errors import UserError
from stagewise.files import sha256_text, write_text
from stagewise.process.progress import Progress

ATTEMPTS = 3
"""Failures in a row after which a place is given up; a good stretch forgives the earlier ones."""
PAUSE = 1.0
"""Seconds before the second attempt; twice as many before each later one."""
GOOD_STRETCH = 1 << 16
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be better the next time."""

Content = TypeVar("Content")


def first_good(
    places: Iterable[str],
    cache: Path,
    read: Callable[[Path], Content],
    most: int,
    *,
    key: str = "data.mirrors",
) -> Content:
    """What ``read`` makes of the first place, URL or local path, that holds the right content.

    Downloads are kept in ``cache``; what ``read`` refuses is deleted. ``most`` bytes are allowed;
    ``key`` of the config names the mirrors.

    Raises:
        UserError: no place is good; says of each what is wrong with it.
    """
    reasons = []
    for place in places:
        name = shown(place)
        try:
            if not place.isprintable():  # lone surrogates are not
                raise UserError("its name holds characters that no address has")
            if not place.startswith(("http://", "https://")):
                return read(_local(place))
            path = download(place, cache, most)
            try:
                return read(path)
            except UserError:
                path.unlink(missing_ok=True)
                raise
        except UserError as error:
            print(f"{name}: {error}", flush=True)
            reasons.append(f"{name}: {error}")
    raise UserError(
        f"no place has the right data ({'; '.join(reasons)}); name a good copy in {key}"
    )


def _local(place: str) -> Path:
    try:
        path = Path(place).expanduser()
        if path.is_file() or path.is_dir():
            return path
        there = path.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, an unknown ~user
        raise UserError(f"no file or folder here ({shown(error)})") from None
    raise UserError("no regular file or folder" if there else "no such file or folder here")


def download(url: str, cache: Path, most: int) -> Path:
    """The file at ``url``, in ``cache``; nothing is sent where it is there already.

    Raises:
        UserError: the server refuses, fails too often, or sends more than ``most`` bytes.
    """
    whole = cache / sha256_text(url)[:16]
    if whole.is_file():
        return whole
    part, tag = whole.with_suffix(".part"), whole.with_suffix(".tag")
    progress, failures = Progress(shown(url.rpartition("/")[2]), "MB", 10**6), 0
    try:
        cache.mkdir(parents=True, exist_ok=True)
        while True:
            before = _size(part)
            try:
                _receive(url, part, tag, most, progress)
                break
            except Broken as error:
                failures = 1 if _size(part) - before > GOOD_STRETCH else failures + 1
                print(f"{shown(url)}: {error}", flush=True)
                if failures == ATTEMPTS:
                    raise UserError(f"failed {ATTEMPTS} times, last: {error}") from None
                time.sleep(PAUSE * 2 ** (failures - 1))
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, whole)
        tag.unlink(missing_ok=True)
    except OSError as error:  # of the disk: those of the network are caught above
        raise UserError(f"{cache}: {error.strerror}; mend that and run again") from None
    return whole


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, part: Path, tag: Path, most: int, progress: Progress) -> None:
    """One request: append to ``part`` where the server can continue it, else start it anew."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have and (known := _remembered(tag)):
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    transfer = Transfer(url, headers)
    try:
        head = transfer.head()
        if head.status == 416 and head.headers.get("Content-Range") == f"bytes */{have}":
            return  # all of it had arrived
        have = _start(head, have, part, tag)
        total = None if head.length is None else have + head.length
        progress.first = have
        with open(part, "ab") as stream:
            for block in transfer.blocks():
                have += len(block)
                if max(have, total or 0) > most:
                    break
                stream.write(block)
                progress.at(have, total)
    finally:
        transfer.close()
    if max(have, total or 0) > most:
        part.unlink()
        raise UserError(f"larger than {most:,} bytes, so it is another file")
    if total is not None and have < total:
        raise Broken(f"the connection ended after {have:,} of {total:,} bytes")


def _start(head: Head, have: int, part: Path, tag: Path) -> int:
    """How much of the file is there, now that the server has said where it begins."""
    if head.status == 416 or (
        head.status == 206
        and not head.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    ):
        part.unlink(missing_ok=True)
        raise Broken("the server cannot continue the download; starting anew")
    if head.status in PASSING:
        raise Broken(f"the server answers {head.status} {head.reason}")
    if head.status not in (200, 206):
        raise UserError(f"the server answers {head.status} {head.reason}")
    if head.status == 200:
        part.write_bytes(b"")
        _remember(head.headers.get("ETag", ""), head.headers.get("Last-Modified", ""), tag)
        return 0
    return have


def _remember(etag: str, modified: str, tag: Path) -> None:
    """Keep what tells this file from a later one at the same URL; a weak ETag does not."""
    known = etag if etag.startswith('"') else modified
    if known.isascii() and known.isprintable() and known:
        write_text(tag, known)
    else:
        tag.unlink(missing_ok=True)


def _remembered(tag: Path) -> str:
    """What was kept; empty where nothing was, or nothing that a header can hold."""
    if not tag.is_file():
        return ""
    known = tag.read_text(encoding="utf-8", errors="replace")
    return known if known.isascii() and known.isprintable() else ""
