"""A network that is trained to be asked, not kept: by the loop and the recipe of any training, nothing is written."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..collect.encode import Encoded
from ..display import Display
from ..finding import Finding
from ..task import Task
from .adapters import adapt, merged
from .loop import Trainer, new_model
from .transfer import begin, cache_features

__all__ = ["fit_in_memory"]


def fit_in_memory(
    task: Task,
    encoded: Encoded,
    splits: Mapping[str, Tensor],
    *,
    last: bool = False,
    what: str = "",
    display: Display | None = None,
) -> tuple[nn.Module, int]:
    """A network with the weights of its best epoch, in evaluation mode, and how many epochs there were.

    With `last` it is the weights of the last epoch, for which no held-out answer is looked at. Nothing is watched: the
    recipe is not what is judged here. Raises GateFailed where the loss is lost.
    """
    display = display or Display(quiet=True)
    model = new_model(task, encoded.device)
    begin(task, model)
    adapt(task, model)
    learned, held = cache_features(task, model, encoded, splits) or (task, encoded)
    trainer = Trainer(learned, model, held, splits, watched=False)
    listener = _Best(display)
    display.start(what, trainer.num_steps)
    try:
        trainer.run(listener)
    finally:
        display.stop()
    weights = merged(trainer.best_model) if last or not listener.weights else listener.weights
    best = task.model().to(encoded.device)
    best.load_state_dict(dict(weights))
    return best.eval(), len(trainer.progress.epochs())


class _Best:
    """Listens to a training for its best weights, and moves the bar."""

    def __init__(self, display: Display) -> None:
        self.weights: Mapping[str, Tensor] = {}
        self._display = display

    def stepped(self, trainer: Trainer, rows: int) -> None:
        self._display.advance()

    def logged(self, row: Mapping[str, Any]) -> None: ...
    def found(self, trainer: Trainer, finding: Finding) -> None: ...

    def improved(self, trainer: Trainer) -> None:
        self.weights = copy.deepcopy(merged(trainer.best_model))

    def stopping(self) -> bool:
        return False
