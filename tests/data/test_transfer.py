"""Servers that trickle, point to nonsense or speak nonsense, and places that are none."""

import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stagewise.data import fetch, transfer
from stagewise.data.fetch import download, first_good
from stagewise.errors import UserError
from stagewise.files import sha256_text

CONTENT = bytes(range(256)) * 40
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT
MOST = 10**6
Send = Callable[[bytes], object]
Answer = Callable[[str, Send], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The URL of a server that sends what ``answer(path, send)`` sends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            path = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            with suppress(OSError):  # the client may have gone
                answer(path, self.request.sendall)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Threads(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    monkeypatch.setattr(transfer, "WINDOW", 0.3)


def refused(url: str, cache: Path, part: str) -> str:
    with pytest.raises(UserError, match=part) as caught:
        download(url, cache, MOST)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    return str(caught.value)


# -- slow servers --------------------------------------------------------------------------------


def trickle(content: bytes, send: Send) -> None:
    for byte in content:
        send(bytes([byte]))
        time.sleep(0.02)


def in_the_body(path: str, send: Send) -> None:
    send(GOOD[: -len(CONTENT)])
    trickle(CONTENT, send)


def in_the_headers(path: str, send: Send) -> None:
    trickle(b"HTTP/1.1 200 OK\r\nX-Long: " + CONTENT.replace(b"\n", b" "), send)


def in_the_chunks(path: str, send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        trickle(b"1\r\nx\r\n", send)


def after_a_redirect(path: str, send: Send) -> None:
    if path == "/slow":
        in_the_body(path, send)
    send(b"HTTP/1.1 302 Found\r\nLocation: /slow\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("slow", [in_the_body, in_the_headers, in_the_chunks, after_a_redirect])
def test_a_server_that_trickles_is_left(tmp_path: Path, slow: Answer) -> None:
    with answering(slow) as url:
        said = refused(f"{url}/set.tar", tmp_path / "cache", "^failed 3 times, last: ")
    assert "it sends less than 1,000 bytes a second" in said


def test_a_slow_server_that_keeps_the_least_rate_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: str, send: Send) -> None:
        send(GOOD[: -len(CONTENT)])
        for start in range(0, len(CONTENT), 512):
            send(CONTENT[start : start + 512])
            time.sleep(0.03)

    monkeypatch.setattr(transfer, "PIECE", 512)
    with answering(slow) as url:
        assert download(f"{url}/set.tar", tmp_path, MOST).read_bytes() == CONTENT


# -- nonsense ------------------------------------------------------------------------------------

REDIRECTS = [
    (b"http://[", "no address that can be fetched"),
    (b"http://[::bad", "no address that can be fetched"),
    (b"http://", "points on and on"),
    (b"http://host:port/", "no address that can be fetched"),
    (b"http://" + b"a" * 5000 + b"/x", "no address that can be fetched"),
    (b"http://\xff\xfe/", "no address that can be fetched"),
    (b"file:///etc/passwd", "points to 'file:///etc/passwd', which is no web address"),
    (b"ftp://example.org/x", "which is no web address"),
    (b"javascript:alert(1)", "which is no web address"),
    (b"/on", "the server points on and on, more than 10 times"),
    (b"", "the server answers 302"),
]


@pytest.mark.parametrize(("where", "part"), REDIRECTS)
def test_a_redirect_to_nonsense_is_refused_at_once(tmp_path: Path, where: bytes, part: str) -> None:
    asked = []

    def answer(path: str, send: Send) -> None:
        asked.append(path)
        send(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")

    with answering(answer) as url:
        said = refused(f"{url}/set.tar", tmp_path, part)
    assert len(said) < 400
    assert len(asked) <= 10
    assert "failed 3 times" not in said


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    sent = []

    def answer(path: str, send: Send) -> None:
        if path == "/good":
            send(GOOD)
            return
        send(b"HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 9999999999\r\n\r\n")
        while len(sent) < 4000:  # 250 MB
            send(bytes(1 << 16))
            sent.append(1)

    with answering(answer) as url:
        assert download(f"{url}/set.tar", tmp_path, MOST).read_bytes() == CONTENT
    assert len(sent) < 1000


@pytest.mark.parametrize(
    "length", [b"\xb2", b"-1", b"many", b"1" * 5000, b"0x10", b"\xd9\xa1", b"10240.0", b""]
)
def test_a_length_that_is_no_number_is_not_believed(tmp_path: Path, length: bytes) -> None:
    with answering(
        lambda path, send: send(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %s\r\n\r\n" % length + CONTENT
        )
    ) as url:
        assert download(f"{url}/set.tar", tmp_path, MOST).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 50,
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/1.1 200\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx",
    ],
)
def test_what_is_no_http_is_one_line(tmp_path: Path, answer: bytes) -> None:
    with answering(lambda path, send: send(answer)) as url:
        refused(f"{url}/set.tar", tmp_path, "^failed 3 times, last: ")


def test_a_reason_of_control_characters_is_one_line(tmp_path: Path) -> None:
    with answering(
        lambda path, send: send(b"HTTP/1.1 404 \x1b[2J\x07bell\x85\r\nContent-Length: 0\r\n\r\n")
    ) as url:
        said = refused(f"{url}/set.tar", tmp_path, r"^the server answers 404 ")
    assert said.isprintable()


@pytest.mark.parametrize("kept", [b"\xff\xfe", b"two\nlines", b"", "²".encode()])
def test_a_tag_that_no_header_can_hold_is_not_sent(tmp_path: Path, kept: bytes) -> None:
    with answering(lambda path, send: send(GOOD)) as url:
        part = tmp_path / f"{sha256_text(f'{url}/set.tar')[:16]}.part"
        part.write_bytes(b"begun")
        part.with_suffix(".tag").write_bytes(kept)
        assert download(f"{url}/set.tar", tmp_path, MOST).read_bytes() == CONTENT


PLACES = [
    "\ud800",
    "http://127.0.0.1:1/\udcff",
    "a\0b",
    "two\nlines",
    "x" * 5000,
    "/" + "x/" * 3000,
    "~nobody-here/set.tar",
    "http://",
    "http://[",
    "http://" + "a" * 5000,
    "http://127.0.0.1:99999/x",
    "https://\u2603.\u2603\u2603" + "\u2603" * 300,
    "/dev/zero",
    "/dev/null",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_none_is_one_line(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match=r"^no place has the right data \(") as caught:
        first_good([place], tmp_path / "cache", Path.read_bytes, MOST)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_pipe_is_no_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: no regular file or folder"):
        first_good([str(tmp_path / "pipe")], tmp_path / "cache", Path.read_bytes, MOST)
