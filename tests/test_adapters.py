"""Adapters: little learns, what is kept is an ordinary network, and a stopped training goes on to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from snowball.display import Display
from snowball.run import Run
from snowball.storage import read_tensors
from snowball.training.adapters import adapt, merged
from snowball.training.train import Interrupted, train

from .test_transfer import Stopper, checkpoint

SMALL = ("model=transformer", "network.width=16", "network.layers=1", "network.heads=2", "preflight=false")


@pytest.fixture
def texts(snowball: Any) -> None:
    """A run on moods, and a table of sizes."""
    if Path("moods").exists():
        return
    for name, sides in (("moods", ("glad", "sad")), ("sizes", ("big", "small"))):
        rows = ["text,label", *(f"a {side} word {number},{side}" for number in range(40) for side in sides)]
        Path(f"{name}.csv").write_text("\n".join(rows))
    snowball("train", "moods.csv", "-o", "moods", "epochs=2", *SMALL)


def tensors(run: str) -> dict[str, torch.Tensor]:
    return read_tensors(Path(run, "model.safetensors"))[0]


def test_adapters_learn_and_are_merged(snowball: Any, texts: None) -> None:
    keys = ("transfer=adapters", "transfer.rank=2", "optim.lr=0.01", "epochs=8", "preflight=true")
    done = snowball("train", "sizes.csv", "init=moods", *keys, "-o", "adapted")
    said = next(finding for finding in done["findings"] if finding["check"] == "adapters")
    width, hidden = 16, tensors("moods")["body.encoder.blocks.0.up.weight"].shape[0]
    assert said["evidence"]["adapters"] == 2 * ((width + 3 * width) + 2 * width + 2 * (width + hidden))
    before, after = tensors("moods"), tensors("adapted")
    assert before.keys() == after.keys(), "an ordinary network"
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    head = {name for name in after if name.startswith("head") or name.startswith("out")}
    assert changed - head == {
        f"body.encoder.blocks.0.{name}.weight" for name in ("attention.qkv", "attention.out", "up", "down")
    }
    for name in changed - head:
        assert torch.linalg.matrix_rank(after[name] - before[name], atol=1e-5) <= 2
    assert snowball("evaluate", "adapted")["metrics"] == pytest.approx(done["metrics"])
    assert snowball("export", "adapted", "-o", "adapted.onnx")["export"]["rows"] > 0


def test_a_network_begins_as_it_was_and_merges_to_what_it_computes(texts: None) -> None:
    run = Run("moods")
    task = run.task_type(run.recipe.replace({"transfer.init": "moods", "transfer.name": "adapters"}), run.schema)
    model, tokens = run.model().eval(), torch.randint(1, 20, (3, 4))
    before = model(text=tokens)["logits"]
    adapt(task, model)
    assert torch.equal(model(text=tokens)["logits"], before)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not any(name.endswith("original") for name in learning)
    for name, parameter in model.named_parameters():
        if name.endswith(".b"):
            nn.init.normal_(parameter)
    moved, whole = model(text=tokens)["logits"], run.model().eval()
    whole.load_state_dict(merged(model))
    assert not torch.allclose(moved, before) and torch.allclose(whole(text=tokens)["logits"], moved, atol=1e-6)


def test_a_stopped_training_of_adapters_goes_on_to_the_same_bits(texts: None) -> None:
    keys = {"init": "moods", "transfer": "adapters", "epochs": 3, "preflight": False, "train.ema": 0.9}
    train("sizes.csv", keys, output=Path("whole"), display=Display(quiet=True))
    with pytest.raises(Interrupted):
        train("sizes.csv", keys, output=Path("stopped"), display=Stopper())
    train(None, {}, resume=Path("stopped"), display=Display(quiet=True))
    for name in ("model.safetensors", "last"):
        whole, resumed = (checkpoint(Path(run, name)) for run in ("whole", "stopped"))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


def test_a_timm_vit_takes_adapters_and_a_convolutional_network_none(snowball: Any, tmp_path: Path) -> None:
    random = np.random.Generator(np.random.Philox(3))
    for label, level in (("dark", 40), ("light", 200)):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(level - 30, level + 30, (14, 14, 1)).astype(np.uint8)
            Image.fromarray(pixels[:, :, 0]).save(tmp_path / "shades" / label / f"{number}.png")
    keys = ("epochs=1", "preflight=false", "train.steps=1", "image.size=14")
    snowball("train", tmp_path / "shades", "model=vit_tiny", *keys, "-o", "vit")
    done = snowball("train", tmp_path / "shades", "init=vit", "transfer=adapters", *keys, "-o", "small")
    said = next(finding for finding in done["findings"] if finding["check"] == "adapters")["evidence"]
    assert said["matrices"] == 48 and said["adapters"] + said["head"] < 0.07 * said["parameters"]
    snowball("train", tmp_path / "shades", "model=simple_cnn", *keys, "-o", "cnn")
    words = ("train", tmp_path / "shades", "init=cnn", "transfer=adapters", "model=small_cnn", "-o", "none")
    error = snowball(*words, *keys, code=2)["error"]
    assert "no matrices below its head" in error and "\n" not in error and not Path("none").exists()
