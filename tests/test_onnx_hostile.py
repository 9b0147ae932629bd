"""ONNX files that are damaged, or made to hurt: each is refused with one line, soon."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, helper

from snowball.design.formats import described, imported_network
from snowball.design.formats.onnx import Onnx
from snowball.design.onnx import load_onnx
from snowball.imported import ImportSection

from .hostile import cheaply_refused, fuzzed, read_or_refused, refused
from .test_onnx_stories import write


def _external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def _nested(model: ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], [])
    model.graph.node.extend(graph.node)


def _sides(*sides: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(sides)

    return change


def _node(op: str, inputs: list[str], outputs: list[str], domain: str = "") -> Callable[[ModelProto], None]:
    return lambda model: model.graph.node.append(helper.make_node(op, inputs, outputs, domain=domain))


def _bias(model: ModelProto) -> None:
    at = next(at for at, tensor in enumerate(model.graph.initializer) if tensor.name == "b")
    model.graph.initializer[at].CopyFrom(helper.make_tensor("b", onnx.TensorProto.FLOAT, [7], [0.0] * 7))


def _computed_bias(model: ModelProto) -> None:
    kernel = helper.make_tensor("tk", onnx.TensorProto.FLOAT, [3, 5, 1, 1], [0.0] * 15)
    model.graph.initializer.append(kernel)
    model.graph.node.append(helper.make_node("Neg", ["b"], ["nb"]))
    model.graph.node.append(helper.make_node("ConvTranspose", ["x", "tk", "nb"], ["y"]))


def _cubic(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("scales", onnx.TensorProto.FLOAT, [4], [1.0, 1.0, 2.0, 2.0]))
    said = {"mode": "cubic", "cubic_coeff_a": -0.5}
    model.graph.node.append(helper.make_node("Resize", ["x", "", "scales"], ["y"], **said))


def _axis(model: ModelProto) -> None:
    numbers = {"starts": 0, "ends": 1, "axes": 7}
    model.graph.initializer.extend(helper.make_tensor(key, 7, [1], [number]) for key, number in numbers.items())
    model.graph.node.append(helper.make_node("Slice", ["x", *numbers], ["y"]))


CHANGES: dict[str, Callable[[ModelProto], None]] = {
    "external data": _external,
    "graphs inside of graphs": _nested,
    "another domain": _node("Relu", ["x"], ["y"], domain="com.evil"),
    "an unknown operator": _node("Launch", ["x"], ["y"]),
    "sides whose product overflows": _sides(2**32, 2**32, 2**32),
    "two gigabytes claimed": _sides(2**29),
    "a negative side": _sides(-5, 3, 3, 3),
    "a circle": _node("Add", ["x", "y"], ["y"]),
    "a missing input": _node("Relu", ["nowhere"], ["y"]),
    "an output made twice": _node("Relu", ["x"], ["conv"]),
    "a bias of another shape": _bias,
    "a bias that is computed": _computed_bias,
    "cubic weights that PyTorch has not": _cubic,
    "an axis that is not there": _axis,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "net.onnx"
    write(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", CHANGES)
def test_a_hostile_graph_is_refused_with_one_line(name: str, sound: bytes, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(sound)
    CHANGES[name](model)
    _refused(tmp_path / "bad.onnx", model.SerializeToString())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share: float, sound: bytes, tmp_path: Path) -> None:
    _refused(tmp_path / "bad.onnx", sound[: int(len(sound) * share)])


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "bad.onnx", pickle.dumps({"weights": [1.0] * 100}))


def _refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    begun = time.monotonic()
    refused(lambda: load_onnx(path), path.name)
    assert time.monotonic() - begun < 5


def test_a_number_that_is_not_there_is_zero(sound: bytes, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(sound)
    model.graph.node[1].CopyFrom(helper.make_node("LeakyRelu", ["conv"], ["relu"], alpha=0.25))
    content = model.SerializeToString().replace(b"\x15\x00\x00\x80\x3e", b"\x12\x00\x7a\x01\x00")
    (tmp_path / "net.onnx").write_bytes(content)
    assert load_onnx(tmp_path / "net.onnx").graph.definition.nodes[1].attributes == {"alpha": 0}


@pytest.mark.parametrize(
    ("height", "channels", "labels"), [("Infinity", "3", "[]"), ("12", "null", "[]"), ("12", "3", "5")]
)
def test_what_a_file_says_of_itself_may_be_anything(
    sound: bytes, tmp_path: Path, height: str, channels: str, labels: str
) -> None:
    image = '{"image": {"state": {"height": ' + height + ', "width": 12, "channels": ' + channels + "}}"
    said = '{"schema": {"columns": ' + image + ', "label": {"state": {"labels": ' + labels + "}}}}"
    model = onnx.load_model_from_string(sound)
    model.metadata_props.add(key="snowball", value=said + ', "recipe": {"image": {}}}')
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    scores = Onnx.read([tmp_path / "net.onnx"], ImportSection(), {}).scores
    assert scores is not None and not scores.labels


def test_tables_that_a_description_claims_are_counted(sound: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(sound)
    scores = Onnx.read([tmp_path / "net.onnx"], ImportSection(), {}).scores
    assert scores is not None
    claimed = {**described(scores), "tables": {"t": [2**40]}}
    refused(lambda: imported_network(claimed, scores.picture, scores.num_classes), "weights; .* are possible")


INPUTS = int(os.environ.get("SNOWBALL_FUZZ", "60"))


@fuzzed(INPUTS)
@given(damage=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(damage: list[tuple[float, int]], sound: bytes, tmp_path: Path) -> None:
    content = bytearray(sound)
    for place, value in damage:
        content[int(place * len(content))] = value
    (tmp_path / "bad.onnx").write_bytes(content)
    read_or_refused(lambda: load_onnx(tmp_path / "bad.onnx"))


def _made(op: str, *operands: tuple[str, list[int], list[int]]) -> Callable[[ModelProto], None]:
    """A node that makes whole numbers of constants: each name, sides, numbers."""

    def change(model: ModelProto) -> None:
        for name, sides, numbers in operands:
            model.graph.initializer.append(helper.make_tensor(name, onnx.TensorProto.INT64, sides, numbers))
        model.graph.node.append(helper.make_node(op, [name for name, _, _ in operands], ["y"]))

    return change


def _first(op: str, second: list[int] | None = None, **attributes: object) -> Callable[[ModelProto], None]:
    """A node before all others, with a second operand of these numbers."""

    def change(model: ModelProto) -> None:
        if second:
            model.graph.initializer.append(helper.make_tensor("second", 7, [len(second)], second))
        operands = ["x", "second"] if second else ["x"]
        model.graph.node.insert(0, helper.make_node(op, operands, ["first"], **attributes))
        model.graph.node[1].input[0] = "first"

    return change


def _padded(model: ModelProto) -> None:
    said = {"pads": [4000, 4000, 4001, 4000], "strides": [4000, 4000]}
    model.graph.node[0].attribute.extend(helper.make_attribute(key, value) for key, value in said.items())


def _squared(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("s0", onnx.TensorProto.INT64, [1], [10**9]))
    model.graph.node.extend(helper.make_node("Mul", [f"s{at}", f"s{at}"], [f"s{at + 1}"]) for at in range(40))


def _text(model: ModelProto) -> None:
    _made("ConstantOfShape", ("sides", [1], [1]))(model)
    model.graph.node[-1].attribute.append(helper.make_attribute("value", "a"))
    _made("Mul", ("y", [1], [0]), ("times", [1], [10**9]))(model)
    del model.graph.initializer[-2]  # `y` is the text
    model.graph.node[-1].output[0] = "long"


BOMBS: dict[str, Callable[[ModelProto], None]] = {
    "a picture that grows": _first("Tile", [1, 1, 1_000, 1_000]),
    "two gigabytes claimed": _sides(2**29),
    "a constant of gigabytes": _made("ConstantOfShape", ("n", [2], [2**20, 2**12])),
    "a range without end": _made("Range", ("from", [], [0]), ("to", [], [2**40]), ("by", [], [1])),
    "a power without end": _made("Pow", ("base", [], [10]), ("exponent", [], [2**40])),
    "squares of squares": _squared,
    "a text without end": _text,
    "a pooling with much around it": _first("MaxPool", kernel_shape=[2, 2], pads=[4000] * 4, strides=[4000, 4000]),
    "a convolution with much around it": _padded,
    "a channel that is not there": _first("Gather", [0, 1, 99], axis=1),
}


def test_refusing_takes_little_time_and_memory(sound: bytes, tmp_path: Path) -> None:
    for name, change in BOMBS.items():
        model = onnx.load_model_from_string(sound)
        change(model)
        (tmp_path / f"{name}.onnx").write_bytes(model.SerializeToString())
    files = ([tmp_path / f"{name}.onnx"] for name in BOMBS)
    cheaply_refused("Onnx.read([Path(file) for file in files], ImportSection(), {})", *files)
