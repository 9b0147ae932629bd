"""How far sound and lips are apart: lips move when there is sound. Shapes: T frames, H, W."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["LAGS", "lag_of", "sync_curve"]

LAGS = 12  # frames to either side
FEW = 2 * LAGS  # frames below which nothing can be said


def sync_curve(samples: np.ndarray, rate: int, frames: np.ndarray, frame_rate: float) -> list[float] | None:
    """Correlation of sound's loudness with the movement of lips, for sound moved by -LAGS to LAGS frames.

    The place of the largest is by how many frames the sound is late. None where a film is too short, silent or still.
    """
    hop = rate / frame_rate
    num = min(len(frames), int(len(samples) / hop))
    if num < FEW + 2:
        return None
    edges = (np.arange(num + 1) * hop).astype(int)
    energy = np.add.reduceat(np.square(samples[: edges[-1]], dtype=np.float64), edges[:-1]) / hop
    loud = np.log(energy + 1e-6)
    moved = np.abs(np.diff(frames[:num].astype(np.float32), axis=0)).mean((1, 2))
    moves = np.concatenate([moved[:1], (moved[:-1] + moved[1:]) / 2, moved[-1:]])  # around each frame
    loud, moves = loud - loud.mean(), moves - moves.mean()
    size = float(np.linalg.norm(loud) * np.linalg.norm(moves))
    if not size > 1e-9:
        return None
    # At lag k the sound of frame t + k belongs to the picture of frame t.
    return [
        float((loud[max(0, k) : num + min(0, k)] * moves[max(0, -k) : num - max(0, k)]).sum() / size)
        for k in range(-LAGS, LAGS + 1)
    ]


def lag_of(curves: Sequence[Sequence[float]]) -> tuple[int, float, float]:
    """Of many films: by how many frames their sound is late, and how it correlates there and in step."""
    mean = np.mean(curves, axis=0)
    best = int(np.argmax(mean))
    return best - LAGS, float(mean[best]), float(mean[LAGS])
