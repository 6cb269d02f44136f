"""Every script speaks on every terminal, and says in one line where its words cannot go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py"))
SPEAKING = """
from stagewise.process.scripting import run_script
run_script(lambda: print("−1.5 ± 2 × ü \\udcff"))
"""
WORKING = """
import sys
from pathlib import Path
from stagewise.process.scripting import run_script

def main():
    Path(sys.argv[1]).write_text("done")
    print("done", file=sys.stderr)

run_script(main)
"""


def shell(line: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """A line of bash; ``$0`` is Python, ``$1`` … the arguments."""
    given = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    command = ["bash", "-c", line, sys.executable, *arguments]
    return subprocess.run(command, env=given, capture_output=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_full_log_is_named(script: str) -> None:
    done = shell('"$0" "$1" --help > /dev/full', f"scripts/{script}")
    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.startswith("error: /dev/full (")
    assert "the disk is full; make room there" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_log_is_named_while_a_script_works(unbuffered: str) -> None:
    loud = SPEAKING.replace('"−1.5', '10_000 * "−1.5')
    done = shell('"$0" -c "$1" > /dev/full', loud, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"the disk is full" in done.stderr


def test_a_reader_that_has_gone_is_named() -> None:
    late = f"import sys; sys.stdin.read(); {SPEAKING}"
    done = shell('(sleep 1 | "$0" -c "$1") | true; exit ${PIPESTATUS[0]}', late)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard output: whoever read it has gone; send it")
    assert done.stderr.count(b"\n") == 1


def test_a_closed_output_is_refused_before_any_work(tmp_path: Path) -> None:
    done = shell('"$0" -c "$1" "$2" >&-', WORKING, str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard output is closed; send it to a file")
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "file").exists()


def test_closed_messages_go_nowhere_else(tmp_path: Path) -> None:
    done = shell('"$0" -c "$1" "$2" 2>&- <&-', WORKING, str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "file").read_text() == "done"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", "-1.5 +/- 2 x \\xfc \\udcff\n"),
        ("latin-1", "-1.5 ± 2 × ü \\udcff\n"),
        ("utf-8", "−1.5 ± 2 × ü \\udcff\n"),
    ],
)
def test_a_terminal_that_knows_few_letters_gets_plain_ones(encoding: str, text: str) -> None:
    done = shell('"$0" -c "$1"', SPEAKING, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding) == text


def test_the_headline_is_plain_too(tmp_path: Path) -> None:
    claims = ROOT / "evidence/cifar100-cpu-table/claims.csv"
    line = '"$0" scripts/headline.py --claims "$1" --report report.html'
    shown, plain = (shell(line, str(claims), PYTHONIOENCODING=e) for e in ("utf-8", "ascii"))
    assert (shown.returncode, plain.returncode) == (0, 0)
    assert "−" in shown.stdout.decode()
    assert len(plain.stdout.splitlines()) == len(shown.stdout.splitlines())
