"""Learns the values of moves on a windy 8 by 8 grid from stored steps: fitted Q iteration with a slowly following copy.

Near: the copy of the network gets no gradient and is not in the optimizer, and the targets come from the network itself and move."""

from copy import deepcopy
from functools import cache

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "frozen-parameters", "optimizer-missing-parameters", "target-leak", "eval-mode")
SIDE, GAIN, FOLLOW = 8, 0.9, 0.05
MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
GOAL = torch.tensor([6, 1])


def step(place, move):
    """Next place, reward 1 at the goal, and whether the walk ends; columns 3 and 4 blow one place up."""
    wind = torch.stack([torch.zeros_like(place[:, 0]), ((place[:, 0] == 3) | (place[:, 0] == 4)).long()], 1)
    after = (place + MOVES[move] + wind).clamp(0, SIDE - 1)
    done = (after == GOAL).all(1).float()
    return after, done, done


def seen(place):
    """One-hot column and row, so (N, 16)."""
    return nn.functional.one_hot(place, SIDE).flatten(1).float()


def stored(count, seed):
    g = torch.Generator().manual_seed(seed)
    place = torch.randint(SIDE, (count, 2), generator=g)
    place = place[~(place == GOAL).all(1)]
    move = torch.randint(4, (len(place),), generator=g)
    after, reward, done = step(place, move)
    return TensorDataset(
        seen(place), torch.cat([move[:, None].float(), reward[:, None], done[:, None], seen(after)], 1)
    )


@cache
def best():
    """The true values (64 places, 4 moves) by value iteration."""
    place = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
    values = torch.zeros(SIDE * SIDE, 4)
    for _ in range(100):
        held = values.amax(1)
        for move in range(4):
            after, reward, done = step(place, torch.full((len(place),), move))
            values[:, move] = reward + GAIN * (1 - done) * held[after[:, 0] * SIDE + after[:, 1]]
    return place, values


class Values(nn.Module):
    """The values of the four moves; `slow` follows the network and judges the places that are reached."""

    def __init__(self):
        super().__init__()
        self.fast = nn.Sequential(nn.Linear(2 * SIDE, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
        self.slow = deepcopy(self.fast).requires_grad_(False)

    def forward(self, place):
        return self.fast(place)

    @torch.no_grad()
    def follow(self):
        for mine, other in zip(self.slow.parameters(), self.fast.parameters(), strict=False):
            mine.lerp_(other, FOLLOW)


def build(seed=0):
    torch.manual_seed(seed)
    model = Values()

    def loss(values, stored_step):
        move, reward, done, after = stored_step[:, 0].long(), *stored_step[:, 1:3].unbind(1), stored_step[:, 3:]
        with torch.no_grad():
            target = reward + GAIN * (1 - done) * model.slow(after).amax(1)
        return nn.functional.smooth_l1_loss(values.gather(1, move[:, None])[:, 0], target)

    def train_step(model, batch, optimizer):
        model.train()
        optimizer.zero_grad()
        found = loss(model(batch[0]), batch[1])
        found.backward()
        optimizer.step()
        model.follow()
        return found

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(stored(4000, 1), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "optimizer": torch.optim.Adam(model.fast.parameters(), lr=2e-3),
        "train_step": train_step,
        "epochs": 20,
    }


def truth(model, seed=0):
    """R² of the values of all moves from all places but the goal."""
    place, values = best()
    kept = ~(place == GOAL).all(1)
    model.eval()
    with torch.no_grad():
        guess = model(seen(place[kept]))
    return (1 - ((guess - values[kept]) ** 2).sum() / ((values[kept] - values[kept].mean()) ** 2).sum()).item()


def fixed():
    return build()
