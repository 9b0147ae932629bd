"""Every layer on the allow-list answers as Keras itself did: the references are made by tests/keras_files/make.py."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import snowball
from snowball.design.keras.archive import read_archive
from snowball.design.keras.registry import layer_types

FILES = Path(__file__).parent / "keras_files"
ALIKE = 1e-5  # of the largest number of an answer
MADE = [path for path in FILES.glob("*.npz") if "output:" in " ".join(np.load(path).files)]
FAMILIES = sorted(path.stem for path in MADE if not path.stem.endswith(".torch"))
# Keras on PyTorch repeats the edge where padding is uneven; JAX and TensorFlow count what is there.
TORCH_ALONE = {("pooling", "average2d_same")}


@cache
def answers(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the network gives by the name of the branch, and what Keras gave."""
    reference = np.load(FILES / f"{Path(name).stem}.npz")
    inputs = {key.removeprefix("input:"): reference[key] for key in reference.files if key.startswith("input:")}
    theirs = {key.removeprefix("output:"): reference[key] for key in reference.files if key.startswith("output:")}
    with torch.no_grad():
        ours = snowball.load_keras(FILES / name)(**inputs)
    return {key: value.numpy() for key, value in ours.items()}, theirs


BRANCHES = [
    (f"{name}.{form}", key.removeprefix("output:"))
    for name in FAMILIES
    for form in ("keras", "h5")
    for key in np.load(FILES / f"{name}.npz").files
    if key.startswith("output:") and (FILES / f"{name}.{form}").exists()
]


# Older names of a layer that has a reference, which Keras 3 does not write; what stands in every file; and operations,
# of which each has a class of its own.
OLDER = {"BatchNormalizationV1", "BatchNormalizationV2", "InputLayer", "Arithmetic"}


def _types(said: object) -> set[str]:
    """Every class that a file's description names."""
    if isinstance(said, list):
        return set().union(*map(_types, said))
    if not isinstance(said, dict):
        return set()
    named = said.get("class_name")
    return ({named} if isinstance(named, str) else set()).union(*map(_types, said.values()))


def test_every_layer_on_the_list_has_a_reference() -> None:
    there = set().union(*(_types(json.loads(read_archive(FILES / f"{name}.keras").config)) for name in FAMILIES))
    assert set(layer_types()) - OLDER <= there


@pytest.mark.parametrize(("file", "branch"), BRANCHES)
def test_a_layer_answers_as_in_keras(file: str, branch: str) -> None:
    ours, theirs = (found[branch] for found in answers(file))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= ALIKE * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize(
    ("name", "branch"),
    [
        (name, key.removeprefix("output:"))
        for name in FAMILIES
        if (FILES / f"{name}.torch.npz").exists()
        for key in np.load(FILES / f"{name}.torch.npz").files
    ],
)
def test_a_layer_answers_as_keras_on_pytorch_does(name: str, branch: str) -> None:
    ours, theirs = answers(f"{name}.keras")[0][branch], np.load(FILES / f"{name}.torch.npz")[f"output:{branch}"]
    alike = np.abs(ours - theirs).max() <= ALIKE * max(1.0, np.abs(theirs).max())
    assert alike != ((name, branch) in TORCH_ALONE)


def test_trained_networks_answer_as_in_keras_on_pytorch() -> None:
    for name in ("classifier", "simple_cnn"):
        jax, torch_ = (np.load(FILES / f"{name}{backend}.npz") for backend in ("", ".torch"))
        assert np.abs(jax["answers"] - torch_["answers"]).max() <= ALIKE
    assert np.array_equal(jax["correct"], torch_["correct"]), "the same of 10,000 digits"
