"""Download a file whose size and SHA-256 are known: https only, resumed where it was cut, whole or absent."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...finding import BadInput
from ...storage import file_digest
from .progress import Progress, show_progress

__all__ = ["Remote", "check_file", "fetch"]

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18
ATTEMPTS = 5  # per mirror; an attempt that brought bytes does not count
PAUSE = 1.0  # seconds before the second attempt, doubled for each one after it
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Remote:
    """A file that stands at each of `urls`, byte for byte the same."""

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str


class _Cut(Exception):
    """The connection ended early or could not be made; what has come so far is kept."""


class _Wrong(Exception):
    """This mirror has another file, or none."""


def fetch(remote: Remote, folder: Path, progress: Progress | None = None) -> Path:
    """The file in `folder`, downloaded if it is not there yet.

    A download that was cut goes on from its `.part` file. Two processes that want one file wait for each other.
    Raises BadInput when no mirror gives the right bytes; nothing wrong is ever left under the file's name.
    """
    path = folder / remote.name
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{remote.name}.lock")):
        if path.is_file() and path.stat().st_size == remote.size and file_digest(path) == remote.sha256:
            return path
        _check_room(remote, folder)
        part = path.with_name(f"{remote.name}.part")
        if progress is not None:
            _from_mirrors(remote, part, progress)
        else:
            with show_progress(f"downloading {remote.name}") as shown:
                _from_mirrors(remote, part, shown)
        os.replace(part, path)
    return path


def check_file(path: Path, remote: Remote) -> None:
    """Raise BadInput unless the file is the one that `remote` describes."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    size = path.stat().st_size
    if size != remote.size:
        raise BadInput(f"{path}: {size:,} bytes, but {remote.name} as published has {remote.size:,}")
    digest = file_digest(path)
    if digest != remote.sha256:
        raise BadInput(f"{path}: SHA-256 is {digest}, but {remote.name} as published has {remote.sha256}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_room(remote: Remote, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < remote.size:
        raise BadInput(
            f"{folder}: {remote.name} needs {remote.size / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free;"
            " free some space, or point SNOWBALL_CACHE elsewhere"
        )


def _from_mirrors(remote: Remote, part: Path, progress: Progress) -> None:
    """Leave the verified bytes in `part`, from the first mirror that gives them."""
    reasons = []
    for url in remote.urls:
        _check_url(url)
        try:
            _with_retries(url, remote, part, progress)
            _verify(part, remote)
            return
        except (_Cut, _Wrong) as reason:
            reasons.append(f"{url}: {reason}")
    raise BadInput(f"{remote.name} could not be downloaded: {'; '.join(reasons)}")


def _with_retries(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, remote, part, progress)
            return
        except _Cut:
            failures = 0 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise
            time.sleep(PAUSE * 2 ** (failures - 1) if failures else 0)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _attempt(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """One request for what `part` lacks. Raises _Cut when less than all came."""
    have = _size(part)
    if have >= remote.size:
        if have == remote.size:
            return
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "snowball", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with _opener().open(request, timeout=TIMEOUT) as response:
            resumed = _check_response(response, have, remote)
            with part.open("ab" if resumed else "wb") as file:
                _copy(response, file, have if resumed else 0, remote, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the server does not know of so many bytes: what we have is from another file
            part.unlink(missing_ok=True)
        raise (_Cut if error.code in (408, 416, 429) or error.code >= 500 else _Wrong)(
            f"HTTP {error.code} {error.reason}"
        ) from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
        raise _Cut(str(getattr(error, "reason", "") or error or type(error).__name__)) from error


def _check_response(response: Any, have: int, remote: Remote) -> bool:
    """Whether the answer continues at byte `have`; it starts over where the server knows no ranges."""
    resumed = bool(have) and response.status == 206
    if resumed and not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
        raise _Wrong(f"asked for bytes from {have}, got {response.headers.get('Content-Range')!r}")
    length = response.headers.get("Content-Length")
    wanted = remote.size - have if resumed else remote.size
    if length is not None and length.isdecimal() and int(length) != wanted:
        raise _Wrong(f"offers {int(length):,} bytes where {wanted:,} are expected")
    return resumed


def _copy(response: Any, file: Any, done: int, remote: Remote, progress: Progress) -> None:
    progress(done, remote.size)
    while chunk := response.read1(CHUNK):
        done += len(chunk)
        if done > remote.size:
            file.truncate(0)
            raise _Wrong(f"sends more than the {remote.size:,} bytes expected")
        file.write(chunk)
        progress(done, remote.size)
    if done < remote.size:
        raise _Cut(f"connection ended after {done:,} of {remote.size:,} bytes")


def _verify(part: Path, remote: Remote) -> None:
    with part.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if digest != remote.sha256:
        part.unlink()
        raise _Wrong(f"SHA-256 is {digest}, expected {remote.sha256}; what came was removed")


def _check_url(url: str) -> None:
    """Only https; plain http only to this machine itself."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise BadInput(f"{url}: only https addresses are fetched")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        was, to = urlsplit(req.full_url), urlsplit(newurl)
        if to.scheme != "https" and not (was.scheme == to.scheme == "http" and to.hostname in _LOOPBACK):
            raise _Wrong(f"redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SafeRedirects)
