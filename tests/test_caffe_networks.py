"""Whole networks of Caffe: the trained ones and all published definitions, blob by blob against OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import snowball
from snowball.design.caffe.definition import Definition, State, read_definition
from snowball.design.caffe.network import CaffeGraph
from snowball.design.caffe.opencv import compare_with_opencv
from snowball.finding import BadInput

from .caffe_files import caffemodel, random_input, random_weights, write_random

CLOSE = 1e-4
TRAINED = {
    "lenet": ("bvlc/examples/mnist/lenet.prototxt", "lenet-trained/lenet_iter_10000.caffemodel"),
    "cifar10": ("cifar10-quick/cifar10_quick.prototxt", "cifar10-quick/cifar10_quick_iter_5000.caffemodel"),
    "squeezenet": (
        "squeezenet-deep-compression/SqueezeNet_deploy.prototxt",
        "squeezenet-deep-compression/decompressed_SqueezeNet.caffemodel",
    ),
    "det1": ("mtcnn/det1.prototxt", "mtcnn/det1.caffemodel"),
    "det2": ("mtcnn/det2.prototxt", "mtcnn/det2.caffemodel"),
    "det3": ("mtcnn/det3.prototxt", "mtcnn/det3.caffemodel"),
    "qr-detect": ("wechat-qrcode/detect.prototxt", "wechat-qrcode/detect.caffemodel"),
    "qr-sr": ("wechat-qrcode/sr.prototxt", "wechat-qrcode/sr.caffemodel"),
}
UNTRAINED = {  # definition -> the shape of its pictures, where it does not say
    "bvlc/models/bvlc_alexnet/deploy.prototxt": (),
    "bvlc/models/bvlc_reference_caffenet/train_val.prototxt": (1, 3, 227, 227),
    "bvlc/models/bvlc_googlenet/deploy.prototxt": (),
    "bvlc/models/bvlc_googlenet/train_val.prototxt": (1, 3, 224, 224),
    "squeezenet/SqueezeNet_v1.0/train_val.prototxt": (1, 3, 227, 227),
    "squeezenet/SqueezeNet_v1.1/deploy.prototxt": (),
    "bvlc/examples/mnist/lenet_consolidated_solver.prototxt": (1, 1, 28, 28),
    "bvlc/examples/mnist/mnist_autoencoder.prototxt": (1, 1, 28, 28),
    "bvlc/examples/cifar10/cifar10_full_sigmoid_train_test_bn.prototxt": (1, 3, 32, 32),
    "bvlc/examples/cifar10/cifar10_full_train_test.prototxt": (1, 3, 32, 32),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_network_gives_what_opencv_gives(shared: Callable[[str], Path], name: str) -> None:
    pytest.importorskip("cv2")
    folder = shared("caffe")
    definition, weights = (folder / part for part in TRAINED[name])
    net = snowball.load_caffe(definition, weights)
    ((blob, shape),) = net.inputs.items()
    x = random_input((1, *shape[1:]))
    x = x * 60 if name in ("squeezenet", "cifar10") else x.sigmoid() if name == "qr-detect" else x
    found = compare_with_opencv(definition, weights, net.graph, {blob: x})
    assert len(found) == len(net.graph.rows)
    assert max(difference.relative for difference in found) < CLOSE


@pytest.mark.parametrize("name", UNTRAINED)
def test_a_published_definition_gives_what_opencv_gives(
    shared: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("cv2")
    definition = shared("caffe") / name
    known = read_definition(definition, State())
    (blob, own), *_ = known.inputs.items()
    shape = UNTRAINED[name] or (1, *(own or ())[1:])
    weights = write_random(tmp_path / "random.caffemodel", CaffeGraph(known, {blob: shape}))
    net = snowball.load_caffe(definition, weights, shapes={blob: shape})
    found = compare_with_opencv(definition, weights, net.graph, {blob: random_input(shape)})
    assert len(found) > 0.7 * len(net.graph.rows)
    assert max(difference.relative for difference in found) < CLOSE


def test_every_published_file_is_read_or_is_a_solver(shared: Callable[[str], Path]) -> None:
    solvers = 0
    for path in sorted(shared("caffe").rglob("*.prototxt")):
        try:
            known = read_definition(path, State())
        except BadInput as error:
            assert "a solver's settings" in str(error)
            solvers += 1
            continue
        (blob, own), *_ = known.inputs.items()
        side = 28 if "mnist" in path.parts or "lenet-trained" in path.parts else 32 if "cifar10" in path.parts else 227
        graph = CaffeGraph(known, {} if own else {blob: (2, 1 if side == 28 else 3, side, side)})
        again = Definition.from_json(graph.definition.to_json())
        assert again.layers == known.layers, "what a run keeps of it is all of it"
    assert solvers == 24


def test_a_detector_finds_the_codes_that_are_drawn(shared: Callable[[str], Path]) -> None:
    cv2 = pytest.importorskip("cv2")
    folder = shared("caffe") / "wechat-qrcode"
    net = snowball.load_caffe(folder / "detect.prototxt", folder / "detect.caffemodel")
    page = np.full((384, 384), 255, np.uint8)
    code = cv2.resize(cv2.QRCodeEncoder.create().encode("snowball"), (120, 120), interpolation=cv2.INTER_NEAREST)
    page[100:220, 150:270] = code
    found = net(torch.from_numpy(page / 255)[None, None])["detection_output"]
    assert found.shape == (1, 1, 1, 7)
    row, label, score, *box = found.flatten().tolist()
    assert (row, label) == (0, 1) and score > 0.99
    np.testing.assert_allclose(np.array(box) * 384, [150, 100, 270, 220], atol=20)


def test_old_generations_are_the_same_network(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """`layers`, of the second generation and the first, with the same weights in each one's own form."""
    now = """input: "x" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
          convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
        layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
        layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
        layer { name: "f" type: "InnerProduct" bottom: "p" top: "f" inner_product_param { num_output: 2 } }"""
    second = """input: "x" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
        layers { name: "c" type: CONVOLUTION blobs_lr: 1 blobs_lr: 2 weight_decay: 1 bottom: "x" top: "c"
          convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
        layers { name: "r" type: RELU bottom: "c" top: "c" }
        layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
        layers { name: "f" type: INNER_PRODUCT bottom: "p" top: "f" inner_product_param { num_output: 2 } }"""
    first = """input: "x" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
        layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "x" top: "padded" }
        layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 blobs_lr: 1. } bottom: "padded" top: "c" }
        layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }
        layers { layer { name: "p" type: "pool" kernelsize: 2 stride: 2 pool: MAX } bottom: "c" top: "p" }
        layers { layer { name: "f" type: "innerproduct" num_output: 2 } bottom: "p" top: "f" }"""
    files = [tmp_path / f"{number}.prototxt" for number in range(3)]
    for path, text in zip(files, (first, second, now), strict=True):
        path.write_text(text)
    weights = random_weights(snowball.load_caffe(files[2]).graph)
    wanted = None
    for generation, form in ((2, "packed"), (2, "single"), (2, "double"), (1, "legacy"), (0, "legacy")):
        (tmp_path / "w.caffemodel").write_bytes(caffemodel(weights, generation, form))
        found = snowball.load_caffe(files[generation], tmp_path / "w.caffemodel")(random_input((1, 3, 9, 9)))["f"]
        wanted = found if wanted is None else wanted
        torch.testing.assert_close(found, wanted)


def test_rows_blobs_and_inputs_by_name(shared: Callable[[str], Path]) -> None:
    definition, weights = (shared("caffe") / part for part in TRAINED["lenet"])
    net = snowball.load_caffe(definition, weights)
    data = np.zeros((3, 1, 28, 28), np.uint8)
    assert net(data)["prob"].shape == net(data=data)["prob"].shape == (3, 10), (
        "any number of rows, whatever the file says"
    )
    assert net.blobs["conv1"].shape == (3, 20, 24, 24) and bool((net.blobs["ip1"] >= 0).all()), "as it is at the end"
    with pytest.raises(BadInput, match="the inputs are data"):
        net(image=data)


def test_rules_choose_layers(tmp_path: Path) -> None:
    rules = {
        "always": "",
        "train": "include { phase: TRAIN }",
        "test": "include { phase: TEST }",
        "either": "include { phase: TRAIN stage: 'a' } include { phase: TEST }",
        "not-b": "exclude { stage: 'b' }",
        "level": "include { min_level: 1 }",
        "without": "include { not_stage: 'a' }",
    }
    layers = (
        f'layer {{ name: "{name}" type: "ReLU" bottom: "x" top: "{name}" {said} }}' for name, said in rules.items()
    )
    (tmp_path / "net.prototxt").write_text('input: "x" input_dim: [1, 1, 2, 2]\n' + "\n".join(layers))

    def chosen(state: State) -> set[str]:
        return {layer.name for layer in read_definition(tmp_path / "net.prototxt", state).layers}

    assert chosen(State()) == {"always", "test", "either", "not-b", "without"}
    assert chosen(State("TRAIN", 1, ("a",))) == {"always", "train", "either", "not-b", "level"}
    assert chosen(State("TRAIN", 0, ("b",))) == {"always", "train", "without"}


def test_text_form_in_all_its_ways(tmp_path: Path) -> None:
    """Lists, angle brackets, semicolons, comments, escapes, hexadecimal numbers, and a value said twice."""
    (tmp_path / "net.prototxt").write_text(
        "input: 'x'  # a comment with \"quotes\" {\ninput_shape: < dim: [1, 0x3, 010, 8] >;\n"
        'layer: { name: "c\\x6fnv\\n", type: "Convolution"; bottom: "x" top: "y" convolution_param: { num_output: 7'
        " num_output: 2, kernel_size: 3 weight_filler < type: 'msra' variance_norm: AVERAGE > } }"
    )
    graph = snowball.load_caffe(tmp_path / "net.prototxt").graph
    assert graph.inputs == {"x": (1, 3, 8, 8)}
    assert (graph.rows[0].name, graph.rows[0].shapes) == ("conv\n", ((1, 2, 6, 6),))
