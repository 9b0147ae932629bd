"""Splits that differ, rows that are far off, and backgrounds that tell the answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from snowball.api import audit
from snowball.collect.drift import _apart
from snowball.collect.outliers import far_off, outliers
from snowball.finding import Finding
from snowball.table import Table


def pictures(root: Path, brighter: float = 0, border: int = 0) -> dict[str, Finding]:
    """What an audit says of 240 pictures of noise, the test ones `brighter`, one class with a lighter border."""
    random = np.random.default_rng(0)
    for number in range(240):
        split = ("train", "train", "test")[number % 3]
        pixels = random.integers(40, 160, (16, 16)) + random.integers(0, 40) + (brighter if split == "test" else 0)
        label = number // 3 % 2
        pixels[[0, -1]] = pixels[:, [0, -1]] = 90 + random.integers(0, 8) + border * label
        path = root / split / "ab"[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return {finding.check: finding for finding in audit(str(root))}


def test_brighter_test_rows_are_a_mismatch(tmp_path: Path) -> None:
    found = pictures(tmp_path, brighter=30)["train-val-mismatch"]
    assert found.severity == "warning" and "brightness" in found.message
    assert {fact["split"] for fact in found.evidence["facts"]} == {"test"}


def test_a_background_that_tells_the_class_is_named(tmp_path: Path) -> None:
    found = pictures(tmp_path, border=20)
    assert "from the background" in found["background-leak"].message
    assert "train-val-mismatch" not in found


def test_ordinary_pictures_raise_nothing(tmp_path: Path) -> None:
    assert not {"train-val-mismatch", "background-leak", "outliers", "near-split-overlap"} & set(pictures(tmp_path))


def test_random_halves_are_seldom_apart() -> None:
    random = np.random.default_rng(0)
    numbers, words = random.lognormal(size=400), random.choice(list("aaaaabbbccd"), 400)
    chances = []
    for _ in range(100):
        order = random.permutation(400)
        for values in (numbers, words):
            test = _apart(values[order[:280]].tolist(), values[order[280:]].tolist())
            assert test is not None
            chances.append(test["p"])
    assert np.mean(np.array(chances) < 0.05) < 0.1
    test = _apart(["wav"] * 50 + ["mp3"] * 10, ["mp3"] * 40)
    assert test is not None and test["p"] < 1e-6 and test["train"] == "wav 83%" and test["there"] == "wav 0%"
    assert _apart([3] * 50, [3] * 20) is None


def test_only_what_is_far_off_is_an_outlier() -> None:
    random = np.random.default_rng(0)
    for usual in (random.normal(size=2000), random.lognormal(size=2000), random.exponential(size=2000) + 1e-3):
        assert list(far_off(usual)) == []
    assert list(far_off(np.append(random.normal(size=100), 40.0))) == [100]
    assert list(far_off(np.append(np.full(100, 28.0), 290))) == [100]
    assert list(far_off(np.array([28.0] * 90 + [290] * 10))) == [], "another sort of rows"


def test_what_is_true_or_false_is_never_far_off() -> None:
    """One film of 200 without sound is no outlier; one of 90 seconds is."""
    facts = [{"has_audio": row > 0, "seconds": 90.0 if row == 7 else 2.0} for row in range(200)]
    task: Any = SimpleNamespace(kinds={"video": SimpleNamespace(metadata=("has_audio", "seconds"), traits=())})
    encoded: Any = SimpleNamespace(facts={"video": facts})
    (found,) = outliers(task, Table("films", {}, [""] * 200, str), encoded)
    assert [(row["where"], row["fact"]) for row in found.evidence["rows"]] == [("7", "seconds")]
