"""Pre-flight finds planted bugs by name and leaves a healthy task alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import Finding
from snowball.table import Column, Table
from snowball.training.loop import as_rows, training_rows
from snowball.training.preflight import preflight


@cache
def digits() -> Prepared:
    return prepare("digits", {"model": "mlp"}, Display(quiet=True))


def findings(model: nn.Module) -> list[Finding]:
    data = digits()
    return preflight(data.task, model, data.encoded, torch.from_numpy(data.splits["train"]))


def network() -> nn.Module:
    torch.manual_seed(0)
    return digits().task.model()


class Wrapped(nn.Module):
    """A healthy network with one thing changed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        out: dict[str, Tensor] = self.inner(image)
        return out


class Loud(Wrapped):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(image)["logits"] * 60}


class Mixing(Wrapped):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.inner(image + image.float().mean(0, keepdim=True))


class Blind(Wrapped):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.inner(image * 0)


class Cut(Wrapped):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits = self.inner(image)["logits"]
        return {"logits": logits.detach() + 0 * logits}


class Broken(Wrapped):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(image)["logits"].log()}


@pytest.mark.parametrize(
    ("bug", "check"),
    [
        (Loud, "init-scale"),
        (Mixing, "batch-mixing"),
        (Blind, "input-ignored"),
        (Cut, "cannot-overfit"),
        (Broken, "non-finite"),
    ],
)
def test_a_planted_bug_is_named(bug: type[nn.Module], check: str) -> None:
    assert check in {finding.check for finding in findings(bug())}


@pytest.mark.parametrize("name", ["linear", "mlp", "small_cnn"])
def test_healthy_networks_pass(name: str) -> None:
    data = prepare("digits", {"model": name}, Display(quiet=True))
    torch.manual_seed(0)
    assert not preflight(data.task, data.task.model(), data.encoded, torch.from_numpy(data.splits["train"]))


def test_the_network_and_the_random_state_are_left_as_they_were() -> None:
    model = network()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    findings(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_gate_that_stopped_a_run_still_stands_when_it_is_resumed(
    snowball: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Finding("cannot-overfit", "error", "planted")
    monkeypatch.setattr("snowball.training.train.preflight", lambda *_: [planted])
    snowball("train", "digits", "model=mlp", "epochs=1", "-o", "run", code=1)
    assert "cannot-overfit" in snowball("train", "resume=run", code=1)["error"]
    done = snowball("train", "resume=run", "waive.cannot-overfit=planted")
    assert done["verdict"] == "pass" and done["waived"] == {"cannot-overfit": "planted"}


# Text: what padding, time and the other rows must not change.

SENTENCES = [" ".join("abcdefgh"[(row * 7 + at * at) % 8] * 2 for at in range(2 + row * 5 % 9)) for row in range(60)]
SMALL = {"network.layers": 1, "network.width": 16, "network.heads": 2, "network.hidden": 16, "model.dropout": 0.0}


@cache
def text_data(task: str, name: str) -> Prepared:
    columns = {"text": Column("text", "text", SENTENCES)}
    if task == "text-classification":
        labels = ["x" if sentence.count("aa") % 2 else "y" for sentence in SENTENCES]
        columns["label"] = Column("label", "label", labels)
    if task == "translation":
        columns["back"] = Column("back", "text", [sentence[::-1] for sentence in SENTENCES])
    table = Table("made", columns, [""] * len(SENTENCES), lambda row: f"row {row}")
    keys = {**SMALL, "task": task, "model": name, "text.tokens": "char"}
    if task == "language-modelling":
        keys |= {"language.context": 12, "data.val": 0.2, "data.test": 0.2}
    patch = pytest.MonkeyPatch()
    patch.setattr("snowball.collect.prepare.read_table", lambda data, note=None: table)
    try:
        return prepare("made", keys, Display(quiet=True))
    finally:
        patch.undo()


def text_findings(task: str, name: str, change: Callable[[nn.Module], nn.Module] = lambda model: model) -> set[str]:
    data = text_data(task, name)
    encoded, splits = training_rows(data.task, data.encoded, as_rows(data.splits, torch.device("cpu")))
    torch.manual_seed(0)
    found = preflight(data.task, change(data.task.model()), encoded, splits["train"])
    return {finding.check for finding in found if finding.severity == "error"}


class Around(nn.Module):
    """A network of any inputs with its logits or its inputs changed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.logits(inputs)}

    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.inner(**inputs)["logits"]
        return logits


class SeesAhead(Around):
    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        logits = super().logits(inputs)
        return logits + logits.roll(-1, 1)


class MeanOverPadding(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(60, 16), nn.Linear(16, 2)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.embedding(text).mean(1))}


class MixesRows(Around):
    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        logits = super().logits(inputs)
        return logits + 0.01 * logits.mean(0, keepdim=True)


class IgnoresSource(Around):
    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        return super().logits({**inputs, "source": torch.full_like(inputs["source"], 5)})


class IgnoresText(Around):
    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        return super().logits({"text": torch.full_like(inputs["text"], 5)})


@pytest.mark.parametrize(
    ("task", "name", "bug", "check"),
    [
        ("language-modelling", "gpt", SeesAhead, "time-leak"),
        ("language-modelling", "lstm", SeesAhead, "time-leak"),
        ("translation", "transformer", SeesAhead, "time-leak"),
        ("text-classification", "cnn", MeanOverPadding, "padding-leak"),
        ("text-classification", "cnn", MixesRows, "batch-mixing"),
        ("language-modelling", "gpt", MixesRows, "batch-mixing"),
        ("translation", "gru", MixesRows, "batch-mixing"),
        ("translation", "gru", IgnoresSource, "input-ignored"),
        ("text-classification", "lstm", IgnoresText, "input-ignored"),
    ],
)
def test_a_planted_bug_of_text_is_named(task: str, name: str, bug: type[nn.Module], check: str) -> None:
    assert check in text_findings(task, name, bug)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        *(("text-classification", name) for name in ("cnn", "lstm", "gru", "transformer")),
        *(("language-modelling", name) for name in ("gpt", "rnn", "lstm", "gru")),
        *(("translation", name) for name in ("transformer", "gru", "lstm")),
    ],
)
def test_healthy_networks_for_text_pass(task: str, name: str) -> None:
    assert not text_findings(task, name)
