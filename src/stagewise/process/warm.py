"""A warm process: it has imported torch once, and every training script becomes a fork of it.

Importing torch takes a CPU-second, and a study of small networks has hundreds of runs. Snakemake
starts one server for the jobs of this machine; a script that finds it sends its arguments, folder,
environment and open files, and waits for the exit code. Without a server a script does everything
itself, and the same.

Nothing is shared after the fork. A run dies with its script, whatever ends that: the server sees
the connection close, and kills. The server dies with Snakemake, and every run dies with the server.
A script that is stopped, at any moment, holds up no other.
"""

import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagewise.errors import UserError
from stagewise.process.family import die_with

VARIABLE = "STAGEWISE_WARM"
"""Environment variable with the path of the server's socket."""

LENGTH = struct.Struct("!i")
FILES = (0, 1, 2)


def ask() -> int | None:
    """Have this very command done by the server; its exit code, or None where there is no server.

    Raises:
        UserError: the server ended before the command did.
    """
    path = os.environ.pop(VARIABLE, "")
    if not path:
        return None
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
    except OSError:
        return None
    request = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    request = LENGTH.pack(len(request)) + request
    answer = b""
    with suppress(ConnectionError):
        sent = socket.send_fds(connection, [request], FILES)
        connection.sendall(request[sent:])
        answer = connection.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(answer) < LENGTH.size:
        raise UserError("the warm process ended before this run did; type the same command again")
    code: int = LENGTH.unpack(answer)[0]
    return code


def listen(path: Path) -> socket.socket:
    """A socket at ``path``, for this user alone, where scripts wait from now on.

    Raises:
        UserError: there can be none; not every file system has sockets.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = os.umask(0o077)
    try:
        own = path.with_name(f".{path.name}")
        own.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(own))
        server.listen(128)
        own.replace(path)  # a script that finds it is heard: between bind and listen none would be
    except OSError as error:
        raise UserError(
            f"{path}: no socket can be here ({error.strerror}), so every run starts by itself,"
            " a little later"
        ) from None
    finally:
        os.umask(mask)
    return server


@dataclass
class _Script:
    """A script at the other end of a connection: what it has said so far, and its run's number."""

    connection: socket.socket
    files: list[int] = field(default_factory=list)
    said: bytes = b""
    run: int = 0

    def hear(self) -> bool:
        """Take in what is there; whether it is all that the script asks for.

        Raises:
            ConnectionError: the script is gone.
        """
        part, files, _, _ = socket.recv_fds(self.connection, 1 << 16, len(FILES))
        if not part:
            raise ConnectionError
        self.files += files
        self.said += part
        head, rest = self.said[: LENGTH.size], self.said[LENGTH.size :]
        return len(head) == LENGTH.size and len(rest) == LENGTH.unpack(head)[0]

    def end(self) -> None:
        """Nothing more is said on either side."""
        for file in self.files:
            os.close(file)
        self.files = []
        self.connection.close()


def serve(server: socket.socket) -> None:
    """Answer until killed; call it with everything imported that runs need."""
    # A byte arrives here whenever a run ends.
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    runs: dict[int, _Script] = {}
    with selectors.DefaultSelector() as selector:
        for source in (server, woken):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    selector.register(connection, selectors.EVENT_READ, _Script(connection))
                elif key.fileobj is woken:
                    woken.recv(4096)
                    _report(runs, selector)
                elif key.data.connection.fileno() >= 0:  # else it ended in this very round
                    _attend(key.data, runs, selector)


def _attend(script: _Script, runs: dict[int, _Script], selector: selectors.BaseSelector) -> None:
    """Start the run that a script asks for; kill the run of a script that is gone."""
    try:
        if script.hear():
            script.run = _start(script, [key.fileobj for key in selector.get_map().values()])
            runs[script.run] = script
    except OSError:
        selector.unregister(script.connection)
        if script.run:
            os.kill(script.run, signal.SIGKILL)  # not yet waited for, so the number is its own
        else:
            script.end()


def _report(runs: dict[int, _Script], selector: selectors.BaseSelector) -> None:
    """Send the exit codes of all runs that have ended."""
    while runs:
        number, status = os.waitpid(-1, os.WNOHANG)
        if not number:
            return
        script = runs.pop(number)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):  # nobody may be there to hear it
            script.connection.sendall(LENGTH.pack(code if code >= 0 else 128 - code))
        with suppress(KeyError):
            selector.unregister(script.connection)
        script.end()


def _start(script: _Script, others: list[Any]) -> int:
    """Fork a run, which becomes the command that the script asks for. Returns its number.

    ``others``: the sockets that it closes, its own script's and those of other scripts.
    """
    server = os.getpid()
    number = os.fork()
    if number:
        for file in script.files:
            os.close(file)
        script.files = []
        return number
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in others:
            other.close()
        die_with(server)
        for target, file in zip(FILES, script.files, strict=True):
            os.dup2(file, target)
            os.close(file)
        _become(*json.loads(script.said[LENGTH.size :]))
    finally:  # whatever happens, a child never goes on as a second server
        os._exit(1)


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    sys.argv = arguments
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    # The server's own objects remember whether its files, other ones, could be sought in.
    sys.stdout = os.fdopen(1, "w", encoding=sys.stdout.encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding=sys.stderr.encoding, closefd=False)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except BaseException:
        sys.excepthook(*sys.exc_info())
