"""The verbs as functions: the same words as the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .display import Display
from .finding import Finding
from .run import Run

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from .design.caffe import CaffeNet
    from .design.keras.load import KerasNet
    from .design.onnx import OnnxNet

__all__ = ["audit", "check", "load_caffe", "load_keras", "load_onnx", "train"]

Path_ = str | os.PathLike[str]


def train(
    data: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    *,
    output: Path_ | None = None,
    resume: Path_ | None = None,
    quiet: bool = False,
    **keys: Any,
) -> Run:
    """Train on `data`; returns the run.

    `recipe` holds keys with dots (`{"optim.lr": 1e-3}`), keywords hold those without (`epochs=5`).

    >>> run = train("digits", {"train.epochs": 1}, output="runs/one")  # doctest: +SKIP
    """
    from .training.train import train as train_data

    return train_data(
        None if data is None else str(data),
        {**(recipe or {}), **keys},
        output=None if output is None else Path(output),
        resume=None if resume is None else Path(resume),
        display=Display(quiet=quiet),
    )


def audit(data: str, recipe: Mapping[str, Any] | None = None, **keys: Any) -> list[Finding]:
    """What is wrong with the data, worst first."""
    from .collect.prepare import audit_prepared, prepare

    return audit_prepared(prepare(str(data), {**(recipe or {}), **keys}, Display(quiet=True)))


def check(
    subject: str | nn.Module | Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    loss: Callable[[Any, Any], Tensor] | None = None,
    train: Iterable[Any] | None = None,
    val: Iterable[Any] | None = None,
    optimizer: Optimizer | None = None,
    *,
    recipe: Mapping[str, Any] | None = None,
    **keys: Any,
) -> list[Finding]:
    """What would go wrong in a training, worst first.

    `subject` is data, as in `check("digits", epochs=5)`: what the audit and the pre-flight of such a training find. Or
    it is a program that Snowball did not write: a model with its loss and loaders, what a `setup()` returns, that
    function itself, or `"FILE.py:setup"`; `snowball.checks.KEYS` says what there may be. A program's weights, optimiser
    and random states are afterwards as they were.

    >>> check(model, loss, train_loader, val_loader, optimizer, epochs=5)  # doctest: +SKIP
    """
    if isinstance(subject, str | os.PathLike):
        from .checks.source import is_program, load_setup

        if not is_program(str(subject)):
            from .training.train import check_data

            return check_data(str(subject), {**(recipe or {}), **keys}, Display(quiet=True))
        subject = load_setup(str(subject))
    from torch import nn

    from .checks import check_program

    if isinstance(subject, nn.Module):
        given = {"loss": loss, "train": train, "val": val, "optimizer": optimizer}
        return check_program({"model": subject, **given, **keys}).findings
    return check_program(subject if isinstance(subject, Mapping) else subject()).findings


def load_caffe(
    definition: Path_,
    weights: Path_ | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    phase: str = "TEST",
    stages: Sequence[str] = (),
) -> CaffeNet:
    """A Caffe network from its .prototxt and .caffemodel, as a module; without weights they are random.

    `shapes` says the shapes of inputs where the file does not; `phase` and `stages` choose among its layers.

    >>> net = load_caffe("deploy.prototxt", "net.caffemodel")  # doctest: +SKIP
    >>> net(data)["prob"], net.blobs["conv1"]  # doctest: +SKIP
    """
    from .design.caffe import load_caffe as load

    return load(definition, weights, shapes=shapes, phase=phase, stages=stages)


def load_keras(file: Path_, *, shapes: Mapping[str, Sequence[int]] | None = None) -> KerasNet:
    """A network of Keras from its .keras file, or its .h5 file of a whole model, as a module; without Keras.

    `shapes` says the inputs' shapes, rows first, where the file leaves sides open and layers need to know them.

    >>> net = load_keras("model.keras")  # doctest: +SKIP
    >>> net(torch.zeros(1, 28, 28, 1))["dense"].shape  # doctest: +SKIP
    torch.Size([1, 10])
    """
    from .design.keras.load import load_keras as load

    return load(file, shapes=shapes)


def load_onnx(file: Path_, *, shapes: Mapping[str, Sequence[int]] | None = None) -> OnnxNet:
    """A network from an ONNX file, as a module whose parameters are the file's floating-point tensors.

    `shapes` says the sides of inputs that vary in the file; the number of rows varies in any case.

    >>> net = load_onnx("net.onnx")  # doctest: +SKIP
    >>> net(x)["logits"], net.tensors["relu"]  # doctest: +SKIP
    """
    from .design.onnx import load_onnx as load

    return load(file, shapes=shapes)
