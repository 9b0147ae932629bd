"""The downloader against a server on this machine that cuts, lies, redirects and refuses."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snowball.collect.read import download
from snowball.collect.read.download import Remote, fetch
from snowball.collect.read.progress import show_progress
from snowball.finding import BadInput

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SUM = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server has and how it behaves; `ranges` holds the Range header of every request it got."""

    url: str = ""
    content: bytes = CONTENT
    ranged: bool = True
    cut_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    redirect: str = ""
    wrong_start: bool = False
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            if state.status and (status := state.status.pop(0)) != 200:
                self.send_error(status)
                return
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranged else 0
            if start >= len(state.content):
                self.send_error(416)
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                first = 0 if state.wrong_start else start
                self.send_header("Content-Range", f"bytes {first}-{len(state.content) - 1}/{len(state.content)}")
            self.end_headers()
            self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what some of these tests are about."""

    running = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{running.server_port}/file.bin"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


def _remote(*urls: str, size: int = len(CONTENT), sha256: str = SUM) -> Remote:
    return Remote("file.bin", urls, size, sha256)


def _quiet(done: int, total: int) -> None:
    pass


def _refused(remote: Remote, folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        fetch(remote, folder, _quiet)
    assert not (folder / "file.bin").exists()
    return str(caught.value)


def test_downloads_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(_remote(server.url), tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    fetch(_remote(server.url), tmp_path / "new", _quiet)
    assert server.ranges == [None]
    assert not list(path.parent.glob("*.part"))


def test_a_damaged_file_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"x")
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 200_000]
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_goes_on_in_another_process(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_starts_over_where_ranges_are_unknown(server: Server, tmp_path: Path) -> None:
    server.ranged = False
    server.cut_after = [300_000]
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_gives_up_on_a_server_that_sends_nothing(server: Server, tmp_path: Path) -> None:
    server.cut_after = [0] * 20
    assert "connection ended after 0 of 1,048,576 bytes" in _refused(_remote(server.url), tmp_path)
    assert len(server.ranges) == download.ATTEMPTS


def test_waits_for_a_server_that_is_busy(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429, 200]
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT


def test_a_wrong_sum_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    found = hashlib.sha256(server.content).hexdigest()
    message = _refused(_remote(server.url), tmp_path)
    assert f"SHA-256 is {found}, expected {SUM}" in message
    assert not (tmp_path / "file.bin.part").exists()


def test_a_wrong_part_does_not_stay(server: Server, tmp_path: Path) -> None:
    """A part of another file makes one wrong sum; the next try starts from nothing and succeeds."""
    (tmp_path / "file.bin.part").write_bytes(b"other")
    assert "SHA-256" in _refused(_remote(server.url), tmp_path)
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(_remote(server.url), tmp_path, _quiet).read_bytes() == CONTENT


@pytest.mark.parametrize("change", [100, -100])
def test_another_size_is_refused_before_it_is_read(server: Server, tmp_path: Path, change: int) -> None:
    message = _refused(_remote(server.url, size=len(CONTENT) + change), tmp_path)
    assert f"offers 1,048,576 bytes where {len(CONTENT) + change:,} are expected" in message


def test_a_server_that_resumes_elsewhere_is_refused(server: Server, tmp_path: Path) -> None:
    server.wrong_start = True
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert "asked for bytes from 1000" in _refused(_remote(server.url), tmp_path)


def test_the_next_mirror_is_asked(server: Server, tmp_path: Path) -> None:
    server.status = [404]
    assert fetch(_remote(server.url, server.url), tmp_path, _quiet).read_bytes() == CONTENT
    server.status = [404, 403]
    message = _refused(_remote(server.url, server.url), tmp_path / "other")
    assert "HTTP 404" in message
    assert "HTTP 403" in message


@pytest.mark.parametrize("to", ["http://example.invalid/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_redirects_to_what_is_not_https_are_refused(server: Server, tmp_path: Path, to: str) -> None:
    server.redirect = to
    message = _refused(_remote(server.url), tmp_path)
    assert "not https" in message or "HTTP 302" in message
    assert to in message


@pytest.mark.parametrize("url", ["http://example.invalid/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_only_https_is_fetched(tmp_path: Path, url: str) -> None:
    assert "only https" in _refused(_remote(url), tmp_path)


def test_nobody_there(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    assert "refused" in _refused(_remote("http://127.0.0.1:9/x"), tmp_path)


def test_a_full_disk_is_said_before(server: Server, tmp_path: Path) -> None:
    assert "MiB are free" in _refused(_remote(server.url, size=10**18), tmp_path)
    assert server.ranges == []


def test_progress_is_one_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("downloading x") as progress:
        for done in range(0, 1001):
            progress(done * 1049, 1000 * 1049)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "downloading x: 100 % of 1.0 MiB"


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    paths: list[Path] = []

    def one() -> None:
        paths.append(fetch(_remote(server.url), tmp_path, _quiet))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [CONTENT] * 3
    assert len(server.ranges) == 1
