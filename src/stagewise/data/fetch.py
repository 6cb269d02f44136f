"""Fetching an archive: its official place first, then the user's mirrors, each tried in turn.

A download goes on where an earlier one stopped, if the server says that the file is still the same
one (RFC 9110: ``Range`` with ``If-Range``). What arrives is judged by its content alone.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError

from stagewise.errors import UserError
from stagewise.files import sha256_text, write_text
from stagewise.process.progress import Progress

ATTEMPTS = 3
"""Failures in a row after which a place is given up; a good stretch forgives the earlier ones."""
PAUSE = 1.0
"""Seconds before the second attempt; twice as many before each later one."""
GOOD_STRETCH = 1 << 16
TIMEOUT = (10, 60)
"""Seconds to connect, and to wait for the next bytes."""
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be better the next time."""

Content = TypeVar("Content")


class _Broken(Exception):
    """A transfer failed in a way that another attempt may mend."""


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
        try:
            if not place.startswith(("http://", "https://")):
                return read(_local(place))
            path = download(place, cache, most)
            try:
                return read(path)
            except UserError:
                path.unlink(missing_ok=True)
                raise
        except UserError as error:
            print(f"{place}: {error}", flush=True)
            reasons.append(f"{place}: {error}")
    raise UserError(
        f"no place has the right data ({'; '.join(reasons)}); name a good copy in {key}"
    )


def _local(place: str) -> Path:
    path = Path(place).expanduser()
    if not path.exists():
        raise UserError("no such file or folder here")
    return path


def download(url: str, cache: Path, most: int) -> Path:
    """The file at ``url``, in ``cache``; nothing is sent where it is there already.

    Raises:
        UserError: the server refuses, fails too often, or sends more than ``most`` bytes.
    """
    whole = cache / sha256_text(url)[:16]
    if whole.exists():
        return whole
    part, tag = whole.with_suffix(".part"), whole.with_suffix(".tag")
    progress, failures = Progress(url.rpartition("/")[2], "MB", 10**6), 0
    try:
        cache.mkdir(parents=True, exist_ok=True)
        while True:
            before = _size(part)
            try:
                _receive(url, part, tag, most, progress)
                break
            except (_Broken, requests.RequestException, HTTPError) as error:
                failures = 1 if _size(part) - before > GOOD_STRETCH else failures + 1
                # the cause, which requests wraps in the story of its own retries
                cause = getattr(error.args[0], "reason", error) if error.args else error
                print(f"{url}: {cause}", flush=True)
                if failures == ATTEMPTS:
                    raise UserError(f"failed {ATTEMPTS} times, last: {cause}") from None
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
    if have and tag.exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        said = answer.headers.get("Content-Range", "")
        if answer.status_code == 416 and said == f"bytes */{have}":
            return  # all of it had arrived
        if answer.status_code == 416 or (
            answer.status_code == 206 and not said.startswith(f"bytes {have}-")
        ):
            part.unlink(missing_ok=True)
            raise _Broken("the server cannot continue the download; starting anew")
        if answer.status_code in PASSING:
            raise _Broken(f"the server answers {answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206):
            raise UserError(f"the server answers {answer.status_code} {answer.reason}")
        if answer.status_code == 200:
            have = 0
            part.write_bytes(b"")
            _remember(answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""), tag)
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        progress.first = have
        with open(part, "ab") as stream:
            for block in answer.raw.stream(1 << 18, decode_content=False):
                have += len(block)
                if max(have, total or 0) > most:
                    break
                stream.write(block)
                progress.at(have, total)
    if max(have, total or 0) > most:
        part.unlink()
        raise UserError(f"larger than {most:,} bytes, so it is another file")
    if total is not None and have < total:
        raise _Broken(f"the connection ended after {have:,} of {total:,} bytes")


def _remember(etag: str, modified: str, tag: Path) -> None:
    """Keep what tells this file from a later one at the same URL; a weak ETag does not."""
    known = etag if etag.startswith('"') else modified
    if known:
        write_text(tag, known)
    else:
        tag.unlink(missing_ok=True)
