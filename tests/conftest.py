"""Fixtures: a cache of the tests' own, and the shared real data where a clone has it."""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snowball.cli import main

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # else every worker, and every command that it starts, takes all cores
    assert "torch" not in sys.modules, "torch has already taken its threads: which plugin imports it?"
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: no test asks the network
collect_ignore = ["keras_files"]  # what made the files there: it needs Keras, see its head
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


LONGEST = ("test_kill.py", "test_hf_detection.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: not (_subject(item.nodeid) or item.path.name in LONGEST))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one file run in one process, which makes what they share once; so do those of one `[what@subject]`."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # else by how many tests there are of one subject

    class BySubject(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _subject(nodeid) or nodeid.partition("::")[0]

    return BySubject(config, log)


def _subject(nodeid: str) -> str | None:
    found = re.search(r"@([^@\]]+)\]$", nodeid)
    return found[1] if found else None


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Keep every test out of the user's cache folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SNOWBALL_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The folder of a shared data set; skips the test, with the reason, where it is not there."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"real data {name!r} is not beside this clone")
        return SHARED / name

    return find


@pytest.fixture
def unpacked(shared: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The folder into which an archive of the shared data is unpacked."""

    def unpack(name: str) -> Path:
        with tarfile.open(shared(name)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11 has it from 3.11.4 on
            archive.extractall(tmp_path)
        return tmp_path

    return unpack


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder in which the commands of `snowball` run: empty, where a test file has none of its own."""
    return tmp_path


@pytest.fixture
def snowball(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run one command as a user types it: checks its exit code, and gives the JSON of its last line."""
    monkeypatch.chdir(home)

    def run(*words: object, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*(str(word) for word in words), "--json"]) == code
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run
