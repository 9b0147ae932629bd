"""Training on from given weights: what rests, how fast the rest learns, and features that are computed once.

B rows; D features that a head is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..collect.encode import Encoded
from ..finding import Finding
from ..kind import Batch
from ..rng import SampleRandom
from ..task import Task
from ..transfer import load_weights, read_source, within
from .adapters import is_adapted, note_adapters

__all__ = ["LearningPart", "begin", "cache_features", "learning_parts", "resting_modules"]

STAGES = 3  # parts of a backbone, from its input to its head, that learn at rates of their own
FEATURE_BATCH = 256


@dataclass(frozen=True)
class LearningPart:
    """Parameters that learn at a share of the peak rate, from an epoch on."""

    parameters: Sequence[Tensor]
    scale: float = 1.0
    begins: float = 0.0


def begin(task: Task, model: nn.Module) -> list[Finding]:
    """Load the weights that the recipe names into a new network, and say what was loaded."""
    init = task.recipe.transfer.init
    found = task.begin(model) + ([load_weights(model, task.head(model), read_source(init))] if init else [])
    return [*found, note_adapters(task, model)] if init and task.recipe.transfer.name == "adapters" else found


def resting_modules(task: Task, model: nn.Module) -> list[nn.Module]:
    """Modules that stay in evaluation mode. Parameters that are not to learn are switched off."""
    asked = task.recipe.transfer
    if asked.init is None:
        return []
    head = task.head(model)
    backbone = [module for name, module in model.named_modules() if not within(name, head)]
    if asked.name == "features":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(within(name, head))
        parts = {id(model.get_submodule(part)) for part in head}
        return [module for module in backbone if not any(id(child) in parts for child in module.modules())]
    if asked.norm == "frozen" or is_adapted(model):
        return [module for module in backbone if _keeps_statistics(module)]
    return []


def _keeps_statistics(module: nn.Module) -> bool:
    """Whether it is a BatchNorm, of PyTorch or of an imported network: a layer with floating-point buffers."""
    return not list(module.children()) and any(buffer.is_floating_point() for buffer in module.buffers())


def learning_parts(task: Task, model: nn.Module) -> list[LearningPart]:
    """The head at the peak rate, and below it, for `finetune`, stages that learn more slowly and later.

    Of three stages the last learns at `lower` ** (1 / 3) of the rate and the first at `lower`; with `unfreeze=2` the
    last begins with epoch 2, the first with epoch 6 (Howard and Ruder, 2018, section 3.3).
    """
    asked = task.recipe.transfer
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if asked.init is None or asked.name != "finetune":
        return [LearningPart(list(learning.values()))]
    head = task.head(model)
    below = [parameter for name, parameter in learning.items() if not within(name, head)]
    parts = [LearningPart([parameter for name, parameter in learning.items() if within(name, head)])]
    for depth in range(1, STAGES + 1):  # from the head down
        first, last = (len(below) * (STAGES - at) // STAGES for at in (depth, depth - 1))
        parts.append(LearningPart(below[first:last], asked.lower ** (depth / STAGES), asked.unfreeze * depth))
    return [part for part in parts if part.parameters]


def cache_features(
    task: Task, model: nn.Module, encoded: Encoded, splits: Mapping[str, Tensor]
) -> tuple[Task, Encoded] | None:
    """The task on features in place of inputs, where `transfer=features` and the head is what comes last.

    None where it is not: then the backbone runs in every step. The network stays whole; its head alone is called.
    """
    if task.recipe.transfer.init is None or task.recipe.transfer.name != "features":
        return None
    rows = torch.cat([splits["train"], splits["val"]])
    head = task.head(model)
    if len(head) != 1:
        return None
    (path,) = head
    first = _features(task, model, path, encoded.batch(rows[:2]))
    if first is None or not len(rows):
        return None
    num_rows = int(rows.max()) + 1
    if first.given[0].nbytes * num_rows > task.recipe.data.memory_gb * 2**30:
        return None
    held = torch.zeros((num_rows, *first.given.shape[1:]), dtype=first.given.dtype, device=encoded.index_device)
    for batch in encoded.batches(rows, FEATURE_BATCH):
        found = _features(task, model, path, batch)
        if found is None or found.given.shape[1:] != first.given.shape[1:] or found.behind != first.behind:
            return None
        held[batch.index] = found.given.to(held.device)
    return cast(Task, _HeadAlone(task, first)), replace(encoded, inputs={"features": held})


@dataclass(frozen=True)
class _Features:
    """What the head is given, (B, ...), and what becomes of its answer."""

    given: Tensor
    behind: tuple[str, ...]
    """The head, and the modules that run behind it, one upon the other."""
    key: str
    """Of the output that they make."""
    shape: tuple[int, ...]
    """Of a row of it."""


@torch.no_grad()
def _features(task: Task, model: nn.Module, path: str, batch: Batch) -> _Features | None:
    """None where the one output is not made of the head's answer by modules without weights alone."""
    ran: list[tuple[str, Any, Any]] = []

    def note(name: str, _: nn.Module, given: Any, made: Any) -> None:
        ran.append((name, given, made))

    innermost = [(name, module) for name, module in model.named_modules() if name == path or not any(module.children())]
    hooks = [module.register_forward_hook(partial(note, name)) for name, module in innermost]
    was_training = model.training
    model.eval()
    try:
        outputs = task.forward(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    called = [number for number, (name, _, _) in enumerate(ran) if name == path]
    if len(called) != 1 or len(outputs) != 1 or len(ran[called[0]][1]) != 1:
        return None
    ((key, output),) = outputs.items()
    ((features,), answer), behind = ran[called[0]][1:], [path]
    for name, given, made in ran[called[0] + 1 :]:
        if len(given) == 1 and given[0] is answer:
            behind.append(name)
            answer = made
    alike = isinstance(answer, Tensor) and answer.numel() == output.numel() and len(answer) == len(output) == len(batch)
    if not alike or not torch.equal(answer.reshape(output.shape), output) or features.shape[0] != len(batch):
        return None
    return _Features(features.detach().clone(), tuple(behind), key, tuple(output.shape[1:]))


class _HeadAlone:
    """A task, of whose network the head and what is behind it are called on features that were computed once. All else
    is the task's own."""

    def __init__(self, task: Task, features: _Features) -> None:
        self._task, self._features = task, features

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def augment(self, batch: Batch, rng: SampleRandom) -> Batch:
        return batch

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        answer: Tensor = batch.inputs["features"]
        for name in self._features.behind:
            answer = model.get_submodule(name)(answer)
        return {self._features.key: answer.reshape(len(batch), *self._features.shape)}
