"""A warm process: it has imported torch once, and every training script becomes a fork of it.

Importing torch takes a CPU-second, and a study of small networks has hundreds of runs. Snakemake
starts one server for the jobs of this machine; a script that finds it sends its arguments, folder,
environment and open files, and waits for the exit code. Without a server a script does everything
itself, and the same.

Nothing is shared after the fork. A run dies with its script, whatever ends that: the server sees
the connection close, and kills. The server dies with Snakemake, and every run dies with the server.
"""

import ctypes
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

VARIABLE = "STAGEWISE_WARM"
"""Environment variable with the path of the server's socket."""

PR_SET_PDEATHSIG = 1
LENGTH = struct.Struct("!i")
FILES = (0, 1, 2)


def ask() -> int | None:
    """Have this very command done by the server; its exit code, or None where there is no server.

    Raises:
        ConnectionError: the server ended before the command did.
    """
    path = os.environ.pop(VARIABLE, "")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    request = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [LENGTH.pack(len(request))], FILES)
    connection.sendall(request)
    answer = connection.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(answer) < LENGTH.size:
        raise ConnectionError("the warm process ended before this run did")
    code: int = LENGTH.unpack(answer)[0]
    return code


def listen(path: Path) -> socket.socket:
    """A socket at ``path``, for this user alone, where scripts wait from now on."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    mask = os.umask(0o077)
    server.bind(str(path))
    os.umask(mask)
    server.listen(128)
    return server


def serve(server: socket.socket) -> None:
    """Answer until killed; call it with everything imported that runs need."""
    # A byte arrives here whenever a child ends.
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    children: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for source in (server, woken):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    with suppress(OSError, struct.error):  # a script may be killed while it asks
                        number = _start(connection, [server, woken, wakes, *children.values()])
                        children[number] = connection
                        selector.register(connection, selectors.EVENT_READ, number)
                elif key.fileobj is woken:
                    woken.recv(4096)
                    _report(children, selector)
                else:  # the script is gone
                    selector.unregister(key.fileobj)
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)


def _report(children: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    """Send the exit codes of all children that have ended."""
    while children:
        number, status = os.waitpid(-1, os.WNOHANG)
        if not number:
            return
        connection = children.pop(number)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):  # nobody may be there to hear it
            connection.sendall(LENGTH.pack(code if code >= 0 else 128 - code))
        with suppress(KeyError):
            selector.unregister(connection)
        connection.close()


def _start(connection: socket.socket, others: list[socket.socket]) -> int:
    """Fork a child that becomes the command that ``connection`` asks for. Returns its number."""
    head, files, _, _ = socket.recv_fds(connection, LENGTH.size, len(FILES))
    request = connection.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL)
    number = os.fork()
    if number:
        for file in files:
            os.close(file)
        return number
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (connection, *others):
            other.close()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for target, file in zip(FILES, files, strict=True):
            os.dup2(file, target)
            os.close(file)
        _become(*json.loads(request))
    finally:  # whatever happens, a child never goes on as a second server
        os._exit(1)


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    sys.argv = arguments
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except BaseException:
        sys.excepthook(*sys.exc_info())
