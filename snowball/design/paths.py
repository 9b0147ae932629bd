"""Networks that predict paths: each agent's past in a frame of its own, what the others do, K futures at once.

Shapes: B rows, A agents, T observed and F predicted frames, K futures, D width, H heads, E = D / H. Everything an
agent is told of itself and of others is turned into its own frame (origin where it is, x the way it came), and what it
answers is turned back: turning or moving a scene turns and moves the answer, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Encoder, sinusoids
from .recurrent import Recurrent

__all__ = ["PATH_NETWORKS", "PathNetwork", "PathShape"]

PATH_NETWORKS = {
    "gru": "A GRU over each agent's past, and attention to what the others do.",
    "transformer": "A Transformer over each agent's past, and attention to what the others do.",
}
STEP = 5  # numbers of one observed frame: place, move, and whether it is known
PAIR = 9  # numbers of another agent: place, velocity, distance, where and when it comes nearest
STILL = 1e-3  # units in two frames: below it an agent has no heading
SOON = 12.0  # frames within which coming near matters
NOBODY = -1e4  # added to the scores of who is not there


@dataclass(frozen=True)
class PathShape:
    """Sizes of a network, and what the data taught: `unit`, a usual way in one frame; `anchors` (K, F, 2) in units."""

    unit: float
    anchors: Sequence[Sequence[Sequence[float]]]
    width: int = 64
    layers: int = 1
    heads: int = 4
    dropout: float = 0.0


class PathNetwork(nn.Module):
    """past (B, A, T, 3), x, y and 1 where known, to `futures` (B, A, K, F, 2), `logits` (B, A, K), `asked` (B, A, 1).

    Asked are agents that are known in every frame; the others are seen by them, and have 0 everywhere. With
    `neighbours` off an agent sees nobody: what a network that does has to beat.

    >>> shape = PathShape(0.5, torch.zeros(20, 12, 2).tolist())
    >>> network = PathNetwork("gru", shape)
    >>> {name: tuple(value.shape) for name, value in network(torch.ones(2, 3, 8, 3)).items()}
    {'futures': (2, 3, 20, 12, 2), 'logits': (2, 3, 20), 'asked': (2, 3, 1)}
    """

    def __init__(self, name: str, shape: PathShape, *, neighbours: bool = True) -> None:
        super().__init__()
        width = shape.width
        self.unit = shape.unit
        self.history = _Recurrence(shape) if name == "gru" else _Attention(shape)
        self.social = _Social(width, shape.heads) if neighbours else None
        self.drop = nn.Dropout(shape.dropout)
        inside = 2 * width if neighbours else width
        self.body = nn.Sequential(nn.Linear(inside, 2 * width), nn.GELU(), nn.Linear(2 * width, 2 * width), nn.GELU())
        anchors = torch.tensor(shape.anchors, dtype=torch.float32)  # (K, F, 2)
        self.futures, self.frames = anchors.shape[0], anchors.shape[1]
        self.out = nn.Linear(2 * width, anchors.numel())
        self.choice = nn.Linear(2 * width, self.futures)
        with torch.no_grad():  # futures begin as what agents typically do beyond constant velocity
            self.out.weight.mul_(0.3)
            self.out.bias.copy_(anchors.flatten())
            self.choice.weight.mul_(0.1)
            self.choice.bias.zero_()
        self.ahead: Tensor
        self.register_buffer("ahead", torch.arange(1, self.frames + 1).float(), persistent=False)

    def forward(self, past: Tensor) -> dict[str, Tensor]:
        place, known = past[..., :2] / self.unit, past[..., 2]  # (B, A, T, 2), (B, A, T)
        last, velocity, turn = _frames(place)
        here = known[..., -1]  # (B, A): padding is not there
        own = _turned(place - last[:, :, None], turn)  # (B, A, T, 2)
        move = F.pad(own[:, :, 1:] - own[:, :, :-1], (0, 0, 1, 0))
        steps = torch.cat([own / SOON, move, known[..., None]], -1)  # (B, A, T, STEP)
        seen: Tensor = self.history(steps.flatten(0, 1), known.flatten(0, 1)).unflatten(0, place.shape[:2])  # (B, A, D)
        if self.social is not None:
            seen = torch.cat([seen, self.social(seen, _pairs(last, velocity, turn), here)], -1)
        features = self.body(self.drop(seen))
        beyond = self.out(features).unflatten(-1, (self.futures, self.frames, 2))  # in units, own frame
        straight = last[:, :, None, None] + velocity[:, :, None, None] * self.ahead[:, None]  # (B, A, 1, F, 2)
        futures = straight + _turned_back(beyond.flatten(2, 3), turn).unflatten(2, (self.futures, self.frames))
        asked = known.amin(-1, keepdim=True)  # (B, A, 1)
        return {
            "futures": futures * self.unit * asked[..., None, None],
            "logits": self.choice(features) * asked,
            "asked": asked,
        }


def _frames(place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each agent's last place and velocity (B, A, 2), and the cosine and sine (B, A, 2) of the way it came."""
    last, before = place[:, :, -1], place[:, :, -2]
    heading = last - place[:, :, -min(3, place.shape[2])]
    length = (heading**2).sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
    ahead = torch.tensor([1.0, 0.0], dtype=place.dtype, device=place.device)
    return last, last - before, torch.where(length > STILL, heading / length, ahead)


def _turned(vectors: Tensor, turn: Tensor) -> Tensor:
    """Vectors (B, A, N, 2) in the frames of agents whose headings are `turn` (B, A, 2)."""
    cos, sin = turn[:, :, None, 0], turn[:, :, None, 1]
    x, y = vectors[..., 0], vectors[..., 1]
    return torch.stack([x * cos + y * sin, y * cos - x * sin], -1)


def _turned_back(vectors: Tensor, turn: Tensor) -> Tensor:
    """Vectors (B, A, N, 2) out of those frames."""
    return _turned(vectors, turn * torch.tensor([1.0, -1.0], dtype=turn.dtype, device=turn.device))


def _pairs(last: Tensor, velocity: Tensor, turn: Tensor) -> Tensor:
    """(B, A, A, PAIR): of every other agent, in the frame of the first of the two.

    Place, velocity, nearness, and how near they come, where and when, if both go on as they do.
    """
    between = _turned(last[:, None] - last[:, :, None], turn)  # (B, A, A, 2)
    moving = _turned(velocity[:, None] - velocity[:, :, None], turn)
    speed = (moving**2).sum(-1).clamp(min=1e-6)
    when = (-(between * moving).sum(-1) / speed).clamp(0.0, SOON)  # frames
    nearest = between + moving * when[..., None]
    far = (between**2).sum(-1).clamp(min=1e-6).sqrt()
    close = (nearest**2).sum(-1).clamp(min=1e-6).sqrt()
    scales = [torch.tanh(between / SOON), torch.tanh(moving), torch.exp(-far / 4)[..., None]]
    return torch.cat([*scales, torch.tanh(nearest / 4), torch.exp(-close / 2)[..., None], (when / SOON)[..., None]], -1)


class _Recurrence(nn.Module):
    """(N, T, STEP) to (N, D): the state after the last frame."""

    def __init__(self, shape: PathShape) -> None:
        super().__init__()
        self.embed = nn.Linear(STEP, shape.width)
        self.cells = Recurrent("gru", shape.width, shape.width, shape.layers, shape.dropout)

    def forward(self, steps: Tensor, known: Tensor) -> Tensor:
        x = F.gelu(self.embed(steps))
        read, _ = self.cells(x, self.cells.empty_state(x))
        last: Tensor = read[:, -1]
        return last


class _Attention(nn.Module):
    """(N, T, STEP) to (N, D): what the last frame has seen of all that are known."""

    def __init__(self, shape: PathShape) -> None:
        super().__init__()
        self.embed = nn.Linear(STEP, shape.width)
        self.encoder = Encoder(shape.layers + 1, shape.width, shape.heads, 2 * shape.width, shape.dropout)

    def forward(self, steps: Tensor, known: Tensor) -> Tensor:
        x = self.embed(steps) + sinusoids(steps.shape[1], self.embed.out_features).to(steps)
        # The last frame is let in always: a row of padding would else see nothing, and become NaN.
        mask = torch.cat([known[:, :-1] > 0, torch.ones_like(known[:, -1:], dtype=torch.bool)], 1)
        last: Tensor = self.encoder(x, mask[:, None, None])[:, -1]
        return last


class _Social(nn.Module):
    """Attention of each agent to the others: (B, A, D) with pairs (B, A, A, PAIR) to (B, A, D).

    What is attended to is made of the other's past and of where it is from here. An agent that is alone, or that nobody
    concerns, attends to a learned nothing.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.other = nn.Linear(width, width)
        self.pair = nn.Linear(PAIR, width)
        self.held = nn.Linear(width, 2 * width)
        self.nothing = nn.Parameter(torch.zeros(2, width))
        self.out = nn.Linear(width, width)

    def forward(self, seen: Tensor, pairs: Tensor, here: Tensor) -> Tensor:
        inside = F.gelu(self.other(seen)[:, None] + self.pair(pairs))  # (B, A, A, D)
        held = self.held(inside)
        key, value = held.unflatten(-1, (2, self.heads, -1)).unbind(-3)  # (B, A, A, H, E)
        query = self.query(seen).unflatten(-1, (self.heads, -1))[:, :, None]  # (B, A, 1, H, E)
        none_key, none_value = self.nothing.unflatten(-1, (self.heads, -1))  # (H, E)
        scale = 1 / math.sqrt(query.shape[-1])
        scores = (query * key).sum(-1) * scale  # (B, A, A, H)
        agents = torch.arange(here.shape[1], device=here.device)
        others = here[:, None] * (agents[:, None] != agents)  # (B, A, A)
        scores = scores + (1 - others[..., None]) * NOBODY
        nothing = (query * none_key).sum(-1) * scale  # (B, A, 1, H)
        shares = torch.cat([scores, nothing], 2).softmax(2)
        found = (shares[:, :, :-1, :, None] * value).sum(2) + shares[:, :, -1, :, None] * none_value
        mixed: Tensor = self.out(found.flatten(-2))
        return mixed
