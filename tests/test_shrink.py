"""A smaller run is a run like any other, and what it costs is said."""

from __future__ import annotations

import json

import pytest
import torch

import snowball
from snowball.cli import main
from snowball.finding import BadInput
from snowball.run import Run
from snowball.storage import read_tensors, write_tensors
from snowball.weights import read_weights, write_weights


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("shrink")
    asked = {"model": "mlp", "train.epochs": 6, "train.preflight": False}
    return snowball.train("digits", asked, output=folder / "run", quiet=True)


def test_a_smaller_run_does_all_that_a_run_does(run: Run, capsys) -> None:
    assert main(["shrink", str(run.path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["verdict"] == "pass" and result["run"].endswith("run-int8")
    assert result["bytes_after"] < 0.3 * result["bytes_before"]
    assert result["rows"] == 270
    assert abs(result["metrics"]["accuracy"] - result["metrics_before"]["accuracy"]) < 0.02
    made = Run(result["run"])
    stored, _ = read_tensors(made.path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.int8, torch.float32}
    assert made.metrics == result["metrics"]
    assert main(["evaluate", str(made.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]["accuracy"] == made.metrics["accuracy"]
    assert made.explain(rows=1)[0].heaviest > 0
    assert made.export(made.path / "model.onnx").metrics_onnx["accuracy"] > 0.9
    keys = {"model": "mlp", "transfer.init": str(made.path), "train.epochs": 1, "train.preflight": False}
    on = snowball.train("digits", keys, output=made.path.with_name("on"), quiet=True)
    assert on.metrics["accuracy"] > made.metrics["accuracy"] - 0.05


def test_half_precision_takes_half(run: Run) -> None:
    made = run.shrink("float16")
    before, after = ((one.path / "model.safetensors").stat().st_size for one in (run, made))
    assert 0.45 * before < after < 0.6 * before
    for one, other in zip(run.model().parameters(), made.model().parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-7)


def test_what_costs_too_much_fails(run: Run, tmp_path, capsys) -> None:
    """Rows of a matrix that one huge number makes too coarse for all others: of a pixel that is always 0."""
    tensors = read_weights(run.path / "model.safetensors")
    name = next(name for name, tensor in tensors.items() if tensor.dim() == 2)
    state = run.schema.columns["image"].state
    tensors[name.replace("weight", "bias")] += 1e4 * state["mean"][0] / state["std"][0]
    tensors[name][:, 0] = 1e4
    broken = Run.create(tmp_path / "broken", run.recipe, run.schema, {})
    broken.save_model(tensors)
    assert main(["shrink", str(broken.path), "-o", str(tmp_path / "small"), "--json"]) == 1
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["metrics_before"]["accuracy"] > 0.9 > result["metrics"]["accuracy"]
    assert [finding["check"] for finding in result["findings"]] == ["shrink-worse"]


def test_bad_asks_are_one_line_and_leave_nothing(run: Run, tmp_path, capsys) -> None:
    (tmp_path / "there" / "own").mkdir(parents=True)
    for words in (
        ["shrink", str(run.path), "quantize=int3"],
        ["shrink", str(run.path), "-o", str(tmp_path / "there")],
        ["shrink", str(run.path), f"data={tmp_path / 'none'}", "-o", str(tmp_path / "new")],
        ["shrink"],
    ):
        assert main(words) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()
    again = run.shrink(path=tmp_path / "small")
    with pytest.raises(BadInput, match="int8 makes"):
        again.shrink(path=tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


def test_weights_come_back_within_half_a_step(tmp_path) -> None:
    torch.manual_seed(0)
    tensors = {"a": torch.randn(5, 7), "bias": torch.randn(5), "zero": torch.zeros(3, 3), "count": torch.tensor(3)}
    write_weights(tmp_path / "w", tensors, "int8", tensors)
    found = read_weights(tmp_path / "w")
    assert found.keys() == tensors.keys()
    assert torch.equal(found["bias"], tensors["bias"]) and torch.equal(found["count"], tensors["count"])
    step = tensors["a"].abs().amax(1, keepdim=True) / 127
    assert ((found["a"] - tensors["a"]).abs() <= 0.5001 * step).all() and not found["zero"].any()
    tensors["a"][0, 0] = 1e9
    write_weights(tmp_path / "h", tensors, "float16", tensors)
    assert torch.equal(read_weights(tmp_path / "h")["a"], tensors["a"]), "what float16 cannot hold stays as it is"


def test_a_header_that_lies_is_refused(tmp_path) -> None:
    write_tensors(tmp_path / "w", {"a": torch.ones(2, 2, dtype=torch.int8)}, {"forms": {"a": "int8"}})
    with pytest.raises(BadInput, match="'a' is not what its header says"):
        read_weights(tmp_path / "w")
    wrong = {"a": torch.ones(2, 2, dtype=torch.int8), "scale of a": torch.ones(3, 1)}
    write_tensors(tmp_path / "v", wrong, {"forms": {"a": "int8"}})
    with pytest.raises(BadInput, match="'a' is not what its header says"):
        read_weights(tmp_path / "v")
    bomb = {"a": torch.ones(1000, 1, dtype=torch.int8), "scale of a": torch.ones(1, 100_000)}  # 400 MB of 0.4
    write_tensors(tmp_path / "u", bomb, {"forms": {"a": "int8"}})
    with pytest.raises(BadInput, match="'a' is not what its header says"):
        read_weights(tmp_path / "u")
