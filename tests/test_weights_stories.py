"""What somebody types who has nothing but a state dict of a network that timm knows."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save, save_file

from snowball.design import torch_file
from snowball.transfer import read_source
from tests.hostile import damaged, fuzzed, read_or_refused

NAME = "resnet10t"


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made: torch.nn.Module = timm.create_model(NAME, num_classes=4).eval()
    return made


@pytest.mark.parametrize("form", ["safetensors", "pth"])
def test_a_state_dict_is_a_run_like_any_other(
    snowball: Any, tmp_path: Path, network: torch.nn.Module, form: str
) -> None:
    held = {f"module.{name}": value for name, value in network.state_dict().items()}
    if form == "pth":
        torch.save({"state_dict": held, "epoch": 3}, tmp_path / "w.pth")
    else:
        save_file(held, tmp_path / "w.safetensors")
    Path("names.txt").write_text("cat\ndog\ncrane\nowl\n")
    words = (f"model={NAME}", "image.size=32", "mean=100,110,120", "std=50", "labels=names.txt")
    done = snowball("import", f"w.{form}", *words, "-o", "run")
    (found,) = done["findings"]
    assert found["check"] == "weights-loaded" and len(found["evidence"]["loaded"]) == len(held)
    assert sum(row["parameters"] for row in done["layers"]) == sum(p.numel() for p in network.parameters())
    pixels = np.random.Generator(np.random.Philox(2)).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    x = (torch.from_numpy(pixels).float() - torch.tensor([100.0, 110, 120])) / 50
    share = network(x.permute(2, 0, 1)[None]).softmax(1)[0]
    (answer,) = snowball("predict", "run", "a.png")["predictions"]
    assert answer["label"] == ["cat", "dog", "crane", "owl"][int(share.argmax())]
    assert answer["confidence"] == pytest.approx(float(share.detach().max()), abs=1e-5)


def test_what_is_not_that_networks_is_refused_with_one_line(
    snowball: Any, tmp_path: Path, network: torch.nn.Module
) -> None:
    held = dict(network.state_dict())
    save_file(held, tmp_path / "w.safetensors")
    lacking = {name: value for name, value in held.items() if name != "layer2.0.conv1.weight"}
    save_file({**lacking, "other.weight": torch.zeros(2)}, tmp_path / "lacking.safetensors")
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "few.safetensors")
    save_file({**held, "fc.bias": torch.full_like(held["fc.bias"], torch.nan)}, tmp_path / "nan.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 64)
    size = "image.size=32"
    for words, code, said in (
        (("w.safetensors", size), 2, "name it, as timm does"),
        (("w.safetensors", "model=resnet10tt", size), 2, "nearest: resnet10t"),
        (("few.safetensors", f"model={NAME}", size), 2, "no matrix fc.weight"),
        (("bad.safetensors", f"model={NAME}", size), 2, "not a safetensors file"),
        (("nan.safetensors", f"model={NAME}", size), 2, "'fc.bias' holds what is no number"),
        (("lacking.safetensors", f"model={NAME}", size), 1, "new: layer2.0.conv1.weight; not taken up: other.weight"),
    ):
        error = snowball("import", *words, "-o", f"none-{code}", code=code)["error"]
        assert said in error and "\n" not in error


INPUTS = int(os.environ.get("SNOWBALL_FUZZ", "40"))
HELD = {"a.weight": torch.arange(12.0).view(3, 4), "a.bias": torch.zeros(3, dtype=torch.float16), "n": torch.tensor(7)}
OPCODES = (b"c__builtin__\neval\n", b"\x80\x02", b"R", b"b", b".", b"\x8a\x08" + b"\xff" * 8, b"PK\x03\x04")
WORDS = (b'"', b"[", b"{", b"-1", b"99999999999999999999", b'"F64"', b'"dtype"', b"\xff" * 8)


@fuzzed(INPUTS)
@given(data=st.data())
def test_fuzzed_safetensors_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "w.safetensors"
    path.write_bytes(damaged(data, save(HELD), st.sampled_from(WORDS)))
    read_or_refused(read_source(str(path)).tensors)


@fuzzed(INPUTS)
@given(data=st.data())
def test_fuzzed_torch_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """What happens in the process of their own, without the half second that each of these takes to begin."""
    sound = io.BytesIO()
    torch.save({"state_dict": HELD}, sound, _use_new_zipfile_serialization=data.draw(st.booleans()))
    path = tmp_path_factory.mktemp("fuzz") / "w.pth"
    path.write_bytes(damaged(data, sound.getvalue(), st.sampled_from(OPCODES)))
    read_or_refused(lambda: torch_file.write(path, path.with_name("out.safetensors")))
