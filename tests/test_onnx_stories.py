"""What somebody types who brings a network as an ONNX file: `snowball import`, and the verbs behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import snowball as api

SIDE, CLASSES = 12, 4


def write(path: Path) -> None:
    """A small classifier: a convolution, a rectifier, a mean over places, a matrix, softmax."""
    rng = np.random.Generator(np.random.Philox(1))
    shapes = {"k": (5, 3, 3, 3), "b": (5,), "m": (CLASSES, 5), "c": (CLASSES,)}
    tensors = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "m", "c"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["prob"], axis=1),
    ]
    pictures = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    answers = helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", CLASSES])
    graph = helper.make_graph(nodes, "net", [pictures], [answers], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_an_onnx_classifier_is_a_run_like_any_other(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path / "net.onnx")
    done = snowball("import", "net.onnx", "check=onnxruntime", "mean=100,110,120", "std=50", "-o", "run")
    assert [finding["check"] for finding in done["findings"]] == ["import-parity"]
    pixels = np.random.Generator(np.random.Philox(2)).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    x = ((pixels - np.array([100, 110, 120])) / 50).astype(np.float32).transpose(2, 0, 1)[None]
    (shares,) = onnxruntime.InferenceSession("net.onnx").run(None, {"x": x})
    (answer,) = snowball("predict", "run", "a.png")["predictions"]
    assert answer["confidence"] == pytest.approx(float(shares.max()), abs=1e-5)
    snowball("export", "run", "-o", "again.onnx")
    again = snowball("import", "again.onnx", "mean=0", "check=onnxruntime", "-o", "again")
    assert [finding["check"] for finding in again["findings"]] == ["import-parity"]
    (same,) = snowball("predict", "again", "a.png")["predictions"]
    assert same["confidence"] == pytest.approx(answer["confidence"], abs=1e-5)


def test_load_onnx_gives_a_module_that_learns(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx")
    net = api.load_onnx(tmp_path / "net.onnx")
    assert sum(weight.numel() for weight in net.parameters()) == 5 * 27 + 5 + CLASSES * 5 + CLASSES
    net(torch.randn(3, 3, SIDE, SIDE))["prob"][:, 0].sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())
