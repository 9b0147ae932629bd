"""Pre-flight finds planted bugs by name and leaves a healthy task alone."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import Finding
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
