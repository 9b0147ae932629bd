"""Files that are damaged, or made to hurt: each is refused with one line, soon, and without much memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowball.design.caffe import load_caffe
from snowball.design.caffe.text import parse_text
from snowball.design.caffe.wire import read_blob, read_weights
from snowball.finding import BadInput

from .caffe_files import blob, caffemodel, message, number, random_weights, varint
from .hostile import cheaply_refused, damaged, fuzzed, read_or_refused, refused

INPUT = 'input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'
CONVOLUTION = (
    'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }\n'
)
NET = (
    INPUT + CONVOLUTION + 'layer { name: "n" type: "BatchNorm" bottom: "c" top: "c" }'
    ' layer { name: "s" type: "Scale" bottom: "c" top: "c" }\n'
    'layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: AVE kernel_size: 3 '
    "stride: 2 pad: 1 } }\n"
    'layer { name: "k" type: "Slice" bottom: "p" top: "k1" top: "k2" slice_param { axis: 1 slice_point: 2 } }\n'
    'layer { name: "e" type: "Eltwise" bottom: "k1" bottom: "k2" top: "e" eltwise_param { operation: '
    "SUM coeff: 0.5 coeff: 1 } }\n"
    'layer { name: "r" type: "Reshape" bottom: "e" top: "r" reshape_param { shape { dim: 0 dim: -1 } } }\n'
    'layer { name: "f" type: "InnerProduct" bottom: "r" top: "f" inner_product_param { num_output: 2 } }\n'
    'layer { name: "prob" type: "Softmax" bottom: "f" top: "prob" }\n'
)
LSTM = (
    'input: "x" input_shape { dim: 2 dim: 1 dim: 3 } input: "c" input_shape { dim: 2 dim: 1 } layer { name: '
    '"l" type: "LSTM" bottom: "x" bottom: "c" top: "l" recurrent_param { num_output: 2 } }'
)
PRIOR = (
    'input: "x" input_shape { dim: 1 dim: 2 dim: 4 dim: 4 } layer { name: "q" type: "PriorBox" bottom: "x" '
    'bottom: "x" top: "q" prior_box_param { min_size: 3 max_size: 5 aspect_ratio: 2 variance: 0.1 } } layer { '
    'name: "i" type: "Interp" bottom: "x" top: "i" interp_param { zoom_factor: 2 } } layer { name: "t" type: '
    '"Tile" bottom: "i" top: "t" tile_param { axis: 1 tiles: 2 } } layer { name: "u" type: "Upsample" bottom: '
    '"t" top: "u" } layer { name: "d" type: "Deconvolution" bottom: "u" top: "d" convolution_param { '
    "num_output: 2 kernel_size: 2 stride: 2 } }"
)


def swap(old: str, new: str, text: str = NET) -> str:
    assert old in text
    return text.replace(old, new, 1)


TEXTS = {
    "truncated": (NET[:-30], "is not text form"),
    "not text": ("\x00\x01\x02", "is not text form"),
    "not closed": ("layer { name: ", "ends after"),
    "a thousand deep": ("layer { " * 1000, "nested more than 32 deep"),
    "ten thousand deep": ("a { " * 10_000, "nested more than 32 deep"),
    "a long number": (swap("num_output: 4", "num_output: " + "9" * 5000), "a number of 5000 digits"),
    "a number beyond 64 bits": (swap("num_output: 4", "num_output: 99999999999999999999"), "num_output is 9"),
    "negative outputs": (swap("num_output: 4", "num_output: -4"), "num_output is -4"),
    "huge outputs": (swap("num_output: 4", "num_output: 2147483647"), "weights of 2147483647 x 3 x 3 x 3"),
    "weights that add up": (
        INPUT
        + "".join(
            f'layer {{ name: "{n}" type: "InnerProduct" bottom: "x" top: "{n}"'
            " inner_product_param { num_output: 1000000 } }"
            for n in "abcdef"
        ),
        "weights up to here",
    ),
    "a huge kernel": (swap("kernel_size: 3", "kernel_size: 99999"), "weights of|cannot take"),
    "a negative kernel": (swap("kernel_size: 3", "kernel_size: -3"), "kernel_size is -3"),
    "no kernel": (swap("kernel_size: 3", ""), "kernel_size is missing"),
    "a stride of 0": (swap("kernel_size: 3 }", "kernel_size: 3 stride: 0 }"), "stride is 0"),
    "groups of 0": (swap("kernel_size: 3 }", "kernel_size: 3 group: 0 }"), "group is 0"),
    "sizes that overflow": (
        swap(INPUT, 'input: "x" input_shape { dim: 1 dim: 4294967296 dim: 4294967296 dim: 2 }'),
        "input 'x' is 1 x 4294967296",
    ),
    "a negative size": (swap("input_dim: 3", "input_dim: -3"), "input 'x' is 1 x -3"),
    "a size of 0": (swap("input_dim: 3", "input_dim: 0"), "input 'x' is 1 x 0"),
    "three sizes": (swap("input_dim: 3", ""), "3 times input_dim"),
    "a large padding": (swap("stride: 2 pad: 1", "stride: 2 pad: 100000"), "a padding of"),
    "a padding that allocates": (swap("kernel_size: 3 }", "kernel_size: 3 pad: 100000 }"), "makes 1 x 4 x 200006"),
    "a missing bottom": (swap('bottom: "p"', 'bottom: "pp"'), "its bottom 'pp' is made by no layer"),
    "a circle": (swap('bottom: "x" top: "c"', 'bottom: "e" top: "c"'), "cannot go in circles"),
    "itself": (swap('bottom: "x" top: "c"', 'bottom: "c" top: "c"'), "cannot go in circles|made by no layer"),
    "a top twice": (swap('top: "p"', 'top: "x"'), "its top 'x' was made before"),
    "a top twice in one layer": (swap('top: "k2"', 'top: "k1"'), "its top 'k1' was made before"),
    "too many tops": (swap('top: "p"', 'top: "p" top: "pp" top: "ppp"'), "a second top"),
    "no top": (swap('top: "prob"', ""), "no top"),
    "no bottom": (swap('bottom: "f"', ""), "no bottom|0 bottoms"),
    "slices beyond": (swap("slice_point: 2", "slice_point: 9"), "slice_point"),
    "other coefficients": (swap("coeff: 0.5 ", ""), "1 coefficients"),
    "a shape that does not fit": (swap("dim: 0 dim: -1", "dim: 0 dim: 7"), "cannot take"),
    "two that follow": (swap("dim: 0 dim: -1", "dim: -1 dim: -1"), "more than one dimension of -1"),
    "an unknown type": (
        swap('"Pooling"', '"Poolin"'),
        r"line 4: layer 'p' \(Poolin\): a type that is not known \(nearest: Pooling\)",
    ),
    "an unknown field": (
        swap("stride: 2", "strid: 2"),
        r"line 4: pooling_param has no field 'strid' \(nearest: stride\)",
    ),
    "a text for a number": (swap("num_output: 4", 'num_output: "4"'), "num_output is '4': int would be right"),
    "an unknown word": (swap("AVE", "MEAN"), "pool is 'MEAN': one of MAX, AVE, STOCHASTIC would be right"),
    "a message for a number": (swap("num_output: 4", "num_output { }"), "num_output is a message"),
    "a number for a message": (
        swap("eltwise_param { operation: SUM coeff: 0.5 coeff: 1 }", "eltwise_param: 3"),
        "a message in braces",
    ),
    "an axis beyond": (swap("axis: 1", "axis: 5"), "axis 5 of a blob of 4 dimensions"),
    "no layers": (INPUT, "no layers"),
    "no input": (swap(INPUT, ""), "made by no layer|no input"),
    "many layers": (INPUT + 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }\n' * 6000, "6,000 layers"),
    "steps without end": (
        swap("dim: 2 dim: 1 dim: 3", "dim: 99999 dim: 1 dim: 3", swap("dim: 2 dim: 1 }", "dim: 99999 dim: 1 }", LSTM)),
        "99999 steps",
    ),
    "boxes without end": (swap("dim: 4 dim: 4", "dim: 10000 dim: 10000", PRIOR), "boxes"),
    "a zoom without end": (
        swap("zoom_factor: 2", "zoom_factor: 1000", swap("dim: 4 dim: 4", "dim: 400 dim: 400", PRIOR)),
        "makes|boxes",
    ),
    "tiles without end": (swap("tiles: 2", "tiles: 2000000000", PRIOR), "makes|cannot take"),
    "NaN": (swap("coeff: 0.5", "coeff: nan"), "coeff is"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_definition_is_one_line(tmp_path: Path, name: str) -> None:
    text, wanted = TEXTS[name]
    (tmp_path / "net.prototxt").write_text(text)
    refused(lambda: load_caffe(tmp_path / "net.prototxt"), wanted, 500)


def good_weights(folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    (folder / "net.prototxt").write_text(NET)
    return caffemodel(random_weights(load_caffe(folder / "net.prototxt").graph))


def layer(*blobs: bytes, name: bytes = b"c") -> bytes:
    return message(100, message(1, name) + b"".join(message(7, one) for one in blobs))


SHAPE = message(7, message(1, varint(4)))
WEIGHTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "zero bytes"),
    "text": (NET.encode(), "not Caffe's weights"),
    "a zip": (b"PK\x03\x04" + bytes(60), "not Caffe's weights"),
    "no layers": (message(1, b"net"), "holds no layers"),
    "a length beyond": (varint(100 << 3 | 2) + varint(2**31), "claims 2,147,483,648 bytes where 0 are left"),
    "two gigabytes in a kilobyte": (
        layer(message(7, message(1, varint(2**29))) + message(5, bytes(1000))),
        "a blob of shape 536870912 holds 250 numbers",
    ),
    "a product that overflows": (
        layer(message(7, message(1, varint(2**32) + varint(2**32) + varint(2**32))) + message(5, bytes(8))),
        "a blob of shape 4294967296 x",
    ),
    "a negative size": (layer(message(7, message(1, varint(-4))) + message(5, bytes(16))), "a blob of shape -4"),
    "a legacy negative": (layer(number(1, -1) + number(2, -4) + message(5, bytes(16))), "a blob of shape -1 x -4"),
    "half a number": (layer(SHAPE + message(5, bytes(15))), "15 bytes are not whole numbers"),
    "many dimensions": (layer(message(7, message(1, varint(1) * 40))), "more than 32 dimensions"),
    "many blobs": (layer(*[SHAPE + message(5, bytes(16))] * 1001), "more than 1000 blobs"),
    "many fields": (number(3, 1) * 310_000, "more than 300,000 fields"),
    "a number without end": (b"\xff" * 30, "a number that does not end"),
    "field 0": (b"\x02\x00", "a field of number 0"),
    "groups": (varint(100 << 3 | 3), "a field of wire type 3"),
    "a layer that is a number": (number(100, 3), "a layer is of wire type 0"),
    "two of a name": (layer(blob(np.zeros(4))) * 2, "two layers with weights are called 'c'"),
    "nested without end": (message(2, message(1, message(1, b"x") * 3) * 3), "no weights for c"),
    "another network": (layer(blob(np.zeros(4)), name=b"conv"), "no weights for c, n, s, f: is it of another"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_one_line(tmp_path: Path, name: str) -> None:
    content, wanted = WEIGHTS[name]
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "net.caffemodel").write_bytes(content)
    refused(lambda: load_caffe(tmp_path / "net.prototxt", tmp_path / "net.caffemodel"), wanted)


def test_weights_have_to_fit(tmp_path: Path) -> None:
    good = good_weights(tmp_path)
    weights = random_weights(load_caffe(tmp_path / "net.prototxt").graph)
    path = tmp_path / "net.caffemodel"
    cases = [
        (weights | {"c": weights["c"][:1]}, "layer 'c' has 1 blobs, net.prototxt, line 2, makes it 2"),
        (
            weights | {"c": [weights["c"][0][:3], weights["c"][1]]},
            "blob 0 is 3 x 3 x 3 x 3, net.prototxt, line 2, makes it 4",
        ),
        (weights | {"f": [weights["f"][0] * np.nan, weights["f"][1]]}, "holds what is no finite number"),
        ({name: value for name, value in weights.items() if name != "s"}, "no weights for s"),
    ]
    for changed, wanted in cases:
        path.write_bytes(caffemodel(changed))
        with pytest.raises(BadInput, match=wanted):
            load_caffe(tmp_path / "net.prototxt", path)
    for cut in range(1, len(good), 97):
        path.write_bytes(good[:-cut])
        with pytest.raises(BadInput):
            load_caffe(tmp_path / "net.prototxt", path)


def test_a_mean_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    for content in (b"", blob(np.zeros((1, 3, 4, 4)))[:-5], message(5, b"123"), NET.encode()):
        path.write_bytes(content)
        with pytest.raises(BadInput):
            read_blob(path)


@pytest.mark.parametrize("which", ["definition", "weights"])
def test_refusing_takes_little_time_and_memory(tmp_path: Path, which: str) -> None:
    text, _ = TEXTS["a padding that allocates"] if which == "definition" else (NET, "")
    content, _ = WEIGHTS["two gigabytes in a kilobyte"]
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "net.caffemodel").write_bytes(content if which == "weights" else good_weights(tmp_path / "good"))
    cheaply_refused("load_caffe(*files)", [tmp_path / "net.prototxt", tmp_path / "net.caffemodel"])


# What a fuzzer does: changes a good file in a few places. SNOWBALL_FUZZ=N runs N of each.
INPUTS = int(os.environ.get("SNOWBALL_FUZZ", "60"))
FUZZED = fuzzed(INPUTS)
PIECES = [
    "-1",
    "0",
    "2147483648",
    "{",
    "}",
    '"',
    "dim: 99999999",
    "axis: -7",
    "pad: 3",
    'top: "x"',
    "nan",
    "kernel_size: 9",
    "group: 3",
]


@st.composite
def changed_text(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from([NET, LSTM, PRIOR]))
    for _ in range(draw(st.integers(1, 4))):
        words = text.split(" ")
        at, other = draw(st.integers(0, len(words) - 1)), draw(st.integers(0, len(words) - 1))
        how = draw(st.sampled_from(["drop", "copy", "swap", "piece", "number", "cut"]))
        if how == "drop":
            del words[at]
        elif how == "copy":
            words.insert(at, words[other])
        elif how == "swap":
            words[at], words[other] = words[other], words[at]
        elif how == "piece":
            words.insert(at, draw(st.sampled_from(PIECES)))
        elif how == "number" and words[at].lstrip("-").isdigit():
            words[at] = str(draw(st.one_of(st.integers(-3, 40), st.integers(-(2**65), 2**65))))
        else:
            words = words[: max(1, at)]
        text = " ".join(words)
    return text


@FUZZED
@given(text=changed_text())
def test_fuzzed_definitions_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "net.prototxt"
    path.write_text(text)
    read_or_refused(lambda: load_caffe(path))


@FUZZED
@given(text=st.text(alphabet='ab01{}<>:[]",;#. \n\\-e', max_size=60))
def test_fuzzed_text_form_is_read_or_refused(text: str) -> None:
    read_or_refused(lambda: parse_text(text))


@FUZZED
@given(data=st.data())
def test_fuzzed_weights_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    lengths = st.integers(0, 2**64 - 1).map(varint)
    path = folder / "net.caffemodel"
    path.write_bytes(damaged(data, data.draw(st.sampled_from(_corpus(folder))), lengths))
    read_or_refused(lambda: read_weights(path))
    read_or_refused(lambda: read_blob(path))


_CORPUS: list[bytes] = []


def _corpus(folder: Path) -> list[bytes]:
    if not _CORPUS:
        (folder / "net.prototxt").write_text(NET)
        weights = random_weights(load_caffe(folder / "net.prototxt").graph)
        small = {name: [part.reshape(-1)[:6] for part in parts] for name, parts in weights.items()}
        _CORPUS.extend(caffemodel(small, generation, form) for generation in (0, 1, 2) for form in ("packed", "legacy"))
        _CORPUS.append(caffemodel(small, 2, "single"))
        _CORPUS.append(blob(np.ones((1, 3, 2, 2))))
    return _CORPUS
