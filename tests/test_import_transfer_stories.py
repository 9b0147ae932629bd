"""A network that another program trained is trained on with new pictures and other labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from snowball.design.formats import imported_network
from snowball.finding import BadInput
from snowball.run import Run
from snowball.storage import read_tensors
from snowball.training.transfer import cache_features

from . import test_import_stories, test_keras_stories, test_onnx_stories

QUICK = ["train.batch_size=16", "augment.name=none", "optim.lr=0.03"]


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Three classes of pictures, which none of the networks knows."""
    random = np.random.Generator(np.random.Philox(3))
    for label, level in (("dark", 40), ("grey", 120), ("light", 200)):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for number in range(16):
            pixels = random.integers(level - 30, level + 30, (14, 14, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "shades" / label / f"{number}.png")
    return tmp_path / "shades"


def imported(snowball: Any, folder: Path, form: str) -> None:
    """The run `base` of a small network."""
    if form == "caffe":
        test_import_stories.write(folder)
        snowball("import", "net.prototxt", "net.caffemodel", "mean=104,117,123", "scale=0.02", "-o", "base")
    elif form == "keras":
        snowball("import", test_keras_stories.FILES / "classifier.keras", "-o", "base")
    else:
        test_onnx_stories.write(folder / "net.onnx")
        snowball("import", "net.onnx", "mean=104,117,123", "std=50", "-o", "base")


@pytest.mark.parametrize("form", ["caffe", "keras", "onnx"])
def test_an_imported_network_learns_other_labels(snowball: Any, tmp_path: Path, shades: Path, form: str) -> None:
    imported(snowball, tmp_path, form)
    done = snowball("train", shades, "init=base", "transfer.norm=frozen", "epochs=40", "-o", "tuned", *QUICK)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["weights-loaded"]["evidence"]["share"] == 1.0
    assert len(found["weights-loaded"]["evidence"]["mismatched"]) == 2, "the matrix and the bias of a new head"
    base, tuned = (Run(name).schema.columns["image"].state for name in ("base", "tuned"))
    assert base == tuned, "preprocessing travels with the weights"
    assert Run("tuned").recipe.to_dict()["image"].get("order") == Run("base").recipe.to_dict()["image"].get("order")
    assert done["metrics"]["accuracy"] > 0.8
    assert snowball("evaluate", "tuned")["metrics"] == pytest.approx(done["metrics"])
    assert snowball("export", "tuned", "-o", "tuned.onnx")["export"]["rows"] > 0


def test_at_rest_all_but_the_head_stays_what_it_was(snowball: Any, tmp_path: Path, shades: Path) -> None:
    imported(snowball, tmp_path, "onnx")
    done = snowball("train", shades, "init=base", "transfer=features", "epochs=3", "-o", "rested", *QUICK)
    head = {finding["check"]: finding for finding in done["findings"]}["weights-loaded"]["evidence"]["mismatched"]
    before, after = (read_tensors(Path(name, "model.safetensors"))[0] for name in ("base", "rested"))
    assert {name for name, value in after.items() if not torch.equal(value, before[name])} == set(head)


POOLED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "d" type: "Convolution" bottom: "c" top: "d" convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "s" type: "ReLU" bottom: "d" top: "d" }
layer { name: "p" type: "Pooling" bottom: "d" top: "p" pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "p" top: "prob" }
"""


def test_features_are_kept_where_pooling_follows_the_head(
    snowball: Any, tmp_path: Path, shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in SqueezeNet. The same steps as with the backbone in each of them."""
    test_import_stories.write(tmp_path, POOLED)
    snowball("import", "net.prototxt", "net.caffemodel", "mean=104,117,123", "scale=0.02", "-o", "base")
    kept = []

    def cached(*given: Any) -> Any:
        kept.append(cache_features(*given))
        return kept[-1]

    monkeypatch.setattr("snowball.training.train.cache_features", cached)
    keys = ("init=base", "transfer=features", "epochs=3", *QUICK)
    snowball("train", shades, *keys, "-o", "cached")
    snowball("train", shades, *keys, "data.memory_gb=0.000001", "-o", "uncached")
    assert [found is not None for found in kept] == [True, False]
    one, two = (read_tensors(Path(name, "model.safetensors"))[0] for name in ("cached", "uncached"))
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name


def test_pictures_of_another_size_are_a_finding(snowball: Any, tmp_path: Path, shades: Path) -> None:
    imported(snowball, tmp_path, "onnx")
    done = snowball("train", shades, "init=base", "image.size=10", "epochs=1", "-o", "sized", *QUICK)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["preprocessing-mismatch"]["evidence"]["height"] == [10, 12]
    assert Run("sized").schema.columns["image"].state["height"] == 10


def test_what_cannot_answer_otherwise_is_refused_with_one_line(snowball: Any, tmp_path: Path) -> None:
    imported(snowball, tmp_path, "caffe")
    description = dict(Run("base").schema.columns["image"].state["imported"])
    with pytest.raises(BadInput, match="mean picture"):
        imported_network({**description, "mean": [3, 12, 10]}, (3, 20, 20), 4)
    with pytest.raises(BadInput, match="makes 4 numbers"):
        imported_network({**description, "num_classes": 7}, (3, 12, 10), 3)
