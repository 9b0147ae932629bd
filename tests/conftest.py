"""Fixtures: a cache of the tests' own, and the shared real data where a clone has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: no test asks the network
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


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
