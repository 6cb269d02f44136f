"""A server on loopback that can continue a download, and fail as real ones do."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Server:
    """Serves ``folder`` at ``url``; ``faults`` are taken one a request, ``requests`` are kept.

    A fault is a status to answer with, or ``("cut", n)``: the connection ends after n bytes.
    ``resumable``: whether ranges are honoured. ``tag``: the ETag of every file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.resumable, self.tag = folder, True, '"one"'
        self.faults: list[int | tuple[str, int]] = []
        self.requests: list[dict[str, str]] = []
        self.url = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append({"path": self.path, **self.headers})
                file = server.folder / self.path.lstrip("/")
                fault = server.faults.pop(0) if server.faults else None
                if isinstance(fault, int) or not file.is_file():
                    self.send_error(fault if isinstance(fault, int) else 404)
                    return
                content, first = file.read_bytes(), 0
                asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if asked and server.resumable and self.headers.get("If-Range") == server.tag:
                    first = int(asked[1])
                if first >= len(content) > 0:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if first else 200)
                if first:
                    self.send_header(
                        "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                    )
                self.send_header("ETag", server.tag)
                self.send_header("Content-Length", str(len(content) - first))
                self.end_headers()
                last = first + fault[1] if fault else len(content)
                self.wfile.write(content[first:last])

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A running server of ``folder``."""
    server = Server(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), server.handler()) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
