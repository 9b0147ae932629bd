"""What a program hands over, what is said of it as a whole, and that it is left as it was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snowball
from snowball.checks import check_program
from snowball.cli import main
from snowball.finding import BadInput

SOURCE = """
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build(end):
    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10), *end)
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(TensorDataset(x[:600], y[:600]), 50, shuffle=True),
        "val": DataLoader(TensorDataset(x[600:900], y[600:900]), 100),
        "optimizer": torch.optim.Adam(model.parameters(), 0.01),
        "epochs": 5,
    }


def setup():
    return build([nn.Softmax(1)])


def fixed():
    return build([])


def broken():
    return build([1 / 0])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "training.py"
    path.write_text(SOURCE)
    return path


def test_a_program_is_checked_by_the_name_of_its_setup(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{source}:setup", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    first = told["findings"][0]
    assert (told["verdict"], first["check"], first["severity"]) == ("fail", "loss-input", "error")
    assert main(["check", f"{source}:fixed", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["verdict"], told["untested"]) == ("pass", {})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("training.py:stup", "no function 'stup' (nearest: setup)"),
        ("none.py:setup", "no such file"),
        ("training.py:broken", "training.py, line 33: ZeroDivisionError: division by zero"),
    ],
)
def test_a_setup_that_is_not_there_is_told(
    source: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert main(["check", str(source.parent / name)]) == 2
    assert said in capsys.readouterr().err


def parts(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    x = torch.randn(120, 6)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(TensorDataset(x, x[:, :3].argmax(1)), 20, shuffle=True),
        "optimizer": torch.optim.Adam(model.parameters(), 0.01),
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": None}, "no 'loss'"),
        ({"optimiser": 1}, "(nearest: optimizer)"),
        ({"model": 3}, "'model' is int, not an nn.Module"),
        ({"train": iter([])}, "cannot be gone through twice"),
        ({"train": [1, 2]}, "not (inputs, targets)"),
        ({"train": []}, "gives no batch"),
        ({"epochs": 0}, "'epochs' is 0"),
        ({"scheduler_step": "step"}, "right would be 'batch' or 'epoch'"),
        ({"model": nn.Linear(5, 3)}, "cannot be called with the first training batch"),
    ],
)
def test_parts_that_make_no_program_are_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_program(parts(**changes))
    assert said in str(caught.value)


def test_a_program_is_left_as_it_was() -> None:
    given = parts()
    model, optimizer = given["model"], given["optimizer"]
    for x, y in given["train"]:  # so that there is a state to lose
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moments = {id(p): optimizer.state[p]["exp_avg"].clone() for p in model.parameters()}
    grads = [p.grad.clone() for p in model.parameters()]
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    result = check_program(given, seconds=20)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(moments[id(p)], optimizer.state[p]["exp_avg"]) for p in model.parameters())
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, model.parameters(), strict=True))
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()
    assert states[2] == random.getstate()
    assert not model.training
    assert result.verdict in ("pass", "fail")


def test_without_time_the_verdict_is_to_abstain() -> None:
    result = check_program(parts(), seconds=0.0)
    assert result.verdict == "abstain"
    assert "s are up" in next(iter(result.untested.values()))


def test_python_says_the_same_words() -> None:
    given = parts()
    found = snowball.check(
        given["model"], lambda o, t: -F.cross_entropy(o, t), given["train"], None, given["optimizer"]
    )
    assert found[0].check == "loss-sign"
    with pytest.raises(BadInput, match=r"'epohcs', which is not known \(nearest: epochs\)"):
        snowball.check(parts, epohcs=5)


def test_the_fixture_fails_a_test_of_a_buggy_program(source: Path) -> None:
    (source.parent / "test_training.py").write_text(
        "import training\n\n\ndef test_it(snowball_check):\n    snowball_check(training.setup)\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "test_training.py"]
    done = subprocess.run(words, cwd=source.parent, capture_output=True, text=True, check=False)
    assert "error loss-input" in done.stdout
    assert "1 failed" in done.stdout


def test_the_fixture_takes_a_reason(snowball_check: Any) -> None:
    given = parts(loss=lambda o, t: -F.cross_entropy(o, t))
    with pytest.raises(pytest.fail.Exception, match="loss-sign"):
        snowball_check(given)
    reasons = dict.fromkeys(["loss-sign", "wrong-loss", "non-finite", "lr-too-high"], "climbs on purpose")
    assert snowball_check(given, reasons).verdict == "fail"
