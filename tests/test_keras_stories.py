"""What somebody types who brings a network that Keras trained: `snowball import`, and every verb behind it."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import snowball as api
from snowball.deploy.session import OnnxPredictor
from snowball.finding import BadInput
from snowball.run import Run

FILES = Path(__file__).parent / "keras_files"


def reference(name: str = "classifier") -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W, C) uint8, and the shares that Keras gave (N, K)."""
    held = np.load(FILES / f"{name}.npz")
    return held["pixels"], held["answers"]


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_an_imported_network_is_a_run_like_any_other(snowball: Any, tmp_path: Path, form: str) -> None:
    Path("names.txt").write_text("cat\ndog\ncrane\nowl\n")
    done = snowball("import", FILES / f"classifier.{form}", "labels=names.txt", "-o", "run")
    assert [row["type"] for row in done["layers"][:3]] == ["Rescaling", "Conv2D", "BatchNormalization"]
    assert [row["parameters"] for row in done["layers"]] == [0, 168, 24, 0, 0, 0, 148]
    assert [(finding["check"], finding["severity"]) for finding in done["findings"]] == [("pixels-assumed", "note")]
    pixels, shares = reference()
    labels = ["cat", "dog", "crane", "owl"]
    with open("data.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        for number, (picture, share) in enumerate(zip(pixels, shares, strict=True)):
            Image.fromarray(picture).save(f"{number}.png")
            writer.writerow([f"{number}.png", labels[int(share.argmax())]])
    answers = snowball("predict", "run", *(f"{number}.png" for number in range(len(pixels))))["predictions"]
    for answer, share in zip(answers, shares, strict=True):
        assert answer["probabilities"] == {
            name: pytest.approx(float(value), abs=1e-5) for name, value in zip(labels, share, strict=True)
        }
    assert snowball("evaluate", "run", "data.csv")["metrics"]["accuracy"] == 1
    exported = snowball("export", "run", "-o", "net.onnx")["export"]
    assert exported["differences"]["single"] < 1e-3
    (again,) = OnnxPredictor(Path("net.onnx")).predict([Run("run").task().encode_given({"image": pixels[0]})])
    assert again["label"] == answers[0]["label"]


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_simple_cnn_reaches_on_mnist_what_keras_counted(
    snowball: Any, shared: Callable[[str], Path], tmp_path: Path, form: str
) -> None:
    """Keras: 96.64 % of 10,000. Here the first 1,000; benchmarks/importing.py has all."""
    done = snowball("import", FILES / f"simple_cnn.{form}", "scale=0.00392156862745098", "-o", "run")
    assert done["findings"] == []
    (tmp_path / "mnist").mkdir()
    for name, start, row in (("t10k-images-idx3-ubyte", 16, 784), ("t10k-labels-idx1-ubyte", 8, 1)):
        content = gzip.decompress((shared("mnist") / f"{name}.gz").read_bytes())
        head = content[:4] + (1000).to_bytes(4, "big") + content[8:start]
        (tmp_path / "mnist" / name).write_bytes(head + content[start : start + 1000 * row])
    wanted = float(np.load(FILES / "simple_cnn.npz")["correct"][:1000].mean())
    assert snowball("evaluate", "run", "mnist")["metrics"]["accuracy"] == pytest.approx(wanted, abs=1e-9)


def test_what_is_assumed_of_pixels_is_said(snowball: Any) -> None:
    done = snowball("import", FILES / "simple_cnn.keras", "-o", "run")
    (finding,) = done["findings"]
    assert (finding["check"], finding["severity"]) == ("pixels-assumed", "warning") and "0..255" in finding["message"]
    assert "mean=a.npy" in snowball("import", FILES / "simple_cnn.keras", "mean=a.npy", code=2)["error"]
    assert "2 numbers for 1" in snowball("import", FILES / "simple_cnn.keras", "mean=1,2", code=2)["error"]
    assert "the file says 28 x 28" in snowball("import", FILES / "simple_cnn.keras", "image.size=32", code=2)["error"]


def test_a_network_that_is_no_classifier_says_what_works(snowball: Any) -> None:
    error = snowball("import", FILES / "attention.keras", code=2)["error"]
    assert "no task answers with that" in error and "snowball.load_keras(" in error
    assert "2 files" in snowball("import", FILES / "nested.keras", FILES / "nested.h5", code=2)["error"]


def test_a_run_whose_description_is_damaged_is_refused(snowball: Any, tmp_path: Path) -> None:
    snowball("import", FILES / "classifier.keras", "-o", "run")
    (tmp_path / "run" / "manifest.json").unlink()
    path = tmp_path / "run" / "schema.json"
    schema = json.loads(path.read_text())
    description = schema["columns"]["image"]["state"]["imported"]
    for key, value in [
        ("config", {"layers": 3}),
        ("inputs", {}),
        ("version", "x"),
        ("inputs", {"other": [1, 2, 3, 4]}),
    ]:
        schema["columns"]["image"]["state"]["imported"] = description | {key: value}
        path.write_text(json.dumps(schema))
        if (key, value) == ("inputs", {}):
            Run(tmp_path / "run").model()  # the file's own shapes do as well
            continue
        with pytest.raises(BadInput):
            Run(tmp_path / "run").model()


def _written_by_keras_2(path: Path, last: str, units: int) -> tuple[np.ndarray, np.ndarray]:
    """A .h5 as Keras 2.4 spells it: `batch_input_shape`, nodes as lists, weights' names with `:0`."""
    random = np.random.Generator(np.random.Philox(5))
    kernel, bias = random.normal(size=(12, units)).astype("f"), random.normal(size=units).astype("f")
    dense = {"name": "d", "units": units, "activation": last, "use_bias": True, "dtype": "float32", "trainable": True}
    layers = [
        ("InputLayer", {"name": "x", "batch_input_shape": [None, 4, 3], "dtype": "float32", "sparse": False}, []),
        ("Flatten", {"name": "f", "data_format": "channels_last"}, [[["x", 0, 0, {}]]]),
        ("Dense", dense, [[["f", 0, 0, {}]]]),
    ]
    said = [
        {"class_name": kind, "config": config, "name": config["name"], "inbound_nodes": nodes}
        for kind, config, nodes in layers
    ]
    config = {"name": "m", "layers": said, "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.4.0", b"tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"x", b"f", b"d"]
        for name in ("x", "f", "d"):
            group.create_group(name).attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"] if name == "d" else []
        group["d"].create_group("d").create_dataset("kernel:0", data=kernel)
        group["d"]["d"].create_dataset("bias:0", data=bias)
    return kernel, bias


@pytest.mark.parametrize(("last", "units"), [("softmax", 3), ("sigmoid", 1), ("linear", 3)])
def test_a_file_of_keras_2_is_read(snowball: Any, tmp_path: Path, last: str, units: int) -> None:
    kernel, bias = _written_by_keras_2(tmp_path / "old.h5", last, units)
    done = snowball("import", "old.h5", "scale=0.01", "-o", "run")
    assert [finding["check"] for finding in done["findings"]] == (["scores-assumed"] if last == "linear" else [])
    pixels = np.random.Generator(np.random.Philox(6)).integers(0, 256, (4, 3), dtype=np.uint8)
    scores = torch.from_numpy(pixels.reshape(-1).astype("f") * np.float32(0.01) @ kernel + bias)
    wanted = torch.stack((1 - scores[0].sigmoid(), scores[0].sigmoid())) if units == 1 else scores.softmax(0)
    (answer,) = Run("run").predict(pixels)
    found = [answer["probabilities"][str(number)] for number in range(len(wanted))]
    assert found == pytest.approx(wanted.tolist(), abs=1e-5)
    with torch.no_grad():
        ours = api.load_keras("old.h5")(pixels[None] * np.float32(0.01))["d"][0]
    assert ours.tolist() == pytest.approx(
        {"linear": scores, "sigmoid": scores.sigmoid()}.get(last, wanted).tolist(), abs=1e-5
    )
