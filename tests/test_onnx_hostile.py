"""ONNX files that are damaged, or made to hurt: each is refused with one line, soon."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

from snowball.design.onnx import load_onnx
from snowball.finding import BadInput

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
    with pytest.raises(BadInput) as caught:
        load_onnx(path)
    assert time.monotonic() - begun < 5
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(damage: list[tuple[float, int]], sound: bytes, tmp_path: Path) -> None:
    content = bytearray(sound)
    for place, value in damage:
        content[int(place * len(content))] = value
    (tmp_path / "bad.onnx").write_bytes(content)
    try:
        load_onnx(tmp_path / "bad.onnx")
    except BadInput as error:
        assert "\n" not in str(error)
