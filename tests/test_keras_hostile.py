"""Keras's files that are damaged, or made to hurt: each is refused with one line, soon, and without much memory."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowball.design.keras.archive import read_archive
from snowball.design.keras.definition import parse_model
from snowball.design.keras.load import load_keras
from snowball.design.keras.network import build_graph, input_shapes
from snowball.finding import BadInput

from .hostile import cheaply_refused, damaged, fuzzed, read_or_refused, refused

FILES = Path(__file__).parent / "keras_files"


@cache
def entries(name: str = "classifier") -> dict[str, bytes]:
    with zipfile.ZipFile(FILES / f"{name}.keras") as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def packed(changed: dict[str, bytes | None], method: int = zipfile.ZIP_STORED) -> bytes:
    """The classifier's file with other entries; None leaves one out."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in {**entries(), **changed}.items():
            if content is not None:
                archive.writestr(name, content)
    return out.getvalue()


def with_config(change: Callable[[Any], Any]) -> bytes:
    config = json.loads(entries()["config.json"])
    return packed({"config.json": json.dumps(change(config) or config).encode()})


def with_layer(number: int, **values: Any) -> bytes:
    """One of the classifier's layers with other values."""

    def change(config: Any) -> None:
        layer = config["config"]["layers"][number]
        for key, value in values.items():
            (layer if key in layer else layer["config"])[key] = value

    return with_config(change)


def with_weights(change: Callable[[h5py.File], None]) -> bytes:
    held = io.BytesIO(entries()["model.weights.h5"])
    with h5py.File(held, "r+") as file:
        change(file)
    return packed({"model.weights.h5": held.getvalue()})


DENSE = "layers/dense/vars"


def _external_storage(file: h5py.File) -> None:
    del file[f"{DENSE}/0"]
    file[DENSE].create_dataset("0", (36, 4), "f4", external=[("/etc/passwd", 0, 36 * 4 * 4)])


def _virtual(file: h5py.File) -> None:
    del file[f"{DENSE}/0"]
    layout = h5py.VirtualLayout((36, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (36, 4))
    file[DENSE].create_virtual_dataset("0", layout)


def _replace(**asked: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[f"{DENSE}/0"]
        file[DENSE].create_dataset("0", **asked)

    return change


def _link(link: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[f"{DENSE}/0"]
        file[DENSE]["0"] = link

    return change


def _circle(file: h5py.File) -> None:
    file["layers/dense/again"] = file["layers"]


def _not_finite(file: h5py.File) -> None:
    file[f"{DENSE}/0"][0, 0] = np.nan


def _functional(*, inbound: str = "a", outputs: Any = ("b", 0, 0), **dense: Any) -> bytes:
    """x -> a -> b, where `b` takes up what is said."""

    def layer(kind: str, name: str, config: dict[str, Any], *takes: str) -> dict[str, Any]:
        nodes = [[[take, 0, 0, {}] for take in takes]] if takes else []
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    layers = [
        layer("InputLayer", "x", {"batch_shape": [None, 3]}),
        layer("Dense", "a", {"units": 3, **dense}, "x" if inbound != "circle" else "b"),
        layer("Dense", "b", {"units": 2}, "a" if inbound == "circle" else inbound),
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [list(outputs)]}
    return packed({"config.json": json.dumps({"class_name": "Functional", "config": config}).encode()})


def _deep(depth: int) -> bytes:
    return packed({"config.json": b'{"a":' * depth + b"1" + b"}" * depth})


def _bomb() -> bytes:
    """A hundred kilobytes that become a hundred million."""
    return packed({"model.weights.h5": bytes(10**8)}, zipfile.ZIP_DEFLATED)


def _huge_claim() -> bytes:
    """An entry whose size in the zip's directory is a lie."""
    content = bytearray(packed({}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    return bytes(content)


class _Evil:
    def __reduce__(self) -> Any:
        return (os.system, ("touch /tmp/pwned",))


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "0 bytes"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), "neither a zip file nor HDF5"),
    "a renamed pickle": (lambda: pickle.dumps(_Evil()), "neither a zip file nor HDF5"),
    "a zip that is none": (lambda: b"PK\x03\x04" + bytes(200), "damaged"),
    "a zip of PyTorch": (lambda: packed({"archive/data.pkl": b"x"}), "'archive/data.pkl': not a model of Keras"),
    "a path that climbs": (lambda: packed({"../../etc/x": b"x"}), "not a model of Keras"),
    "without weights": (lambda: packed({"model.weights.h5": None}), "lacks model.weights.h5"),
    "a zip bomb": (_bomb, "claims 100,000,000 bytes"),
    "a size that is a lie": (_huge_claim, "claims|damaged"),
    "weights that are no HDF5": (lambda: packed({"model.weights.h5": b"x" * 99}), "damaged"),
    "half of an HDF5": (lambda: packed({"model.weights.h5": entries()["model.weights.h5"][:9000]}), "damaged|claims"),
    "JSON that is none": (lambda: packed({"config.json": b"{"}), "is not JSON"),
    "bytes that are no text": (lambda: packed({"config.json": b"\xff\xfe"}), "damaged"),
    "JSON 300 deep": (lambda: _deep(300), "nested more than 200 deep"),
    "JSON 100,000 deep": (lambda: _deep(100_000), "is not JSON|nested"),
    "a list": (lambda: packed({"config.json": b"[]"}), "not an object with a 'class_name'"),
    "a long number": (lambda: with_layer(1, scale=10**400), "holds 1000000"),
    "Lambda": (lambda: with_layer(1, class_name="Lambda"), "a type that is not known"),
    "a module of somebody's": (lambda: with_layer(1, module="os"), "nothing is imported by name"),
    "a module like Keras's": (lambda: with_layer(1, module="keras_evil.layers"), "nothing is imported by name"),
    "a registered name": (lambda: with_layer(1, registered_name="evil>Rescaling"), "nothing is imported by name"),
    "a function as activation": (
        lambda: with_layer(2, activation={"module": "os", "class_name": "function", "config": "system"}),
        "activation is ",
    ),
    "negative filters": (lambda: with_layer(2, filters=-3), "filters is -3"),
    "filters as text": (lambda: with_layer(2, filters="3"), "filters is 3"),
    "huge filters": (lambda: with_layer(2, filters=2**31 - 1), "weights of|makes"),
    "a huge kernel": (lambda: with_layer(2, kernel_size=[99999, 99999]), "kernel_size is"),
    "a dilation that pads": (
        lambda: with_layer(2, dilation_rate=9000, strides=2, padding="same"),
        r"cannot take .* become 18",
    ),
    "many empty lists": (lambda: with_layer(1, scale=[[]] * 99_000), "scale has 0 numbers"),
    "a stride of 0": (lambda: with_layer(2, strides=0), "strides is 0"),
    "a shape bomb": (lambda: with_layer(0, batch_shape=[None, 2**30, 2**30, 3]), "for a row"),
    "a key that is not known": (lambda: with_layer(2, turbo=True), "turbo is True, which is not known"),
    "other weights": (lambda: with_layer(2, filters=7), "is 3 x 3 x 3 x 6, the layer makes it 3 x 3 x 3 x 7"),
    "a layer more": (
        lambda: with_config(lambda c: c["config"]["layers"].append(c["config"]["layers"][-1] | {"name": "x"})),
        "two layers are called 'dense'",
    ),
    "layers in a circle": (lambda: _functional(inbound="circle"), "waits for itself"),
    "a layer that is missing": (lambda: _functional(inbound="ghost"), "takes up 'ghost', which no layer is called"),
    "an output that is missing": (lambda: _functional(outputs=("b", 5, 0)), "call 5 of layer 'b'"),
    "an output of nothing": (lambda: _functional(outputs=("b", 0, 9)), "tensor 9"),
    "weights that are missing": (lambda: _functional(), "no weights at "),
    "numbers elsewhere": (lambda: with_weights(_external_storage), "keeps its numbers in another file"),
    "virtual numbers": (lambda: with_weights(_virtual), "stored in chunks, compressed or virtual"),
    "an external link": (lambda: with_weights(_link(h5py.ExternalLink("/etc/x.h5", "/"))), r"a link \(ExternalLink\)"),
    "a soft link": (lambda: with_weights(_link(h5py.SoftLink("/layers"))), r"a link \(SoftLink\)"),
    "groups in a circle": (lambda: with_weights(_circle), "another name stands for too"),
    "a terabyte unwritten": (
        lambda: with_weights(_replace(shape=(2**19, 2**19), dtype="f4")),
        "claims 1,099,511,627,776 bytes",
    ),
    "chunks": (
        lambda: with_weights(_replace(shape=(2**16, 2**16), dtype="f4", chunks=(64, 64), compression="gzip")),
        "stored in chunks",
    ),
    "text for numbers": (lambda: with_weights(_replace(data=b"hello")), "does not hold numbers"),
    "another shape": (lambda: with_weights(_replace(data=np.zeros((36, 5), "f4"))), "is 36 x 5, the layer makes it"),
    "not a number": (lambda: with_weights(_not_finite), "no finite number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_hostile_file_is_one_line(tmp_path: Path, name: str) -> None:
    make, wanted = WRONG[name]
    path = tmp_path / "model.keras"
    path.write_bytes(make())
    refused(lambda: load_keras(path), wanted)
    assert not Path("/tmp/pwned").exists()


def _h5(change: Callable[[h5py.File], None]) -> bytes:
    held = io.BytesIO((FILES / "classifier.h5").read_bytes())
    with h5py.File(held, "r+") as file:
        change(file)
    return held.getvalue()


def _lose(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _say(where: str, name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[where].attrs[name] = value

    return change


def _no_text(file: h5py.File) -> None:
    file.attrs.create("keras_version", b"\xff\xfe", dtype=h5py.string_dtype())


WRONG_H5: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "only weights": (_lose("model_weights"), "holds no network"),
    "a layer without a group": (_lose("model_weights/dense"), "names a layer 'dense' and holds no group"),
    "a config of numbers": (_say("/", "model_config", np.arange(5)), "'model_config' is not text"),
    "a config that is no JSON": (_say("/", "model_config", "{"), "is not JSON"),
    "a text that is none": (_no_text, "damaged"),
    "names of nothing": (_say("model_weights/dense", "weight_names", [b"a", b"b"]), "holds none of that name"),
    "fewer names": (_say("model_weights/dense", "weight_names", [b"classifier/dense/bias"]), "1 weights|holds none"),
}


@pytest.mark.parametrize("name", WRONG_H5)
def test_a_hostile_h5_is_one_line(tmp_path: Path, name: str) -> None:
    change, wanted = WRONG_H5[name]
    path = tmp_path / "model.h5"
    path.write_bytes(_h5(change))
    refused(lambda: load_keras(path), wanted)


def test_calls_are_counted_through_layers_that_wrap_others() -> None:
    """70 calls of what makes 70 calls of what makes 70."""
    inner: Any = {"class_name": "ReLU", "config": {"name": "r"}}
    for _ in range(3):
        wrapped = {"class_name": "TimeDistributed", "config": {"name": "w", "layer": inner}}
        nodes = [[["x" if number == 0 else "t", max(0, number - 1), 0, {}]] for number in range(70)]
        layers = [
            {"class_name": "InputLayer", "config": {"name": "x"}, "inbound_nodes": []},
            {"class_name": "TimeDistributed", "config": {"name": "t", "layer": wrapped}, "inbound_nodes": nodes},
        ]
        config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["t", 69, 0]]}
        inner = {"class_name": "Functional", "config": config}
    with pytest.raises(BadInput, match="calls of layers; 5,000 are possible"):
        parse_model(inner, "bomb")


def test_nothing_is_imported_from_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    assert read_archive(FILES / "classifier.keras").tensors


def test_without_h5py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"snowball\[keras\]"):
        read_archive(FILES / "classifier.keras")


@pytest.mark.parametrize("name", ["a zip bomb", "a terabyte unwritten", "many empty lists"])
def test_refusing_takes_little_time_and_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(WRONG[name][0]())
    cheaply_refused("load_keras(*files)", [path])


# What a fuzzer does: changes a good file in a few places. SNOWBALL_FUZZ=N runs N descriptions, and N // 4 files.
INPUTS = int(os.environ.get("SNOWBALL_FUZZ", "40"))
SEEDS = ("classifier", "convolutions", "transposed", "pooling", "normalisation", "shaping", "merging", "nested")
SEEDS += ("recurrent", "attention", "activations", "arithmetic")
SEEDS += ("keras2_convolutions", "keras2_recurrent", "keras2_attention", "keras2_arithmetic")
PIECES = (
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    2**31,
    -(2**70),
    1e308,
    0.5,
    "",
    "same",
    "channels_first",
    [],
    [0],
    {},
    [[1, 2], [3, 4]],
)


@cache
def described(name: str) -> Any:
    with zipfile.ZipFile(FILES / f"{name}.keras") as archive:
        return json.loads(archive.read("config.json"))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in JSON."""
    pending, found = [value], []
    while pending:
        held = pending.pop()
        keys = list(held) if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else ()
        for key in keys:
            found.append((held, key))
            pending.append(held[key])
    return found


@fuzzed(INPUTS)
@given(data=st.data())
def test_fuzzed_descriptions_are_read_or_refused(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(SEEDS))
    config = copy.deepcopy(described(source))
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(config)
        if not places:
            break
        held, key = places[data.draw(st.integers(0, len(places) - 1))]
        how = data.draw(st.sampled_from(["drop", "piece", "number", "other"]))
        if how == "drop":
            del held[key]
        elif how == "piece":
            held[key] = data.draw(st.sampled_from(PIECES))
        elif how == "number":
            held[key] = data.draw(st.integers(-3, 40))
        else:
            other, name = places[data.draw(st.integers(0, len(places) - 1))]
            held[key] = copy.deepcopy(other[name]) if name in other or isinstance(other, list) else None

    def read() -> None:
        model = parse_model(config, "fuzz")
        graph, _ = build_graph(model, input_shapes(model, {}), 2 if source.startswith("keras2_") else 3)
        graph.take_softmax_off() if len(model.outputs) == 1 else None

    read_or_refused(read)


@fuzzed(max(8, INPUTS // 4))
@given(data=st.data())
def test_fuzzed_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(
            ["classifier.keras", "classifier.h5", "nested.h5", "keras2_nested.h5", "keras2_attention.keras"]
        )
    )
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(damaged(data, (FILES / name).read_bytes(), st.just(b"\xff" * 8)))
    read_or_refused(lambda: load_keras(path))
