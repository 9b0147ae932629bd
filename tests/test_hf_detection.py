"""D-FINE of transformers, tiny and with random weights, from a folder: learned from, exported and answered alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import snowball
from snowball.cli import main
from snowball.deploy.session import OnnxPredictor
from snowball.design.hf_detection import HFDetector
from snowball.kinds._box_loss import set_loss

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    backbone = transformers.HGNetV2Config(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1, 1, 1, 1],
        out_indices=[2, 3, 4],
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
    )
    config = transformers.DFineConfig(
        backbone_config=backbone,
        d_model=32,
        encoder_hidden_dim=32,
        encoder_in_channels=[16, 16, 16],
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_in_channels=[32, 32, 32],
        decoder_n_points=2,
        num_queries=12,
        num_labels=2,
        freeze_backbone_batch_norms=False,
    )
    network = transformers.DFineForObjectDetection(config)
    folder = tmp_path_factory.mktemp("dfine")
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark squares on grey, in YOLO's form."""
    root = tmp_path_factory.mktemp("squares")
    for name in ("images", "labels"):
        (root / name).mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        pixels = random.integers(100, 140, (64, 80, 3), dtype=np.uint8)
        x, y, kind = int(random.integers(0, 56)), int(random.integers(0, 40)), number % 2
        pixels[y : y + 24, x : x + 24] = 255 * kind
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        line = f"{kind} {(x + 12) / 80} {(y + 12) / 64} {24 / 80} {24 / 64}\n"
        (root / "labels" / f"{number}.txt").write_text(line)
    (root / "data.yaml").write_text("names: [dark, bright]\n")
    return root


def test_it_learns_and_its_file_answers_alike(tiny: Path, squares: Path, tmp_path: Path) -> None:
    words = [str(squares), f"model=hf:{tiny}", "epochs=3", "batch_size=4", "optim.lr=0.003", "train.preflight=false"]
    assert main(["train", *words, "-o", str(tmp_path / "run")]) == 0
    run = snowball.Run(tmp_path / "run")
    losses = [row["loss"] for row in run.log() if row["event"] == "epoch"]
    assert losses[-1] < 0.8 * losses[0]
    assert run.schema.columns["image"].state["config"]["model_type"] == "d_fine"
    run.export(tmp_path / "model.onnx")  # refused where the boxes differ
    model, task = run.model(), run.task()
    onnx = OnnxPredictor(tmp_path / "model.onnx")
    given = [np.asarray(Image.open(squares / "images" / f"{number}.png")) for number in range(3)]
    inputs = torch.stack([task.kinds["image"].encode(value) for value in given])
    with torch.no_grad():
        expected = {name: value.numpy() for name, value in task.predict(model, {"image": inputs}).items()}
    assert float(expected["scores"].max()) > 0.05, "nothing is said with a score that is compared"
    assert task.answer_kind.difference(expected, onnx.run([inputs.numpy()])) < 1e-3


def test_sides_that_are_no_multiple_of_the_stride_are_padded_out_of_the_answer(tiny: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(tiny).to_dict()
    model = HFDetector(config, 2).eval()
    image = torch.randint(0, 256, (1, 3, 64, 80)).float()
    whole = torch.nn.functional.pad(image, (0, 16, 0, 0))
    with torch.no_grad():
        boxes, padded = model(image)["boxes"], model(whole)["boxes"]
    assert torch.allclose(boxes[..., 1::2], padded[..., 1::2], atol=1e-5)
    assert torch.allclose(boxes[..., ::2] * 80, padded[..., ::2] * 96, atol=1e-3)


def test_a_set_is_matched_whatever_its_order() -> None:
    torch.manual_seed(0)
    target = torch.tensor([[[0.0, 0.1, 0.1, 0.3, 0.4], [1.0, 0.5, 0.5, 0.9, 0.8], [-1.0, 0, 0, 0, 0]]])
    logits = torch.tensor([[[8.0, -8], [-8, 8], [-8, -8]]])
    boxes = torch.tensor([[[0.1, 0.1, 0.3, 0.4], [0.5, 0.5, 0.9, 0.8], [0.0, 0.0, 0.2, 0.2]]])
    right = set_loss({"logits": logits, "boxes": boxes}, target)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(right, set_loss({"logits": logits[:, order], "boxes": boxes[:, order]}, target))
    assert float(right) < 0.05
    assert float(set_loss({"logits": logits.flip(2), "boxes": boxes}, target)) > 5
