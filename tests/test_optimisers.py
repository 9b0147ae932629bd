"""Schedules against their definitions, parameter groups, and Muon's share of the weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from snowball.recipe import OptimSection, ScheduleSection
from snowball.training.optimisers import build_optimisers, load_optimiser_tensors, lr_factor, optimiser_tensors
from snowball.training.transfer import LearningPart


def factors(section: ScheduleSection, steps: int = 100, per_epoch: int = 10) -> list[float]:
    return [lr_factor(section, step, steps, per_epoch, []) for step in range(steps)]


def test_cosine_falls_from_one_to_its_floor() -> None:
    values = factors(ScheduleSection(name="cosine", floor=0.1))
    assert values[0] == 1.0
    assert math.isclose(values[-1], 0.1)
    assert values == sorted(values, reverse=True)


def test_warmup_is_linear_and_reaches_the_peak() -> None:
    values = factors(ScheduleSection(name="constant", warmup=0.2))
    assert values[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert set(values[20:]) == {1.0}


def test_onecycle_rises_for_three_tenths_then_falls_to_zero() -> None:
    values = factors(ScheduleSection(name="onecycle"))
    assert values.index(max(values)) in (29, 30)
    assert values[-1] == 0.0


def test_step_multiplies_by_gamma_every_so_many_epochs() -> None:
    values = factors(ScheduleSection(name="step", every=3, gamma=0.5))
    assert [values[epoch * 10] for epoch in range(10)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(
    ("losses", "falls"),
    [([], 0), ([3, 2, 1], 0), ([1, 2, 2], 1), ([1, 2, 2, 2], 1), ([1, 2, 2, 2, 2], 2), ([1, 2, 0.5, 2], 0)],
)
def test_plateau_falls_after_patience_epochs_without_a_lower_loss(losses: list[float], falls: int) -> None:
    section = ScheduleSection(name="plateau", patience=2, gamma=0.1)
    assert lr_factor(section, 50, 100, 10, losses) == pytest.approx(0.1**falls)


def whole(model: nn.Module) -> list[LearningPart]:
    """All parameters at one rate, from the start."""
    return [LearningPart(list(model.parameters()))]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)
    )


def test_biases_and_norms_never_decay() -> None:
    model = network()
    (optimiser,) = build_optimisers(model, OptimSection(lr=0.1, weight_decay=0.5), whole(model))
    decay = {
        parameter.dim(): group["weight_decay"] for group in optimiser.param_groups for parameter in group["params"]
    }
    assert decay == {4: 0.5, 2: 0.5, 1: 0.0}


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    model = network()
    adamw, muon = build_optimisers(model, OptimSection(name="muon", lr=0.02, weight_decay=0.0), whole(model))
    taken = [parameter for group in muon.param_groups for parameter in group["params"]]
    assert len(taken) == 1
    assert taken[0] is dict(model.named_parameters())["3.weight"]
    assert sum(len(group["params"]) for group in adamw.param_groups) == len(list(model.parameters())) - 1


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_state_comes_back_bit_for_bit_in_the_parameters_own_layout(name: str) -> None:
    """Files hold contiguous tensors; a fused kernel would pair them wrongly with channels-last weights."""
    section = OptimSection(name=name, lr=0.01, weight_decay=0.01)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(16, 4), nn.Linear(4, 2))
    model = model.to(memory_format=torch.channels_last)
    images = torch.randn(8, 5, 3, 6, 6)

    def step(model: nn.Module, optimisers: list[torch.optim.Optimizer], image: torch.Tensor) -> None:
        model(image).square().sum().backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()

    optimisers = build_optimisers(model, section, whole(model))
    for image in images[:4]:
        step(model, optimisers, image)
    saved = {key: value.clone().contiguous() for key, value in optimiser_tensors(optimisers).items()}
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    for image in images[4:]:
        step(model, optimisers, image)
    expected = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(weights)
    again = build_optimisers(model, section, whole(model))
    load_optimiser_tensors(again, saved)
    for image in images[4:]:
        step(model, again, image)
    assert all(torch.equal(expected[key], value) for key, value in model.state_dict().items())
