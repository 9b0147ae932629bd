"""Every layer of Caffe against OpenCV's reader, or, where it has none, against the formula written out with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from snowball.design.caffe import CaffeNet, load_caffe
from snowball.design.caffe.opencv import compare_with_opencv
from snowball.finding import BadInput

from .caffe_files import caffemodel, random_input, random_weights, write_random

CLOSE = 1e-4


def inputs(**shapes: Sequence[int]) -> str:
    return "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {side}" for side in shape)} }}\n'
        for name, shape in shapes.items()
    )


def one(kind: str, parameters: str = "", bottoms: Sequence[str] = ("x",), tops: Sequence[str] = ("y",)) -> str:
    ends = " ".join([*(f'bottom: "{name}"' for name in bottoms), *(f'top: "{name}"' for name in tops)])
    return f'layer {{ name: "{tops[0]}" type: "{kind}" {ends} {parameters} }}\n'


def build(folder: Path, text: str) -> tuple[CaffeNet, Path, Path]:
    definition = folder / "net.prototxt"
    definition.write_text(text)
    weights = write_random(folder / "net.caffemodel", load_caffe(definition).graph)
    return load_caffe(definition, weights), definition, weights


PICTURE = (2, 6, 13, 11)
LIKE_OPENCV = {
    "convolution": ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 }"),
    "groups": ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 group: 3 bias_term: false }"),
    "dilation": ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 2 dilation: 2 }"),
    "both sides": (
        "Convolution",
        "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2 }",
    ),
    "deconvolution": ("Deconvolution", "convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 }"),
    "deconvolution in groups": (
        "Deconvolution",
        "convolution_param { num_output: 6 kernel_size: 3 stride: 2 group: 6 bias_term: false }",
    ),
    "maximum": ("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"),
    "maximum, padded": ("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"),
    "maximum, rounded down": ("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 ceil_mode: false }"),
    "average": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"),
    "average, padded": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"),
    "average of all": ("Pooling", "pooling_param { pool: AVE global_pooling: true }"),
    "maximum of all": ("Pooling", "pooling_param { pool: MAX global_pooling: true }"),
    "inner product": ("InnerProduct", "inner_product_param { num_output: 5 }"),
    "lrn": ("LRN", "lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 }"),
    "lrn within": ("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 norm_region: WITHIN_CHANNEL }"),
    "relu": ("ReLU", ""),
    "leaky relu": ("ReLU", "relu_param { negative_slope: 0.1 }"),
    "prelu": ("PReLU", ""),
    "elu": ("ELU", ""),
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "power": ("Power", "power_param { power: 2 scale: 0.5 shift: 0.25 }"),
    "linear power": ("Power", "power_param { scale: 2 shift: -1 }"),
    "exp": ("Exp", "exp_param { base: 2 scale: 0.5 shift: 0.25 }"),
    "absval": ("AbsVal", ""),
    "bnll": ("BNLL", ""),
    "batch norm": ("BatchNorm", "batch_norm_param { eps: 0.001 }"),
    "scale": ("Scale", "scale_param { bias_term: true }"),
    "flatten": ("Flatten", ""),
    "flatten from 2": ("Flatten", "flatten_param { axis: 2 }"),
    "reshape": ("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 11 } }"),
    "permute": ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    "softmax": ("Softmax", ""),
    "softmax over 2": ("Softmax", "softmax_param { axis: 2 }"),
    "dropout": ("Dropout", ""),
    "normalize": ("Normalize", "norm_param { across_spatial: false channel_shared: false }"),
    "interp": ("Interp", "interp_param { zoom_factor: 2 }"),
    "interp to": ("Interp", "interp_param { height: 7 width: 30 }"),
    "shuffle": ("ShuffleChannel", "shuffle_channel_param { group: 3 }"),
    "mvn": ("MVN", ""),
}


@pytest.mark.parametrize("name", LIKE_OPENCV)
def test_a_layer_gives_what_opencv_gives(tmp_path: Path, name: str) -> None:
    pytest.importorskip("cv2")
    kind, parameters = LIKE_OPENCV[name]
    net, definition, weights = build(tmp_path, inputs(x=PICTURE) + one(kind, parameters))
    (found,) = compare_with_opencv(definition, weights, net.graph, {"x": random_input(PICTURE)})
    assert found.relative < CLOSE


PAIR = {
    "sum": ("Eltwise", "eltwise_param { operation: SUM coeff: 1 coeff: -0.5 }"),
    "product": ("Eltwise", "eltwise_param { operation: PROD }"),
    "maximum": ("Eltwise", "eltwise_param { operation: MAX }"),
    "concat": ("Concat", ""),
    "concat along 3": ("Concat", "concat_param { axis: 3 }"),
}


@pytest.mark.parametrize("name", PAIR)
def test_two_bottoms(tmp_path: Path, name: str) -> None:
    pytest.importorskip("cv2")
    net, definition, weights = build(tmp_path, inputs(x=PICTURE, z=PICTURE) + one(*PAIR[name], ("x", "z")))
    given = {"x": random_input(PICTURE, 1), "z": random_input(PICTURE, 2)}
    (found,) = compare_with_opencv(definition, weights, net.graph, given)
    assert found.relative < CLOSE


def test_crop_cuts_at_its_offset(tmp_path: Path) -> None:
    text = inputs(x=(1, 2, 9, 8), z=(1, 2, 4, 5)) + one(
        "Crop", "crop_param { axis: 2 offset: 3 offset: 1 }", ("x", "z")
    )
    net, definition, weights = build(tmp_path, text)
    x = random_input((1, 2, 9, 8))
    assert torch.equal(net(x, torch.zeros(1, 2, 4, 5))["y"], x[:, :, 3:7, 1:6])
    pytest.importorskip("cv2")
    (found,) = compare_with_opencv(definition, weights, net.graph, {"x": x, "z": torch.zeros(1, 2, 4, 5)})
    assert found.relative == 0


def test_boxes_of_a_single_shot_detector(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    prior = (
        "min_size: 8 max_size: 16 aspect_ratio: 2 aspect_ratio: 3 flip: true clip: false variance: 0.1 "
        "variance: 0.1 variance: 0.2 variance: 0.2 step: 8"
    )
    boxes = 6 * 5 * 4
    text = inputs(x=(1, 2, 5, 4), z=(1, 3, 40, 32), places=(1, boxes * 4), scores=(1, boxes * 3))
    text += (
        f'layer {{ name: "prior" type: "PriorBox" bottom: "x" bottom: "z" top: "prior" prior_box_param {{ {prior} }} }}'
    )
    text += one(
        "DetectionOutput",
        "detection_output_param { num_classes: 3 share_location: true background_label_id: 0 nms_param { "
        "nms_threshold: 0.45 top_k: 50 } code_type: CENTER_SIZE"
        " keep_top_k: 30 confidence_threshold: 0.3 }",
        ("places", "scores", "prior"),
    )
    net, definition, weights = build(tmp_path, text)
    given = {
        "x": torch.zeros(1, 2, 5, 4),
        "z": torch.zeros(1, 3, 40, 32),
        "places": random_input((1, boxes * 4)),
        "scores": random_input((1, boxes * 3), 3).view(1, boxes, 3).mul(2).softmax(2).view(1, -1),
    }
    prior_found, output_found = compare_with_opencv(definition, weights, net.graph, given)
    assert prior_found.relative < CLOSE and output_found.relative < CLOSE
    assert net(**given)["y"].shape == (1, 1, 30, 7)


def test_an_lstm_forgets_where_a_sequence_begins(tmp_path: Path) -> None:
    text = inputs(x=(5, 2, 3), cont=(5, 2)) + one("LSTM", "recurrent_param { num_output: 4 }", ("x", "cont"))
    net, _, _ = build(tmp_path, text)
    x = random_input((5, 2, 3))
    weight_x, bias, weight_h = (blob.detach().double().numpy() for blob in net.graph.layers[0][1].parameters())
    state, cell = np.zeros((2, 4)), np.zeros((2, 4))
    wanted = []

    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    goes_on = np.array([[0, 0], [1, 1], [1, 0], [1, 1], [1, 1]])
    for step, cont in zip(x.double().numpy(), goes_on, strict=True):
        gates = step @ weight_x.T + bias + (state * cont[:, None]) @ weight_h.T
        enter, forget, leave, new = np.split(gates, 4, axis=1)
        cell = cont[:, None] * sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        state = sigmoid(leave) * np.tanh(cell)
        wanted.append(state)
    np.testing.assert_allclose(net(x, goes_on)["y"].detach().numpy(), np.stack(wanted), atol=1e-5)


def test_an_rnn_forgets_where_a_sequence_begins(tmp_path: Path) -> None:
    text = inputs(x=(4, 1, 3), cont=(4, 1)) + one("RNN", "recurrent_param { num_output: 2 }", ("x", "cont"))
    net, _, _ = build(tmp_path, text)
    x = random_input((4, 1, 3))
    weight_x, bias_h, weight_h, weight_o, bias_o = (blob.detach() for blob in net.graph.layers[0][1].parameters())
    cont = torch.tensor([[0.0], [1], [0], [1]])
    state = torch.zeros(1, 2)
    for step in range(4):
        state = torch.tanh(x[step] @ weight_x.T + bias_h + (state * cont[step]) @ weight_h.T)
        wanted = torch.tanh(state @ weight_o.T + bias_o)
        torch.testing.assert_close(net(x, cont)["y"][step], wanted)


X = random_input((2, 3, 4, 5))
ONES = torch.ones(1, 1, 3)
FORMULAS: dict[str, tuple[str, str, Callable[[Tensor], Tensor]]] = {
    "exp of e": ("Exp", "exp_param { scale: 0.5 }", lambda x: torch.exp(0.5 * x)),
    "log": ("Log", "log_param { base: 10 scale: 0.1 shift: 3 }", lambda x: torch.log10(0.1 * x + 3)),
    "threshold": ("Threshold", "threshold_param { threshold: 0.2 }", lambda x: (x > 0.2).float()),
    "clip": ("Clip", "clip_param { min: -0.5 max: 0.5 }", lambda x: x.clamp(-0.5, 0.5)),
    "swish": ("Swish", "swish_param { beta: 2 }", lambda x: x * torch.sigmoid(2 * x)),
    "sum": ("Reduction", "reduction_param { operation: SUM axis: 2 coeff: 2 }", lambda x: 2 * x.sum((2, 3))),
    "magnitudes": ("Reduction", "reduction_param { operation: ASUM axis: 1 }", lambda x: x.abs().sum((1, 2, 3))),
    "squares": ("Reduction", "reduction_param { operation: SUMSQ }", lambda x: x.square().sum()),
    "mean": ("Reduction", "reduction_param { operation: MEAN axis: -1 }", lambda x: x.mean(-1)),
    "lrn with a bias": (
        "LRN",
        "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }",
        lambda x: (
            x
            / (
                2
                + 0.5
                / 3
                * torch.conv1d((x * x).transpose(1, 3).flatten(0, 2)[:, None], ONES, padding=1)
                .view(2, 5, 4, 3)
                .transpose(1, 3)
            )
            ** 0.75
        ),
    ),
    "tile": ("Tile", "tile_param { axis: 1 tiles: 2 }", lambda x: torch.cat([x, x], 1)),
    "argmax": ("ArgMax", "", lambda x: x.flatten(1).argmax(1).float()[:, None, None]),
    "argmax along 1": ("ArgMax", "argmax_param { axis: 1 }", lambda x: x.argmax(1, keepdim=True).float()),
    "argmax with values": (
        "ArgMax",
        "argmax_param { out_max_val: true top_k: 2 }",
        lambda x: torch.stack([x.flatten(1).topk(2).indices.float(), x.flatten(1).topk(2).values], 1),
    ),
    "upsample": (
        "Upsample",
        "upsample_param { scale: 2 }",
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    ),
    "reshape in the middle": (
        "Reshape",
        "reshape_param { shape { dim: 2 dim: -1 } axis: 2 num_axes: 1 }",
        lambda x: x.reshape(2, 3, 2, 2, 5),
    ),
    "stochastic": (
        "Pooling",
        "pooling_param { pool: STOCHASTIC kernel_size: 4 }",
        lambda x: (x**2).unfold(3, 4, 1).sum((2, 4))[:, :, None] / x.unfold(3, 4, 1).sum((2, 4))[:, :, None],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_layer_is_its_formula(tmp_path: Path, name: str) -> None:
    kind, parameters, formula = FORMULAS[name]
    net, _, _ = build(tmp_path, inputs(x=(2, 3, 4, 5)) + one(kind, parameters))
    x = X.abs() if name == "stochastic" else X
    torch.testing.assert_close(net(x)["y"], formula(x))


def test_slices_and_splits_and_masks(tmp_path: Path) -> None:
    text = inputs(x=(2, 5, 4, 4)) + one("Slice", "slice_param { slice_point: 1 slice_point: 3 }", tops=("a", "b", "c"))
    net, _, _ = build(tmp_path, text + one("Split", bottoms=("a",), tops=("d", "e")))
    x = random_input((2, 5, 4, 4))
    net(x)
    for name, part in {"a": x[:, :1], "b": x[:, 1:3], "c": x[:, 3:], "d": x[:, :1], "e": x[:, :1]}.items():
        assert torch.equal(net.blobs[name], part)
    pool = one("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", tops=("y", "mask"))
    up = one("Upsample", bottoms=("y", "mask"), tops=("z",))
    net, _, _ = build(tmp_path, inputs(x=(1, 2, 4, 4)) + pool + up)
    found = net(random_input((1, 2, 4, 4)))["z"]
    assert torch.equal(found[found != 0].sort().values, net.blobs["y"].flatten().sort().values)


def test_embeddings_and_biases_and_scales_by_a_blob(tmp_path: Path) -> None:
    net, _, _ = build(tmp_path, inputs(x=(2, 3)) + one("Embed", "embed_param { input_dim: 7 num_output: 4 }"))
    weight, bias = net.graph.layers[0][1].parameters()
    words = torch.tensor([[0, 1, 6], [2, 2, 5]])
    assert torch.equal(net(words)["y"], weight[words] + bias)
    net, _, _ = build(tmp_path, inputs(x=(2, 3, 4, 4), z=(2, 3)) + one("Scale", "scale_param { axis: 0 }", ("x", "z")))
    x, z = random_input((2, 3, 4, 4)), random_input((2, 3), 1)
    torch.testing.assert_close(net(x, z)["y"], x * z[:, :, None, None])
    net, _, _ = build(tmp_path, inputs(x=(2, 3, 4, 4)) + one("Bias"))
    (bias,) = net.graph.layers[0][1].parameters()
    torch.testing.assert_close(net(x)["y"], x + bias[:, None, None])


def test_pooled_regions_are_those_of_the_definition(tmp_path: Path) -> None:
    text = inputs(x=(1, 2, 8, 8), rois=(2, 5))
    text += one("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 }", ("x", "rois"))
    net, _, _ = build(tmp_path, text)
    x = random_input((1, 2, 8, 8))
    found = net(x, torch.tensor([[0.0, 0, 0, 14, 14], [0, 4, 4, 10, 6]]))["y"]
    assert torch.equal(found[0], x[0].unflatten(2, (2, 4)).unflatten(1, (2, 4)).amax((2, 4)))
    assert torch.equal(found[1, :, 0, 0], x[0, :, 2:3, 2:4].amax((1, 2)))


LOSSES: dict[str, tuple[str, str, Callable[[Tensor, Tensor], Tensor]]] = {
    "softmax": ("SoftmaxWithLoss", "", lambda x, z: torch.nn.functional.cross_entropy(x, z.long())),
    "softmax, ignored": (
        "SoftmaxWithLoss",
        "loss_param { ignore_label: 1 }",
        lambda x, z: torch.nn.functional.cross_entropy(x, z.long(), ignore_index=1),
    ),
    "hinge": (
        "HingeLoss",
        "hinge_loss_param { norm: L2 }",
        lambda x, z: (1 + x * (1 - 2 * torch.eye(3)[z.long()])).clamp(min=0).square().sum() / 4,
    ),
    "multinomial": (
        "MultinomialLogisticLoss",
        "",
        lambda x, z: -x.gather(1, z.long()[:, None]).clamp(min=1e-20).log().mean(),
    ),
    "accuracy": ("Accuracy", "", lambda x, z: (x.argmax(1) == z).float().mean()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_with_labels(tmp_path: Path, name: str) -> None:
    kind, parameters, formula = LOSSES[name]
    net, _, _ = build(tmp_path, inputs(x=(4, 3), z=(4,)) + one(kind, parameters, ("x", "z")))
    x, z = random_input((4, 3)), torch.tensor([0.0, 1, 2, 2])
    torch.testing.assert_close(net(x, z)["y"], formula(x, z))


def test_losses_between_blobs(tmp_path: Path) -> None:
    x, z = random_input((4, 3)), random_input((4, 3), 1).sigmoid()
    net, _, _ = build(tmp_path, inputs(x=(4, 3), z=(4, 3)) + one("EuclideanLoss", "", ("x", "z")))
    torch.testing.assert_close(net(x, z)["y"], (x - z).square().sum() / 8)
    net, _, _ = build(tmp_path, inputs(x=(4, 3), z=(4, 3)) + one("SigmoidCrossEntropyLoss", "", ("x", "z")))
    wanted = -(z * x.sigmoid().log() + (1 - z) * (1 - x.sigmoid()).log()).sum() / 4
    torch.testing.assert_close(net(x, z)["y"], wanted)
    alike = torch.tensor([0.0, 1, 0, 1])
    net, _, _ = build(tmp_path, inputs(x=(4, 3), z=(4, 3), s=(4,)) + one("ContrastiveLoss", "", ("x", "z", "s")))
    distance = (x - z).square().sum(1).sqrt()
    wanted = torch.where(alike == 1, distance.square(), (1 - distance).clamp(min=0).square()).sum() / 8
    torch.testing.assert_close(net(x, z, alike)["y"], wanted)


def test_a_network_with_a_loss_trains(tmp_path: Path) -> None:
    """Dropout drops, batches are normalised by their own statistics, and gradients reach every weight."""
    text = inputs(data=(8, 3, 6, 6), label=(8,))
    text += (
        'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3'
    )
    text += ' weight_filler { type: "msra" } } } layer { name: "n" type: "BatchNorm" bottom: "c" top: "c" }'
    text += ' layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }'
    text += ' layer { name: "d" type: "Dropout" bottom: "c" top: "c" }'
    text += ' layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 2'
    text += (
        ' weight_filler { type: "xavier" } } } layer { name: "l" type: "SoftmaxWithLoss" bottom: "f" '
        'bottom: "label" top: "loss" }'
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = load_caffe(tmp_path / "net.prototxt").train()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    x, label = random_input((8, 3, 6, 6)), torch.tensor([0, 1] * 4)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = net(x, label)["loss"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(weights.grad is not None for weights in net.parameters())
    assert losses[-1] < 0.5 * losses[0]
    assert set(net.eval()(x)) == {"f"}, "without labels there is no loss, and the scores are what is left"


def test_layers_share_blobs_by_name(tmp_path: Path) -> None:
    layer = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" param {{ name: "w" }} param {{ name: "b" }}'
        " inner_product_param {{ num_output: 2 }} }}"
    )
    definition = tmp_path / "twins.prototxt"
    definition.write_text(inputs(x=(1, 3)) + layer.format("a") + layer.format("b"))
    blobs = random_weights(load_caffe(definition).graph)
    for kept in ({"a": blobs["a"]}, blobs | {"b": blobs["a"]}):
        (tmp_path / "w.caffemodel").write_bytes(caffemodel(kept))
        net = load_caffe(definition, tmp_path / "w.caffemodel")
        found = net(random_input((1, 3)))
        assert torch.equal(found["a"], found["b"]) and len(list(net.parameters())) == 2
    definition.write_text(
        inputs(x=(1, 3)) + layer.format("a") + layer.format("b").replace("num_output: 2", "num_output: 3")
    )
    with pytest.raises(BadInput, match=r"shares 'w' of \(3, 3\) with 'a', where it is \(2, 3\)"):
        load_caffe(definition)
