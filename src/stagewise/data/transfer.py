"""One HTTP request, received by a thread: whoever waits for it can give up on a server that only
trickles, in its headers too, where no time-out of a socket helps.
"""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from itertools import chain
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from stagewise.data.names import shown
from stagewise.errors import UserError

TIMEOUT = (10, 60)
"""Seconds to connect, and to wait for the next bytes."""
LEAST_RATE, WINDOW = 1000, 60.0
"""Bytes a second that a server must send, on average over so many seconds."""
PIECE = 1 << 14
"""Bytes that are handed over at a time: far fewer than must come in a window."""
REDIRECTS = 10


class Broken(Exception):
    """A transfer failed in a way that another attempt may mend."""


@dataclass(frozen=True)
class Head:
    """What a server says before it sends anything."""

    status: int
    reason: str
    headers: Mapping[str, str]

    @property
    def length(self) -> int | None:
        """Bytes that will come; None where the server does not say a number."""
        said = self.headers.get("Content-Length", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None


class _Session(requests.Session):
    """Follows no redirects by itself: it would read a redirect's whole body, however large."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, so that it stops."""
        return None

    def target(self, answer: requests.Response) -> str | None:
        """Where an answer points to, if it is a redirect."""
        where: str | None = super().get_redirect_target(answer)
        return where


class Transfer:
    """A request that is under way: ``head()`` first, then ``blocks()``, both once.

    Raises, both:
        UserError: the address, or one that a server points to, is none that can be fetched.
        Broken: the connection failed, or the server is slower than ``LEAST_RATE``.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url, self.headers = url, headers
        self.arrived: queue.Queue[Head | bytes | Exception | None] = queue.Queue(64)
        self.given_up = threading.Event()
        self.since, self.bytes = time.monotonic(), 0
        threading.Thread(target=self._receive, daemon=True).start()

    def head(self) -> Head:
        """Status and headers."""
        found = self._next()
        assert isinstance(found, Head)
        return found

    def blocks(self) -> Iterator[bytes]:
        """What is sent, in pieces."""
        while isinstance(block := self._next(), bytes):
            yield block

    def close(self) -> None:
        """Give up; the thread ends when the server lets it."""
        self.given_up.set()

    def _next(self) -> Head | bytes | None:
        while True:
            now = time.monotonic()
            if now - self.since >= WINDOW:
                if self.bytes < LEAST_RATE * WINDOW:
                    raise Broken(f"it sends less than {LEAST_RATE:,} bytes a second")
                self.since, self.bytes = now, 0
            try:
                found = self.arrived.get(timeout=WINDOW / 60)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise _explained(found)
            self.bytes += len(found) if isinstance(found, bytes) else 0
            return found

    def _receive(self) -> None:
        try:
            with _Session() as session, self._answer(session) as answer:
                head = Head(answer.status_code, shown(answer.reason), answer.headers)
                blocks = answer.raw.stream(PIECE, decode_content=False)
                all(self._hand_over(found) for found in chain([head], blocks, [None]))
        except Exception as error:  # judged by whoever waits
            self._hand_over(error)

    def _answer(self, session: _Session) -> requests.Response:
        """The last of a row of redirects."""
        url = self.url
        for _ in range(REDIRECTS):
            answer = session.get(url, headers=self.headers, stream=True, timeout=TIMEOUT)
            where = session.target(answer)
            if not where:
                return answer
            answer.close()
            url = urljoin(url, where)
            if not url.startswith(("http://", "https://")):
                raise UserError(f"the server points to '{shown(url)}', which is no web address")
        raise UserError(f"the server points on and on, more than {REDIRECTS} times")

    def _hand_over(self, found: Head | bytes | Exception | None) -> bool:
        """Wait for room; False where nobody takes any more."""
        while not self.given_up.is_set():
            try:
                self.arrived.put(found, timeout=1)
                return True
            except queue.Full:
                continue
        return False


def _explained(error: Exception) -> Exception:
    """A ``UserError`` for what no further attempt can mend, ``Broken`` for the rest."""
    if isinstance(error, UserError):
        return error
    # the cause, which requests wraps in the story of its own retries
    cause = shown(getattr(error.args[0], "reason", error) if error.args else error)
    if isinstance(error, ValueError):  # all that libraries raise on text that is no address
        return UserError(f"no address that can be fetched ({cause})")
    if isinstance(error, requests.RequestException | HTTPError | HTTPException | OSError):
        return Broken(cause)
    return error
