"""Files with hostile content, made from sound ones: what a reader must take or refuse in a line."""

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]
"""Puts something else in the place of a file."""

LITERALS = {
    "a huge number": "1" + "0" * 400,
    "beyond 64 bits": str(2**63),
    "infinite": "1e999",
    "no number": "NaN",
    "a lone surrogate": r'"\ud800"',
    "half a pair in a key": r'{"\udfff": 1}',
    "null": "null",
    "a negative number": "-1",
    "a large number": "1e300",
    "words": '"words"',
    "true": "true",
    "an empty list": "[]",
    "a list of null": "[null]",
    "an object": '{"a": {"b": []}}',
}
"""What stands in the place of a JSON value, as text."""
CELLS = ("", "words", "inf", "-inf", "nan", "1e999", "9" * 400, "-1", "1e300", "True", "²", "\x00")
"""What stands in a cell of a CSV file."""
MARK = "@hostile@"


def written(content: bytes) -> Damage:
    """The file with other content."""

    def damage(file: Path) -> None:
        file.write_bytes(content)

    return damage


def replaced(make: Callable[[Path], object]) -> Damage:
    """Something else than a file in its place."""

    def damage(file: Path) -> None:
        file.unlink()
        make(file)

    return damage


def places(file: Path) -> dict[str, Damage]:
    """No file, or another kind of thing: a pipe, which waits for ever, a device without an end."""
    return {
        "missing": Path.unlink,
        "a folder": replaced(Path.mkdir),
        "a pipe": replaced(os.mkfifo),
        "a device": replaced(lambda path: path.symlink_to("/dev/zero")),
        "a link to nothing": replaced(lambda path: path.symlink_to("nowhere")),
        "empty": written(b""),
        "cut short": written(file.read_bytes()[: file.stat().st_size // 2]),
        "random bytes": written(random.Random(0).randbytes(2000)),
        "another encoding": written(file.read_bytes()[:200].decode("latin-1").encode("utf-16")),
    }


def json_damages(file: Path) -> Iterator[tuple[str, Damage]]:
    """Each key taken away, each value replaced by each literal. Of lists the first entry stands for
    all."""
    content = json.loads(file.read_text())
    for keys in _places(content):
        name = ".".join(map(str, keys)) or "(all)"
        for kind, literal in LITERALS.items():
            text = json.dumps(_with(content, keys, MARK)).replace(f'"{MARK}"', literal)
            yield f"{name}: {kind}", written(text.encode())
        if keys and isinstance(keys[-1], str):
            yield f"{name}: missing", written(json.dumps(_without(content, keys)).encode())


def csv_damages(file: Path) -> Iterator[tuple[str, Damage]]:
    """Each column taken away, and, in its first row, each hostile cell."""
    rows = list(csv.reader(io.StringIO(file.read_text())))
    header = rows[0]
    for place, column in enumerate(header):
        without = [row[:place] + row[place + 1 :] for row in rows]
        yield f"{column}: missing", _table(without)
        for cell in CELLS:
            changed = [header, [*rows[1][:place], cell, *rows[1][place + 1 :]], *rows[2:]]
            yield f"{column}: {cell[:9]!r}", _table(changed)
    yield "no rows", _table([header])
    yield "a row twice", _table([*rows, rows[1]])
    yield "a longer row", _table([header, [*rows[1], "1"], *rows[2:]])
    yield "a column twice", _table([[*row, row[0]] for row in rows])
    yield "a surrogate", written(file.read_bytes() + b"\xed\xa0\x80," * len(header) + b"\n")
    yield "an open quote", written(file.read_bytes().replace(b"\n", b'\n"', 1))


def _table(rows: list[list[str]]) -> Damage:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return written(stream.getvalue().encode())


def _places(content: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield keys
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _places(value, (*keys, key))
    elif isinstance(content, list) and content:
        yield from _places(content[0], (*keys, 0))


def _with(content: Any, keys: tuple[str | int, ...], value: Any) -> Any:
    if not keys:
        return value
    copy = content.copy()
    copy[keys[0]] = _with(copy[keys[0]], keys[1:], value)
    return copy


def _without(content: Any, keys: tuple[str | int, ...]) -> Any:
    copy = content.copy()
    if len(keys) > 1:
        copy[keys[0]] = _without(copy[keys[0]], keys[1:])
    else:
        del copy[keys[0]]
    return copy
