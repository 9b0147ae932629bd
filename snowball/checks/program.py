"""Program: what an engineer hands over to be checked, and how it is put back as it was.

The parts are the program's own objects, not copies: its step and its metric may hold on to them in closures. So every
experiment begins with `Program.kept()`, which puts weights, gradients, modes, optimiser, schedule and random states
back when it ends.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ..finding import BadInput, nearest
from .jagged import Jagged
from .nested import row_count, to_device

__all__ = ["KEYS", "Program", "generators_state", "mode_matters", "without_workers"]

KEYS = {
    "model": "nn.Module; called model(inputs), model(*inputs) for a tuple, model(**inputs) for a dict",
    "loss": "callable(outputs, targets) -> scalar tensor",
    "train": "iterable of (inputs, targets) batches, usually a DataLoader",
    "val": "the same, of rows that are held out",
    "optimizer": "torch.optim.Optimizer",
    "scheduler": "a learning rate scheduler",
    "scheduler_step": "'batch' or 'epoch': when the scheduler steps",
    "train_step": "callable(model, batch, optimizer) -> loss: the program's own step",
    "evaluate": "callable(model, loader) -> float, higher is better: the program's own metric",
    "epochs": "int",
    "causal": "True: output t may depend on inputs <= t only (sequence dimension 1)",
}
REQUIRED = ("model", "loss", "train")


def _call(model: Any, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


@dataclass(frozen=True)
class Program:
    """A training program's parts. Build it with `Program.of`, which says what is missing or wrong."""

    model: nn.Module
    loss: Callable[[Any, Any], Tensor]
    train: Iterable[Any]
    val: Iterable[Any] | None = None
    optimizer: torch.optim.Optimizer | None = None
    scheduler: Any = None
    scheduler_step: Literal["batch", "epoch"] = "epoch"
    train_step: Callable[[nn.Module, Any, Any], Any] | None = None
    evaluate: Callable[[nn.Module, Any], float] | None = None
    epochs: int | None = None
    causal: bool = False
    held: tuple[Any, ...] = field(default=(), repr=False)
    """Modules and optimisers that the program's functions hold on to, beside those it handed over."""
    jagged: Jagged | None = None
    """Where the first batch has its words, if they come as one flat list; checks see them as rows of a table."""

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Program:
        """Check what `setup()` returned. Raises BadInput, naming the key.

        >>> Program.of({"model": nn.Linear(1, 1)})
        Traceback (most recent call last):
        snowball.finding.BadInput: setup() gives no 'loss': callable(outputs, targets) -> scalar tensor
        """
        if not isinstance(parts, Mapping):
            raise BadInput(f"setup() returns a dict of {', '.join(KEYS)}, not {type(parts).__name__}")
        for key in parts:
            if key not in KEYS:
                raise BadInput(f"setup() gives {key!r}, which is not known{nearest(str(key), KEYS)}")
        given = {key: value for key, value in parts.items() if value is not None}
        for key in REQUIRED:
            if key not in given:
                raise BadInput(f"setup() gives no {key!r}: {KEYS[key]}")
        if not isinstance(given["model"], nn.Module):
            raise BadInput(f"'model' is {type(given['model']).__name__}, not an nn.Module")
        for key in ("loss", "train_step", "evaluate"):
            if key in given and not callable(given[key]):
                raise BadInput(f"{key!r} is {type(given[key]).__name__}; right would be {KEYS[key]}")
        for key in ("train", "val"):
            if key in given and (not hasattr(given[key], "__iter__") or hasattr(given[key], "__next__")):
                raise BadInput(
                    f"{key!r} is {type(given[key]).__name__}, which cannot be gone through twice: {KEYS[key]}"
                )
        if "optimizer" in given and not isinstance(given["optimizer"], torch.optim.Optimizer):
            raise BadInput(f"'optimizer' is {type(given['optimizer']).__name__}, not a torch.optim.Optimizer")
        if given.get("scheduler_step", "epoch") not in ("batch", "epoch"):
            raise BadInput(f"'scheduler_step' is {given['scheduler_step']!r}; right would be 'batch' or 'epoch'")
        if "scheduler" in given and not hasattr(given["scheduler"], "step"):
            raise BadInput(f"'scheduler' is {type(given['scheduler']).__name__}, which has no step()")
        epochs = given.get("epochs")
        if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1):
            raise BadInput(f"'epochs' is {epochs!r}; right would be a whole number from 1")
        given["causal"] = bool(given.get("causal", False))
        own = (given["model"], given.get("optimizer"), given.get("scheduler"))
        functions = [given[key] for key in ("loss", "train_step", "evaluate") if key in given]
        held = [value for function in functions for value in _held_by(function)]
        given["held"] = tuple({id(value): value for value in held if not any(value is part for part in own)}.values())
        return cls(**given)

    @property
    def device(self) -> torch.device:
        return next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))

    def batches(self, which: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """(inputs, targets) on the model's device. Raises BadInput for a batch of another make."""
        for batch in which:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise BadInput(f"a batch is {_make(batch)}, not (inputs, targets)")
            inputs, targets = to_device(batch[0], self.device), to_device(batch[1], self.device)
            if row_count(inputs) == 0:
                raise BadInput("a batch holds no tensor with rows")
            yield self.opened(inputs), targets

    def opened(self, inputs: Any) -> Any:
        """Inputs of the program's own batches, as checks see them: B rows stand first in every tensor."""
        return self.jagged.padded(inputs) if self.jagged else inputs

    def closed(self, inputs: Any) -> Any:
        """What `opened` was given."""
        return self.jagged.flat(inputs) if self.jagged else inputs

    def outputs(self, inputs: Any) -> Any:
        """The model's outputs for a batch's inputs."""
        return _call(self.model, self.closed(inputs))

    @contextmanager
    def kept(self, seed: int | None = None) -> Iterator[None]:
        """Whatever happens inside, the program is as before when it ends. `seed` sets all random states first."""
        states = [_state(part) for part in (self.model, self.optimizer, self.scheduler, *self.held) if part is not None]
        states += [_state(generator) for generator in _generators(self.train, self.val)]
        states += [_function_state(f) for f in (self.loss, self.train_step, self.evaluate) if f is not None]
        cpu, numpy_state, python = torch.get_rng_state(), np.random.get_state(), random.getstate()
        try:
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed)
                random.seed(seed)
            yield
        finally:
            for put_back in states:
                put_back()
            torch.set_rng_state(cpu)
            np.random.set_state(numpy_state)
            random.setstate(python)


def _make(value: Any) -> str:
    length = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return f"a {type(value).__name__}{length}"


def _held_by(function: Any) -> list[Any]:
    """Modules, optimisers and schedulers in a function's closure, defaults, bound object or partial."""
    inner = getattr(function, "func", None)
    values = [*getattr(function, "args", ()), *(getattr(function, "keywords", None) or {}).values()]
    values += [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _filled(cell)]
    values += list(getattr(function, "__defaults__", None) or ())
    if isinstance(function, nn.Module):
        values.append(function)
    owner = getattr(function, "__self__", None)
    values += [owner, *vars(owner).values()] if hasattr(owner, "__dict__") and not isinstance(owner, type) else []
    kinds = (nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler)
    found = [value for value in values if isinstance(value, kinds)]
    return found + (_held_by(inner) if inner is not None and inner is not function else [])


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that is bound later
        return False


def _generators(*loaders: Any) -> list[Any]:
    """Random generators that a loader, its sampler or its data set keeps."""
    found: list[Any] = []
    for loader in loaders:
        parts = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
        parts.append(getattr(loader, "dataset", None))
        for part in parts:
            for value in getattr(part, "__dict__", {}).values():
                if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
                    found.append(value)
    return list({id(value): value for value in found}.values())


def generators_state(loader: Any, seed: int) -> Callable[[], None]:
    """What sets every generator that a loader keeps to the state that a seed gives."""
    found = _generators(loader)

    def begin() -> None:
        for generator in found:
            if isinstance(generator, torch.Generator):
                generator.manual_seed(seed)
            elif isinstance(generator, np.random.Generator):
                generator.bit_generator.state = type(generator.bit_generator)(seed).state
            else:
                generator.seed(seed)  # of numpy's older kind, and of Python's own

    return begin


def _state(part: Any) -> Callable[[], None]:
    """What puts a part back as it is now."""
    if isinstance(part, nn.Module):
        return _module_state(part)
    if isinstance(part, torch.optim.Optimizer):
        return _optimizer_state(part)
    if isinstance(part, torch.Generator):
        state = part.get_state()
        return lambda: _discard(part.set_state(state))
    if isinstance(part, np.random.Generator):
        bits = copy.deepcopy(part.bit_generator.state)
        return lambda: setattr(part.bit_generator, "state", bits)
    if isinstance(part, np.random.RandomState):
        numpy_state = part.get_state()
        return lambda: part.set_state(numpy_state)
    if isinstance(part, random.Random):
        python = part.getstate()
        return lambda: part.setstate(python)
    kept = {name: copy.deepcopy(value) for name, value in vars(part).items() if _plain(value)}
    return lambda: vars(part).update(copy.deepcopy(kept))


def _discard(_: Any) -> None:
    """For calls whose result nobody needs."""


def _plain(value: Any) -> bool:
    """Numbers, texts and containers of them: what a scheduler counts with."""
    if isinstance(value, dict):
        return all(_plain(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(_plain(part) for part in value)
    return value is None or isinstance(value, int | float | str)


def _module_state(model: nn.Module) -> Callable[[], None]:
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    grads = [(p, None if p.grad is None else p.grad.detach().clone(), p.requires_grad) for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    others = [(module, _attributes(module)) for module in model.modules()]
    loose = _loose_tensors(model)
    loose_values = [tensor.detach().clone() for tensor in loose]

    def put_back() -> None:
        with torch.no_grad():
            for module, held in buffers:
                module._buffers.update(held)
            for tensor, value in zip([*tensors, *loose], [*values, *loose_values], strict=True):
                if tensor.grad_fn is not None and not tensor._is_view():  # a buffer that was changed with a gradient
                    tensor.detach_()
                tensor.copy_(value)
        for parameter, grad, requires in grads:
            parameter.grad = grad
            parameter.requires_grad_(requires)
        for module, found in others:
            for name in set(vars(module)) - set(found):
                del vars(module)[name]
            vars(module).update({name: copy.deepcopy(v) if _plain(v) else v for name, v in found.items()})
        for module, training in modes:
            module.training = training

    return put_back


def _attributes(part: Any) -> dict[str, Any]:
    """An object's attributes: copies of what counts, the same objects otherwise, such as a state kept over batches."""
    return {name: copy.deepcopy(value) if _plain(value) else value for name, value in vars(part).items()}


def _function_state(function: Any) -> Callable[[], None]:
    """What puts back numbers and containers of them that a function keeps: in its closure, on itself or its object."""
    cells = [
        cell for cell in getattr(function, "__closure__", None) or () if _filled(cell) and _plain(cell.cell_contents)
    ]
    kept = [(cell, cell.cell_contents, copy.deepcopy(cell.cell_contents)) for cell in cells]
    owner = getattr(function, "__self__", function)
    own = _attributes(owner) if hasattr(owner, "__dict__") and not isinstance(owner, nn.Module | type) else None

    def put_back() -> None:
        for cell, held, value in kept:
            if isinstance(held, dict):
                held.clear()
                held.update(copy.deepcopy(value))
            elif isinstance(held, list):
                held[:] = copy.deepcopy(value)
            cell.cell_contents = held if isinstance(held, dict | list) else value
        if own is not None:
            vars(owner).update({name: copy.deepcopy(v) if _plain(v) else v for name, v in own.items()})

    return put_back


def _loose_tensors(model: nn.Module) -> list[Tensor]:
    """Tensors and parameters of modules that stand in lists and dicts, where `parameters()` does not see them."""
    seen = {id(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    found = []
    for module in model.modules():
        for value in vars(module).values():
            for part in _parts(value):
                tensors = [*part.parameters(), *part.buffers()] if isinstance(part, nn.Module) else [part]
                found += [tensor for tensor in tensors if id(tensor) not in seen]
    return list({id(tensor): tensor for tensor in found}.values())


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, nn.Module | Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _parts(part)


def _optimizer_state(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    groups = copy.deepcopy(groups)
    members = [list(group["params"]) for group in optimizer.param_groups]
    own_groups = list(optimizer.param_groups)
    state = {key: {name: _copied(value) for name, value in held.items()} for key, held in optimizer.state.items()}
    params = [parameter for group in members for parameter in group]
    values = [(p, p.detach().clone(), None if p.grad is None else p.grad.detach().clone()) for p in params]

    def put_back() -> None:
        optimizer.param_groups[:] = own_groups
        for group, held, parameters in zip(own_groups, groups, members, strict=True):
            group.update(copy.deepcopy(held))
            group["params"] = list(parameters)
        optimizer.state.clear()
        for key, held in state.items():
            optimizer.state[key] = {name: _copied(value) for name, value in held.items()}
        with torch.no_grad():
            for parameter, value, grad in values:
                parameter.copy_(value)
                parameter.grad = grad

    return put_back


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def without_workers(loader: Any) -> Any:
    """The same batches, made in this process: starting workers takes longer than a small experiment."""
    if not isinstance(loader, DataLoader) or loader.num_workers == 0 or loader.batch_sampler is None:
        return loader
    if isinstance(loader.dataset, IterableDataset):  # which may ask which worker it is in
        return loader
    return DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)


def mode_matters(model: nn.Module) -> bool:
    """Whether dropout or batch statistics make training mode another than evaluation mode."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    return any(isinstance(m, kinds) and not (hasattr(m, "p") and m.p == 0) for m in model.modules())
