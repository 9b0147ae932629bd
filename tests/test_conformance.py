"""Every task passes the public conformance suite, and the README's grid is what the suite says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from snowball.finding import BadInput
from snowball.registry import tasks
from snowball.table import Table
from snowball.testing import CHECKS, Result, check_task, grid

README = Path(__file__).resolve().parents[1] / "README.md"


@cache
def results(task: str) -> dict[str, Result]:
    return {result.name: result for result in check_task(task)}


@pytest.mark.parametrize(
    ("task", "check"),
    [pytest.param(task, check.name, id=f"{check.name}@{task}") for task in tasks() for check in CHECKS],
)
def test_task(task: str, check: str) -> None:
    result = results(task)[check]
    assert result.expected, result.reason or f"passes, though it is listed as a known failure: {result.known}"


@pytest.mark.parametrize("task", [pytest.param(task, id=f"row@{task}") for task in tasks()])
def test_the_readmes_grid_says_what_the_suite_says(task: str) -> None:
    *head, row = grid(list(results(task).values())).splitlines()
    lines = README.read_text(encoding="utf-8").splitlines()
    start = lines.index(head[0])
    end = lines.index("<!-- /grid -->", start)
    assert lines[start : start + len(head)] == head
    assert row in lines[start:end] and end - start == len(head) + len(tasks()), "a row for each task, and no other"


def test_a_task_that_breaks_its_word_is_caught() -> None:
    """Three planted faults: a loss that is a sum, a measure that is not additive, an encoding that is not stable."""
    base = tasks()["image-classification"]

    class Broken(base):
        def loss(self, outputs, batch):
            return super().loss(outputs, batch) * len(batch)

        def measure(self, outputs, batch):
            return {name: (value + 1, count) for name, (value, count) in super().measure(outputs, batch).items()}

        def encode_given(self, given):
            import torch

            return {name: tensor + torch.randint(0, 9, ()) for name, tensor in super().encode_given(given).items()}

    wanted = ["loss-is-a-mean", "measure-additive", "encode-deterministic"]
    original = tasks()["image-classification"]
    tasks()["image-classification"] = Broken
    try:
        found = {result.name: result.passed for result in check_task(Broken, keys={"model.name": "mlp"}, checks=wanted)}
    finally:
        tasks()["image-classification"] = original
    assert found == dict.fromkeys(wanted, False)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match="not one of"):
        check_task("no-such-task")
    with pytest.raises(BadInput, match="the checks are"):
        check_task("image-classification", checks=["no-such-check"])


def test_a_network_that_is_none_is_refused_before_any_row_is_read() -> None:
    known = tasks()
    for name in ("audio-classification", "lip-reading", "video-classification", "language-modelling"):
        with pytest.raises(BadInput, match=r"^model=hf: not one of "):
            known[name].network_name({"model.name": "hf"}, "x")
    with pytest.raises(BadInput, match=r"^model=crn: not one of crnn, conformer \(nearest: crnn\)"):
        known["speech-recognition"].defaults(Table("none", {}, [""], str), {"model.name": "crn"})
    assert known["language-modelling"].network_name({"model.name": "hf:gpt2"}, "gpt") == "hf:gpt2"
    assert known["language-modelling"].network_name({}, "gpt") == "gpt"
