"""A command done by the warm process is the same command, and dies with its script."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

from stagewise.errors import UserError
from stagewise.process.warm import LENGTH, VARIABLE, ask, listen

SERVER = """
import sys
from pathlib import Path
from stagewise.process.warm import listen, serve
serve(listen(Path(sys.argv[1])))
"""
SCRIPT = """
import os, sys, time
from stagewise.process.scripting import run_script
from stagewise.errors import UserError

def main():
    print(os.getpid(), os.getcwd(), os.environ["COLOUR"], *sys.argv[1:], flush=True)
    if "wait" in sys.argv:
        time.sleep(60)
    if "pause" in sys.argv:
        time.sleep(1)
    if "fail" in sys.argv:
        raise UserError("no good")
    if "crash" in sys.argv:
        raise RuntimeError("a bug")
    return len(sys.argv) - 1

run_script(main, forked=True)
"""


class Warm:
    """A server, and a script that asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "socket"
        self.script = folder / "script.py"
        self.script.write_text(SCRIPT)
        self.server = subprocess.Popen([sys.executable, "-c", SERVER, str(self.socket)])
        while not self.socket.exists():
            time.sleep(0.01)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.script), *arguments],
            cwd=self.folder,
            env={**os.environ, VARIABLE: str(self.socket), "COLOUR": "blue"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    found = Warm(tmp_path)
    yield found
    found.server.kill()
    found.server.wait()


def alive(number: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone, before the read too
        return False
    return state != "Z"


def gone(number: int) -> bool:
    """Whether a process ends within five seconds."""
    for _ in range(500):
        if not alive(number):
            return True
        time.sleep(0.01)
    return False


def test_a_fork_has_the_scripts_arguments_folder_environment_files_and_exit_code(
    warm: Warm,
) -> None:
    running = [warm.start(*"abc"[:count]) for count in (0, 1, 2, 3)]
    for count, process in enumerate(running):
        out, err = process.communicate(timeout=600)
        number, folder, colour, *arguments = out.split()
        assert (folder, colour, arguments) == (str(warm.folder), "blue", [*"abc"[:count]])
        assert int(number) not in (process.pid, warm.server.pid)
        assert (process.returncode, err) == (count, "")


def test_errors_are_the_scripts_own(warm: Warm) -> None:
    failing = warm.start("fail")
    assert failing.communicate(timeout=600)[1] == "error: no good\n"
    assert failing.returncode == 1
    crashing = warm.start("crash")
    assert "RuntimeError: a bug" in crashing.communicate(timeout=600)[1]
    assert crashing.returncode == 1


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_dies_with_its_script(warm: Warm, sent: signal.Signals) -> None:
    process = warm.start("wait")
    assert process.stdout
    number = int(process.stdout.readline().split()[0])
    assert alive(number)
    process.send_signal(sent)
    process.wait()
    assert gone(number)
    assert warm.start().wait(timeout=600) == 0  # the server goes on


def test_a_run_dies_with_the_server_and_its_script_says_so(warm: Warm) -> None:
    process = warm.start("wait")
    assert process.stdout
    number = int(process.stdout.readline().split()[0])
    warm.server.kill()
    assert "the warm process ended" in process.communicate(timeout=600)[1]
    assert process.returncode != 0
    assert gone(number)


def test_a_killed_run_fails_its_script(warm: Warm) -> None:
    process = warm.start("wait")
    assert process.stdout
    os.kill(int(process.stdout.readline().split()[0]), signal.SIGKILL)
    assert process.wait(timeout=600) == 128 + signal.SIGKILL


def test_scripts_that_are_stopped_while_they_ask_hold_up_no_other(warm: Warm) -> None:
    request = json.dumps([["script.py"], "/", {}]).encode()
    asked = LENGTH.pack(len(request)) + request
    stopped = []
    for said in range(0, len(asked), 5):  # at every moment of its asking
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(warm.socket))
        if said:
            socket.send_fds(connection, [asked[:said]], [0, 1, 2])
        stopped.append(connection)
    assert warm.start("a").wait(timeout=600) == 1
    for connection in stopped:  # killed while they were stopped
        connection.close()
    assert warm.start("a", "b").wait(timeout=600) == 2


def test_a_request_may_arrive_in_pieces(warm: Warm) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(warm.socket))
    arguments = [str(warm.script), "a", "b", "c"]
    environment = {**os.environ, "COLOUR": "blue"}
    request = json.dumps([arguments, str(warm.folder), environment]).encode()
    asked = LENGTH.pack(len(request)) + request
    socket.send_fds(connection, [asked[:2]], [0, 1, 2])
    for start in range(2, len(asked), 1000):
        connection.sendall(asked[start : start + 1000])
        time.sleep(0.002)
    assert LENGTH.unpack(connection.recv(LENGTH.size, socket.MSG_WAITALL)) == (3,)
    connection.close()


@pytest.mark.parametrize("whom", ["script", "run"])
def test_a_stopped_run_goes_on_and_ends(warm: Warm, whom: str) -> None:
    process = warm.start("pause")
    assert process.stdout
    number = {"script": process.pid, "run": int(process.stdout.readline().split()[0])}[whom]
    for _ in range(20):
        os.kill(number, signal.SIGSTOP)
        time.sleep(0.01)
        os.kill(number, signal.SIGCONT)
    assert process.wait(timeout=600) == 1
    assert warm.start("a").wait(timeout=600) == 1


def test_a_place_without_sockets_is_said_in_a_line(tmp_path: Path) -> None:
    taken = tmp_path / "socket"
    (taken / "below").mkdir(parents=True)
    with pytest.raises(UserError, match=r"socket: no socket can be here .* starts by itself"):
        listen(taken)


def test_without_a_server_a_script_does_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    assert ask() is None
    monkeypatch.delenv(VARIABLE, raising=False)
    assert ask() is None
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", "x"],
        cwd=tmp_path,
        env={**os.environ, "COLOUR": "red", "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 1
