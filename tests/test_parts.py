"""A network exported in parts: ONNX Runtime writes token for token what PyTorch writes, at lengths it never saw."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import snowball
from snowball.deploy.parts import export_arguments
from snowball.deploy.session import OnnxPredictor
from snowball.finding import BadInput
from snowball.run import Run

SMALL = {
    "train.epochs": 2,
    "train.preflight": False,
    "train.ema": 0.0,
    "text.tokens": "char",
    "network.layers": 1,
    "network.width": 16,
    "network.heads": 2,
    "network.hidden": 16,
    "optim.lr": 0.01,
}


def pairs(folder: Path, num: int = 60, length: int | None = None) -> Path:
    """A translation that writes backwards; all sources of one length where `length` says so."""
    random = torch.Generator().manual_seed(0)
    path = folder / f"pairs-{num}-{length}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _ in range(num):
            size = length or int(torch.randint(2, 12, (), generator=random))
            word = "".join("abcdefg"[i] for i in torch.randint(7, (size,), generator=random).tolist())
            file.write(json.dumps({"one": word, "two": word[::-1]}) + "\n")
    return path


def train(data: Path, output: Path, **keys: Any) -> Run:
    return snowball.train(str(data), {**SMALL, **keys}, output=output, quiet=True)


def translate(run: Run, onnx: OnnxPredictor, texts: list[str]) -> None:
    found = onnx.predict([onnx.task.encode_given({"source": text}) for text in texts])
    assert [answer["text"] for answer in found] == [answer["text"] for answer in run.predict(*texts)]


@pytest.mark.parametrize("name", ["transformer", "gru", "lstm"])
def test_translations_are_the_same_token_for_token(tmp_path: Path, name: str) -> None:
    run = train(pairs(tmp_path), tmp_path / "run", model=name, source="one", target="two")
    exported = run.export(tmp_path / "m.onnx")
    assert sorted(Path(file).name for file in exported.files) == ["m.onnx", "m.step.onnx"]
    assert set(exported.differences) == {"encode", "step"}
    onnx = OnnxPredictor(tmp_path / "m.onnx")
    for texts in (["a"], ["ab", "gfedcba"], ["abcdefg" * 3, "c", "dd", "abc", "gg", "a" * 7]):
        translate(run, onnx, texts)


@pytest.mark.parametrize("num", [60, 8])
def test_rows_of_one_length_make_no_constants(tmp_path: Path, num: int) -> None:
    """All training sources hold 6 characters, or the test split is a single row: both say nothing of what varies."""
    run = train(pairs(tmp_path, num, length=6), tmp_path / "run", source="one", target="two")
    run.export(tmp_path / "m.onnx")
    onnx = OnnxPredictor(tmp_path / "m.onnx")
    for texts in (["abc"], ["abcdef", "a"], ["gg"] * 5):
        translate(run, onnx, texts)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    random = torch.Generator().manual_seed(0)
    words = ["the", "old", "cat", "sat", "on", "a", "warm", "mat", "and", "slept"]
    picked = torch.randint(10, (2500,), generator=random).tolist()
    path.write_text(" ".join(words[i] for i in picked), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["gpt", "lstm"])
def test_continuations_are_the_same_token_for_token(tmp_path: Path, book: Path, name: str) -> None:
    run = train(book, tmp_path / "run", model=name, **{"language.context": 16})
    run.export(tmp_path / "m.onnx")
    onnx = OnnxPredictor(tmp_path / "m.onnx")
    for prompt in ("t", "the cat", "the old cat sat on the warm mat"):
        for options in ({"temperature": 0.0}, {"temperature": 1.0, "seed": 3}):
            task = run.task({"tokens": 40, **options})
            mine = "".join(task.stream(run.model(), {"text": prompt}))
            assert len(mine) == 40
            assert "".join(task.stream(onnx.parts, {"text": prompt})) == mine
    for texts in (["a cat"], ["the", "a mat and the old cat sat on the mat", "old"]):
        found = onnx.predict([onnx.task.encode_given({"text": text}) for text in texts])
        for answer, expected in zip(found, run.predict(*texts, tokens=0), strict=True):
            assert answer["nll"] == pytest.approx(expected["nll"], rel=1e-4)
            assert answer["tokens"] == expected["tokens"]


def test_a_part_of_other_weights_is_refused_by_name(tmp_path: Path) -> None:
    data = pairs(tmp_path)
    for name, seed in (("one", 0), ("two", 1)):
        run = train(data, tmp_path / name, model="gru", source="one", target="two", **{"train.epochs": 1, "seed": seed})
        run.export(tmp_path / f"{name}.onnx")
    shutil.copy(tmp_path / "two.step.onnx", tmp_path / "one.step.onnx")
    with pytest.raises(BadInput, match=r"one\.step\.onnx: is of other weights than .*one\.onnx: export both anew"):
        OnnxPredictor(tmp_path / "one.onnx")
    (tmp_path / "one.step.onnx").unlink()
    with pytest.raises(BadInput, match=r"one\.step\.onnx: not a readable ONNX file"):
        OnnxPredictor(tmp_path / "one.onnx")
    with pytest.raises(BadInput, match="was not exported by Snowball"):
        OnnxPredictor(tmp_path / "two.step.onnx")


def test_what_varies_is_seen_from_the_calls() -> None:
    calls = [
        ({"a": torch.zeros(batch, 4, time), "b": torch.zeros(batch, time)}, {})
        for batch, time in ((1, 3), (5, 3), (5, 9))
    ]
    example, dynamic = export_arguments(calls)
    assert {name: set(axes) for name, axes in dynamic.items()} == {"a": {0, 2}, "b": {0, 1}}
    assert example["a"].shape[1] == 4
    assert (example["a"].shape[0], example["a"].shape[2]) == tuple(example["b"].shape)
    assert example["a"].shape[0] != example["a"].shape[2]
