"""Fetching: places in turn, retries, going on after a break, nothing wrong left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import Server, serving

from stagewise.data import fetch
from stagewise.data.fetch import download, first_good
from stagewise.errors import UserError

CONTENT = bytes(range(256)) * 8000
MOST = 10**7


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "set.tar").write_bytes(CONTENT)
    with serving(folder) as running:
        yield running


def read(path: Path) -> bytes:
    """A reader that takes the right content alone."""
    if path.read_bytes() != CONTENT:
        raise UserError("other content")
    return CONTENT


def test_a_download_arrives_whole_and_is_not_repeated(server: Server, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = download(f"{server.url}/set.tar", cache, MOST)
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]
    assert download(f"{server.url}/set.tar", cache, MOST) == path
    assert len(server.requests) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.faults = [("cut", 500_000), 503, ("cut", 300_000)]
    assert first_good([f"{server.url}/set.tar"], tmp_path / "cache", read, MOST) == CONTENT
    asked = [request.get("Range") for request in server.requests]
    assert asked == [None, "bytes=500000-", "bytes=500000-", "bytes=800000-"]


def test_another_process_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.faults = [("cut", 700_000), 503, 503]
    with pytest.raises(UserError, match="failed 3 times, last: the server answers 503"):
        download(f"{server.url}/set.tar", tmp_path / "cache", MOST)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".part", ".tag"]
    assert download(f"{server.url}/set.tar", tmp_path / "cache", MOST).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=700000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.faults = [("cut", 700_000), 503, 503]
    with pytest.raises(UserError):
        download(f"{server.url}/set.tar", tmp_path / "cache", MOST)
    (server.folder / "set.tar").write_bytes(CONTENT[::-1])
    server.tag = '"two"'
    path = download(f"{server.url}/set.tar", tmp_path / "cache", MOST)
    assert path.read_bytes() == CONTENT[::-1]


def test_a_server_that_cannot_continue_starts_anew(server: Server, tmp_path: Path) -> None:
    server.resumable, server.faults = False, [("cut", 500_000)]
    assert download(f"{server.url}/set.tar", tmp_path, MOST).read_bytes() == CONTENT


def test_a_download_killed_at_its_very_end_is_whole(server: Server, tmp_path: Path) -> None:
    path = download(f"{server.url}/set.tar", tmp_path / "cache", MOST)
    path.rename(path.with_suffix(".part"))
    path.with_suffix(".tag").write_text(server.tag)
    assert download(f"{server.url}/set.tar", tmp_path / "cache", MOST).read_bytes() == CONTENT


def test_places_are_tried_in_turn_and_wrong_content_is_deleted(
    server: Server, tmp_path: Path
) -> None:
    (server.folder / "wrong.tar").write_bytes(CONTENT[1:])
    local = tmp_path / "local.tar"
    local.write_bytes(CONTENT[2:])
    names = ["absent.tar", "wrong.tar"]
    places = [*(f"{server.url}/{name}" for name in names), str(local), f"{server.url}/set.tar"]
    assert first_good(places, tmp_path / "cache", read, MOST) == CONTENT
    assert [request["path"] for request in server.requests] == [
        "/absent.tar", "/wrong.tar", "/set.tar",
    ]  # fmt: skip
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert local.exists()  # the user's own


def test_without_a_good_place_every_reason_is_said(server: Server, tmp_path: Path) -> None:
    (server.folder / "wrong.tar").write_bytes(b"wrong")
    places = [f"{server.url}/wrong.tar", f"{server.url}/absent", "/absent/here", "ftp://other"]
    with pytest.raises(UserError) as caught:
        first_good(places, tmp_path / "cache", read, MOST)
    text = str(caught.value)
    for part in ("/wrong.tar: other content", "/absent: the server answers 404"):
        assert part in text
    assert text.count("no such file or folder here") == 2
    assert text.endswith("name a good copy in data.mirrors")
    assert "\n" not in text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_host_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    with pytest.raises(UserError, match=r"failed 3 times, last: .*Connection refused"):
        download("http://127.0.0.1:1/set.tar", tmp_path, MOST)


def test_what_is_too_large_is_not_stored(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="larger than 1,000 bytes"):
        download(f"{server.url}/set.tar", tmp_path / "cache", 1000)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".tag"]


def test_progress_is_told_in_the_log(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(f"{server.url}/set.tar", tmp_path, MOST)
    assert "set.tar: 2 of 2 MB" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_is_no_traceback(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: (File exists|Not a directory)"):
        download(f"{server.url}/set.tar", tmp_path / "file", MOST)
