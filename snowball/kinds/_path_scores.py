"""How far predicted paths are from true ones, and constant velocity, which they have to beat.

Shapes: A agents, K futures of each, F predicted frames. Distances are in the unit of the positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from ..kind import Block
from ._scene import Scene

__all__ = ["agent_scores", "constant_velocity", "mean_scores", "path_blocks", "score_intervals"]

FAN = 25.0  # degrees: deviation of the directions of Schoeller et al. (2020)
DRAWS = 500


def agent_scores(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene], miss: float, close: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """name -> one number an agent that is judged, and the row (N,) that each is of.

    - `min_ade`, `min_fde`: the mean and the last distance of the best of K futures, the best for each of the two.
    - `min_ade_1`, `min_fde_1`: of the most likely future.
    - `miss_rate`: 1 where none of K ends within `miss`.
    - `collisions`: 1 where the most likely future comes closer than `close` to another agent's.
    """
    found: dict[str, list[np.ndarray]] = {}
    rows: list[int] = []
    for row, (prediction, answer) in enumerate(zip(predictions, answers, strict=True)):
        judged = answer.complete
        futures, agents = _futures(prediction)
        truth = answer.positions[agents, answer.observed :] - answer.origin  # (A, F, 2)
        told = judged[agents]
        apart = np.linalg.norm(futures[told] - truth[told][:, None], axis=-1)  # (A, K, F)
        ade, fde = apart.mean(2), apart[:, :, -1]
        start = answer.positions[agents, answer.observed - 1] - answer.origin
        hits = _collisions(np.concatenate([start[:, None], futures[:, 0]], 1), close)
        values = {
            "min_ade": ade.min(1),
            "min_fde": fde.min(1),
            "min_ade_1": ade[:, 0],
            "min_fde_1": fde[:, 0],
            "miss_rate": (fde.min(1) > miss).astype(np.float64),
            "collisions": hits[told].astype(np.float64),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
        rows += [row] * int(told.sum())
    return {name: np.concatenate(values) for name, values in found.items()}, np.array(rows, dtype=np.int64)


def _futures(prediction: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Futures (A, K, F, 2), the most likely first, and which agents of the scene these are."""
    paths = prediction["paths"]
    return np.array([path["futures"] for path in paths]), np.array([path["agent"] for path in paths], dtype=np.int64)


def _collisions(paths: np.ndarray, close: float) -> np.ndarray:
    """(A,) whether each of these paths (A, F, 2) comes closer to another than `close`, between frames too.

    >>> _collisions(np.array([[[0.0, 0], [2, 0]], [[2.0, 0.1], [0, 0.1]], [[0.0, 5], [2, 5]]]), 0.2).tolist()
    [True, True, False]
    """
    between = paths[:, None] - paths[None]  # (A, A, F, 2)
    here, there = between[:, :, :-1], between[:, :, 1:]
    move = there - here
    length = np.maximum((move**2).sum(-1), 1e-12)
    at = np.clip(-(here * move).sum(-1) / length, 0, 1)  # where on the way from frame to frame they are nearest
    least = np.linalg.norm(here + at[..., None] * move, axis=-1).min(2)  # (A, A)
    np.fill_diagonal(least, np.inf)
    hit: np.ndarray = (least < close).any(1) if len(paths) > 1 else np.zeros(len(paths), dtype=bool)
    return hit


def mean_scores(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(value.mean()) for name, value in scores.items()}


def score_intervals(scores: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """95 % intervals by bootstrap over rows, whose agents are drawn together: they saw the same scene."""
    num = int(rows.max()) + 1
    counts = np.bincount(rows, minlength=num).astype(np.float64)
    sums = np.stack([np.bincount(rows, weights=value, minlength=num) for value in scores.values()])  # (M, rows)
    random = np.random.Generator(np.random.Philox(0))
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(random.integers(num, size=num), minlength=num)
        drawn.append(sums @ times / max(1.0, float(counts @ times)))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(scores)}


def constant_velocity(scene: Scene, ahead: int, num: int) -> dict[str, Any]:
    """A prediction by the last velocity, in `num` directions, straight on first: arrays (K, F, 2).

    The turns are quantiles of a normal distribution with a deviation of 25 degrees, from which Schoeller et al. ("What
    the Constant Velocity Model Can Teach Us", 2020) draw: the same spread without the luck.

    >>> scene = Scene("yard", ("1",), np.array([[[0.0, 0], [1, 0]]]), np.arange(2))
    >>> constant_velocity(scene, 2, 1)["paths"][0]["futures"].tolist()
    [[[1.0, 0.0], [2.0, 0.0]]]
    """
    agents = np.flatnonzero(scene.asked)
    last, before = (scene.positions[agents, scene.observed - back] - scene.origin for back in (1, 2))  # (A, 2)
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf((i + 0.5) / num) for i in range(num)])
    turns = np.deg2rad(FAN) * quantiles[np.argsort(np.abs(quantiles), kind="stable")]
    turns[0] = 0.0
    cos, sin = np.cos(turns), np.sin(turns)
    turned = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)  # (K, 2, 2)
    speed = np.einsum("kij,aj->aki", turned, last - before)
    futures = last[:, None, None] + speed[:, :, None] * np.arange(1, ahead + 1)[:, None]  # (A, K, F, 2)
    equal = [1 / num] * num
    paths = [
        {"agent": int(agent), "futures": future, "probabilities": equal}
        for agent, future in zip(agents, futures, strict=True)
    ]
    return {"paths": paths}


def path_blocks(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene], num: int, miss: float, close: float
) -> list[Block]:
    """Beside constant velocity; by how crowded it is; and the error by the time ahead."""
    ahead = answers[0].ahead
    straight = [constant_velocity(answer, ahead, 1) for answer in answers]
    fan = [constant_velocity(answer, ahead, num) for answer in answers]
    kinds: dict[str, Sequence[Mapping[str, Any]]] = {
        "this network": predictions,
        "constant velocity": straight,
        f"in {num} directions": fan,
    }
    scores = {name: agent_scores(told, answers, miss, close) for name, told in kinds.items()}
    own, rows = scores["this network"]
    table = [[name, *mean_scores(found).values()] for name, (found, _) in scores.items()]
    close_by = np.array([len(answers[row].agents) for row in rows])
    by_agents = []
    for low, high in ((1, 1), (2, 3), (4, 8), (9, 16), (17, 10**9)):
        inside = (close_by >= low) & (close_by <= high)
        if inside.any():
            name = f"{low}" if low == high else f"{low} to {high}" if high < 10**9 else f"{low} and more"
            cells = [float(scores[told][0][key][inside].mean()) for told in kinds for key in ("min_ade", "min_ade_1")]
            by_agents.append([name, int(inside.sum()), *cells])
    columns = ["agents in view", "judged", *(f"{key}, {told}" for told in kinds for key in ("min_ade", "min_ade_1"))]
    lines = {
        name: _by_frame(told, answers) for name, told in (("this network", predictions), *list(kinds.items())[1:2])
    }
    series = {f"{key}, {name}": values for name, found in lines.items() for key, values in found.items()}
    curve = {"x": list(range(1, ahead + 1)), "series": series, "x_label": "frames ahead", "y_label": "distance"}
    title = f"Over {num}: the best of as many futures; over 1: the most likely"
    return [
        Block("Beside constant velocity", "table", {"columns": ["answer", *own], "rows": table}, title),
        Block("By agents in view", "table", {"columns": columns, "rows": by_agents}),
        Block("Error by time ahead", "lines", curve),
    ]


def _by_frame(predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene]) -> dict[str, list[float]]:
    """Mean distance at each predicted frame: of the future that is best on average, and of the most likely."""
    best, first = [], []
    for prediction, answer in zip(predictions, answers, strict=True):
        futures, agents = _futures(prediction)
        told = answer.complete[agents]
        truth = answer.positions[agents, answer.observed :] - answer.origin
        apart = np.linalg.norm(futures[told] - truth[told][:, None], axis=-1)
        best.append(apart[np.arange(len(apart)), apart.mean(2).argmin(1)])
        first.append(apart[:, 0])
    return {
        "best": np.concatenate(best).mean(0).round(4).tolist(),
        "most likely": np.concatenate(first).mean(0).round(4).tolist(),
    }
