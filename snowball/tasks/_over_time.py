"""What tasks share whose networks run over time, of sound or of lips: what their training is best served by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..design.audio import SoundShape
from ..kinds.audio import PADDING, AudioKind, AudioSection
from ..task import Task

__all__ = ["HEARD", "TRAINED", "sound_shape"]

TRAINED: Mapping[str, Any] = {
    **{"model.dropout": 0.2, "train.clip": 1.0, "train.ema": 0.99},
    **{"optim.lr": 0.003, "schedule.name": "onecycle"},
}
"""Recipe values of every such training."""
HEARD: Mapping[str, Any] = {
    **{"augment.speed": 0.1, "augment.gain": 6.0, "augment.snr": 15.0},
    **{"augment.masked_bands": 2, "augment.masked_spans": 2},
}
"""How sound is varied that is all there is to learn from."""


def sound_shape(task: Task) -> SoundShape:
    """What the network of a task is built for that is given `audio`."""
    kind, asked = task.kinds["audio"], task.recipe[AudioSection]
    assert isinstance(kind, AudioKind)
    hears = kind.rate, asked.mels, asked.window_ms, asked.hop_ms, PADDING
    return SoundShape(*hears, task.answer_kind.num_outputs, task.recipe.model.dropout)
