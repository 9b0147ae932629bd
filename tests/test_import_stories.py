"""What somebody types who brings a network that Caffe trained: `snowball import`, and every verb behind it."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import snowball as api
from snowball.deploy.session import OnnxPredictor
from snowball.finding import BadInput
from snowball.run import Run

from .caffe_files import blob, caffemodel, random_weights

SMALL = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 10
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 5 kernel_size: 3 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "f" top: "prob" }
"""
TRAIN_VAL = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "a" backend: LMDB }
  transform_param { crop_size: 12 scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30 mirror: true } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 5 kernel_size: 3 } }
layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 4 } }
layer { name: "accuracy" type: "Accuracy" bottom: "f" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "loss" }
"""


def write(folder: Path, text: str = SMALL, shapes: Any = None) -> None:
    """net.prototxt and net.caffemodel."""
    (folder / "net.prototxt").write_text(text)
    graph = api.load_caffe(folder / "net.prototxt", shapes=shapes).graph
    (folder / "net.caffemodel").write_bytes(caffemodel(random_weights(graph)))


def picture(seed: int = 0, height: int = 12, width: int = 10) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_an_imported_network_is_a_run_like_any_other(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path)
    Path("names.txt").write_text("'n1 cat'\n'n2 dog'\n'n3 crane'\n'n3 crane'\n")
    done = snowball("import", "net.prototxt", "net.caffemodel", "mean=104,117,123", "labels=names.txt", "-o", "run")
    assert [row["layer"] for row in done["layers"]] == ["c", "r", "f", "prob"]
    assert done["layers"][0] == {"layer": "c", "type": "Convolution", "shapes": [[1, 5, 10, 8]], "parameters": 140}
    shutil.move("net.prototxt", "moved.prototxt")  # the run is understood from its folder alone
    pixels = picture()
    Image.fromarray(pixels).save("a.png")
    (answer,) = snowball("predict", "run", "a.png")["predictions"]
    net = api.load_caffe("moved.prototxt", "net.caffemodel")
    shares = net(
        torch.from_numpy(pixels[:, :, ::-1].copy()).permute(2, 0, 1)[None]
        - torch.tensor([104.0, 117, 123])[:, None, None]
    )
    label = ["n1 cat", "n2 dog", "n3 crane (2)", "n3 crane (3)"][int(shares["prob"].argmax())]
    assert answer["label"] == label and answer["confidence"] == pytest.approx(
        float(shares["prob"].detach().max()), abs=1e-5
    )

    assert "has no data of its own: name it" in snowball("evaluate", "run", code=2)["error"]
    with open("data.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], ["a.png", label]])
    assert snowball("evaluate", "run", "data.csv")["metrics"]["accuracy"] == 1
    (explained,) = snowball("explain", "run", "a.png")["explanations"]
    assert explained["answer"].startswith(label) and len(explained["pieces"]) == 64
    assert "knows no data of its own" in snowball("explain", "run", code=2)["error"]
    assert snowball("shrink", "run", "-o", "small")["findings"][0]["check"] == "shrink-untested"
    smaller = snowball("shrink", "run", "data=data.csv", "-o", "measured")
    assert smaller["metrics"]["accuracy"] == smaller["metrics_before"]["accuracy"] == 1
    assert snowball("predict", "small", "a.png")["predictions"][0]["label"] == label
    Image.fromarray(pixels).save("b.png")
    other = next(name for name in ("n1 cat", "n2 dog") if name != label)
    with open("split.csv", "w", newline="") as file:  # what is no test row may have been learned from
        csv.writer(file).writerows([["image", "label", "split"], ["a.png", label, "test"], ["b.png", other, "train"]])
    assert snowball("evaluate", "run", "split.csv")["metrics"]["accuracy"] == 1
    exported = snowball("export", "run", "-o", "net.onnx")["export"]
    assert exported["rows"] == 16 and exported["metrics"] == {} and exported["differences"]["single"] < 1e-3
    (again,) = OnnxPredictor(Path("net.onnx")).predict([Run("run").task().encode_given({"image": pixels})])
    assert again["label"] == label
    assert "exists already" in snowball("import", "moved.prototxt", "net.caffemodel", "-o", "run", code=2)["error"]


def test_a_file_for_training_says_what_it_does_to_pictures(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path, TRAIN_VAL, {"data": (1, 3, 12, 12)})
    done = snowball("import", "net.prototxt", "net.caffemodel", "image.order=rgb", "image.short_side=14", "-o", "run")
    assert done["verdict"] == "pass"
    run = Run("run")
    state = run.schema.columns["image"].state
    assert (state["height"], state["width"], state["mean"], state["std"]) == (12, 12, [10.0, 20.0, 30.0], [2.0] * 3)
    pixels = picture(1, 14, 20)
    wanted = (pixels[1:13, 4:16].transpose(2, 0, 1)[None] - np.array([10, 20, 30])[:, None, None]) * 0.5
    scores = api.load_caffe("net.prototxt", "net.caffemodel", shapes={"data": (1, 3, 12, 12)})(wanted)["f"].detach()
    (answer,) = run.predict(pixels)
    assert answer["label"] == str(int(scores.argmax()))
    assert answer["confidence"] == pytest.approx(float(scores.softmax(1).max()), abs=1e-5)
    Path("net.prototxt").write_text(TRAIN_VAL.replace("scale: 0.5", "scale: 0"))
    assert "multiplies pixels with 0" in snowball("import", "net.prototxt", "net.caffemodel", code=2)["error"]
    Path("net.prototxt").write_text(TRAIN_VAL.replace("crop_size: 12", 'mean_file: "mean.binaryproto"'))
    assert "image.size=N" in snowball("import", "net.prototxt", "net.caffemodel", code=2)["error"]
    done = snowball("import", "net.prototxt", "net.caffemodel", "image.size=12", "-o", "other")
    assert [finding["check"] for finding in done["findings"]] == ["mean-missing"]


def test_a_mean_picture_is_taken_off_by_its_middle(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path)
    mean = np.random.Generator(np.random.Philox(3)).uniform(0, 255, (1, 3, 16, 12)).astype(np.float32)
    Path("mean.binaryproto").write_bytes(blob(mean, "legacy"))
    done = snowball("import", "net.prototxt", "net.caffemodel", "mean.binaryproto", "scale=0.2", "std=2", "-o", "run")
    assert [found["check"] for found in done["findings"]] == ["mean-picture"]
    pixels = picture(2)
    x = (pixels[:, :, ::-1].transpose(2, 0, 1) - mean[:, :, 2:14, 1:11]) * 0.1
    shares = api.load_caffe("net.prototxt", "net.caffemodel")(x)["prob"].detach()
    (answer,) = Run("run").predict(pixels)
    assert answer["confidence"] == pytest.approx(float(shares.max()), abs=1e-5)
    error = snowball("import", "net.prototxt", "net.caffemodel", "mean.binaryproto", "image.size=20", code=2)["error"]
    assert "f" in error and "makes it" in error  # the last layer fits 12 x 10 only


def test_what_is_wrong_is_said_in_one_line(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path)
    files = "net.prototxt", "net.caffemodel"
    Path("two.txt").write_text("cat\ndog\n")
    for words, wanted in [
        ((), "import what?"),
        (("gone.prototxt", "net.caffemodel"), "gone.prototxt: no such file"),
        (("net.prototxt",), "0 files of the weights"),
        (("two.txt",), "not files of a network that can be read. Known are caffe"),
        ((*files, "labels=two.txt"), "2 lines, the network answers with 4 classes"),
        ((*files, "mean=1,2"), "2 numbers for 3 channels"),
        ((*files, "check=tensorflow"), "for caffe it is one of opencv"),
        ((*files, "std=0"), "std=0.0: finite numbers above 0"),
        *(((*files, f"image.size={said}"), "image.size") for said in ("wide", "[3]", "1.5")),
        ((*files, "image.short_side=8"), "image.short_side=8: the network sees 12 x 10"),
        ((*files, "epcohs=3"), "epcohs"),
        ((files[1], files[1]), "files of the definition"),
    ]:
        assert wanted in snowball("import", *words, code=2)["error"]


def test_a_network_that_is_no_classifier_says_what_works(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path, SMALL.replace('name: "prob" type: "Softmax"', 'name: "prob" type: "Sigmoid"'))
    error = snowball("import", "net.prototxt", "net.caffemodel", code=2)["error"]
    assert "ends in prob, and no task answers with that" in error and 'snowball.load_caffe("net.prototxt"' in error


def test_a_comparison_that_fails_ends_with_1(snowball: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    write(tmp_path)
    done = snowball("import", "net.prototxt", "net.caffemodel", "check=opencv", "-o", "run")
    assert len(done["differences"]) == 4 and done["differences"][-1]["difference"] < 1e-4
    from snowball.design.caffe import opencv

    monkeypatch.setattr(opencv, "relative_difference", lambda ours, theirs: 0.01)
    done = snowball("import", "net.prototxt", "net.caffemodel", "check=opencv", "-o", "other", code=1)
    assert "opencv differs by 1.0e-02 at 'prob'" in done["error"]


def test_a_run_whose_description_is_damaged_is_refused(snowball: Any, tmp_path: Path) -> None:
    write(tmp_path)
    snowball("import", "net.prototxt", "net.caffemodel", "-o", "run")
    (tmp_path / "run" / "manifest.json").unlink()
    path = tmp_path / "run" / "schema.json"
    schema = json.loads(path.read_text())
    description = schema["columns"]["image"]["state"]["imported"]
    for key, value in [("format", "onnx"), ("layers", [{"name": 3}]), ("inputs", {}), ("mean", "x")]:
        schema["columns"]["image"]["state"]["imported"] = description | {key: value}
        path.write_text(json.dumps(schema))
        with pytest.raises(BadInput):
            Run(tmp_path / "run").model()


def test_lenet_reaches_its_accuracy_on_mnist(snowball: Any, shared: Callable[[str], Path], tmp_path: Path) -> None:
    """99.05 % of 10,000; here the first 2,000, see benchmarks/importing.py for all."""
    import gzip

    files = "bvlc/examples/mnist/lenet.prototxt", "lenet-trained/lenet_iter_10000.caffemodel"
    snowball("import", *(shared("caffe") / name for name in files), "scale=0.00390625", "-o", "lenet")
    (tmp_path / "mnist").mkdir()
    for name, start, row in (("t10k-images-idx3-ubyte", 16, 784), ("t10k-labels-idx1-ubyte", 8, 1)):
        content = gzip.decompress((shared("mnist") / f"{name}.gz").read_bytes())
        head = content[:4] + (2000).to_bytes(4, "big") + content[8:start]
        (tmp_path / "mnist" / name).write_bytes(head + content[start : start + 2000 * row])
    assert snowball("evaluate", "lenet", "mnist")["metrics"]["accuracy"] == pytest.approx(0.986, abs=1e-4)


def test_squeezenet_recognises_photographs(snowball: Any, shared: Callable[[str], Path], tmp_path: Path) -> None:
    """62 and 84 of 100 pictures; here every fifth of them, see benchmarks/importing.py for all."""
    folder, sample = shared("caffe") / "squeezenet-deep-compression", shared("imagenet-sample")
    files = folder / "SqueezeNet_deploy.prototxt", folder / "decompressed_SqueezeNet.caffemodel"
    keys = "mean=104,117,123", f"labels={sample / 'synset.txt'}", "image.short_side=256"
    snowball("import", *files, *keys, "-o", "run")
    rows = list(csv.DictReader((sample / "labels.csv").read_text().splitlines()))[::5]
    with tarfile.open(sample / "images.tar") as archive:
        pictures = [archive.extractfile(f"images/{row['file']}").read() for row in rows]
    answers = Run("run").predict(*pictures)
    right = [row["wordnet_id"] for row in rows]
    first = sum(answer["label"].startswith(name) for answer, name in zip(answers, right, strict=True))
    five = sum(
        any(label.startswith(name) for label in a["probabilities"]) for a, name in zip(answers, right, strict=True)
    )
    assert (first, five) == (14, 17)
