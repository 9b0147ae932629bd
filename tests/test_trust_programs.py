"""The programs with seeded bugs keep their contract, and what is said of them names nobody who was set aside."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TRUST = Path(__file__).resolve().parents[1] / "benchmarks" / "trust"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    """`run.py`, which finds what lies beside it where it is started as a program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TRUST)
        yield importlib.import_module("run")


def declared(path: Path) -> dict[str, Any]:
    """The module's constants and functions, read and not run."""
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            found[target.id] = ast.literal_eval(node.value) if target.id in ("BUG", "ALSO", "NEAR", "HIGHER") else node
    return found


@pytest.mark.parametrize("folder", [".", "held"])
def test_a_buggy_program_says_what_its_bug_is_and_has_a_twin(bench: ModuleType, folder: str) -> None:
    for path in (TRUST / "programs" / folder).glob("*.py"):
        found = declared(path)
        # the message of a program that was set aside must not name it
        name = path.stem if folder == "." else "a program that was set aside"
        assert {"build", "setup", "fixed", "truth"} <= set(found), name
        assert {found["BUG"], *found["ALSO"]} <= set(bench.FAMILY), name
        assert found["HIGHER"] in ("truth", "report"), name


@pytest.mark.parametrize("folder", ["healthy", "healthy_held"])
def test_a_healthy_program_says_what_it_is_close_to(bench: ModuleType, folder: str) -> None:
    for path in (TRUST / "programs" / folder).glob("*.py"):
        found = declared(path)
        name = path.stem if folder == "healthy" else "a program that was set aside"
        assert {"build", "fixed", "truth"} <= set(found) and "setup" not in found, name
        assert found["BUG"] is None, name
        assert found["NEAR"] and set(found["NEAR"]) <= set(bench.FAMILY), name


def outcomes(bench: ModuleType) -> list[object]:
    made = bench.Outcome
    return [
        made("secret_a", "buggy", "schedule", ("schedule",), True, "fail", ("schedule", "lr-too-low"), 1.0),
        made("secret_b", "buggy", "schedule", ("schedule",), True, "fail", ("lr-too-low", "schedule"), 1.0),
        made("secret_c", "buggy", "schedule", ("schedule",), True, "abstain", (), 1.0),
        made("secret_d", "buggy", "schedule", ("schedule",), False, "fail", ("schedule",), 1.0),
        made("secret_e", "fixed", "schedule", (), False, "pass", (), 1.0),
        made("secret_f", "healthy", "label-noise", (), False, "fail", ("label-noise",), 1.0),
    ]


def test_rates_count_what_they_say(bench: ModuleType) -> None:
    found = bench.rates(outcomes(bench))
    counts = {name: (figures["hits"], figures["of"]) for name, figures in found.items()}
    assert counts["detected"] == (2, 3)  # the harmless one is not counted
    assert counts["localised"] == (1, 3)  # the first error has to be right
    assert counts["false alarms"] == (1, 2)
    assert counts["abstained, buggy"] == (1, 3) and counts["abstained, clean"] == (0, 2)


def test_programs_set_aside_are_counted_and_not_named(bench: ModuleType) -> None:
    hidden = bench.summary(outcomes(bench), named=False)
    text = json.dumps(hidden) + bench.shown(hidden)
    assert "secret" not in text and "schedule" not in text and "label-noise" not in text
    assert "secret_a" in json.dumps(bench.summary(outcomes(bench), named=True))
