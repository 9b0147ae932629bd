"""Training on from a run, a file or timm: what is loaded, what rests, how fast the rest learns, what travels along."""

from __future__ import annotations

import json
import pickle
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from snowball.design import torch_file
from snowball.design.torch_file import read_torch_file
from snowball.display import Display
from snowball.finding import BadInput
from snowball.run import Run
from snowball.storage import read_tensors
from snowball.training.checkpoint import newest_checkpoint
from snowball.training.train import Interrupted, train
from snowball.training.transfer import learning_parts, resting_modules
from snowball.transfer import Source, load_weights, read_source

QUICK = ["train.batch_size=32", "preflight=false", "augment.rotate=0", "augment.scale=0", "augment.shift=0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture
def digits(snowball: Any) -> Path:
    """A run on digits, trained by the first test that needs it."""
    if not Path("base").exists():
        snowball("train", "digits", "epochs=2", "-o", "base", *QUICK)
    return Path("base")


@pytest.fixture
def shades(home: Path) -> Path:
    """Pictures of 12 x 12 in three classes that digits does not know: other labels, another size."""
    random = np.random.Generator(np.random.Philox(3))
    for label, level in (("dark", 40), ("grey", 120), ("light", 200)):
        (home / "shades" / label).mkdir(parents=True, exist_ok=True)
        for number in range(20):
            pixels = random.integers(level - 30, level + 30, (12, 12)).astype(np.uint8)
            Image.fromarray(pixels).save(home / "shades" / label / f"{number}.png")
    return home / "shades"


def tensors(run: str) -> dict[str, torch.Tensor]:
    return read_tensors(Path(run, "model.safetensors"))[0]


def test_features_leave_the_backbone_as_it_is_and_train_a_new_head(snowball: Any, digits: Path, shades: Path) -> None:
    done = snowball("train", shades, "init=base", "transfer=features", "epochs=20", "-o", "rested", *QUICK)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["weights-loaded"]["evidence"]["share"] == 1.0
    assert set(found["weights-loaded"]["evidence"]["mismatched"]) == {"body.16.weight", "body.16.bias"}
    before, after = tensors("base"), tensors("rested")
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"body.16.weight", "body.16.bias"}
    state = Run("rested").schema.columns["image"].state
    assert state == Run("base").schema.columns["image"].state, "sizes and statistics travel with the weights"
    assert done["metrics"]["accuracy"] > 0.8
    again = snowball("evaluate", "rested")["metrics"]
    assert again == pytest.approx(done["metrics"])


def test_cached_features_train_what_the_whole_network_would(snowball: Any, digits: Path, shades: Path) -> None:
    """The same steps with the backbone run in every one of them, since its memory is not enough for features."""
    keys = ("init=base", "transfer=features", "epochs=3", *QUICK)
    cached = snowball("train", shades, *keys, "-o", "cached")
    snowball("train", shades, *keys, "augment.name=none", "data.memory_gb=0.000001", "-o", "uncached")
    assert cached["verdict"] == "pass"
    for name, value in tensors("cached").items():
        assert torch.allclose(value, tensors("uncached")[name], atol=1e-5), name


class Stopper(Display):
    """Sends this process SIGTERM in the middle of the second epoch, as an impatient machine would."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self._training = False

    def start(self, what: str, total: int) -> None:
        super().start(what, total)
        self._training, self._stop_at = what == "epoch", total // 2

    def advance(self, units: int = 1) -> None:
        super().advance(units)
        if self._training and self.done == self._stop_at:
            signal.raise_signal(signal.SIGTERM)


def test_a_stopped_training_on_features_goes_on_to_the_same_bits(digits: Path, home: Path) -> None:
    keys = {"init": str(digits), "transfer": "features", "epochs": 3, "preflight": False}
    train("digits", keys, output=home / "whole", display=Display(quiet=True))
    with pytest.raises(Interrupted):
        train("digits", keys, output=home / "stopped", display=Stopper())
    train(None, {}, resume=home / "stopped", display=Display(quiet=True))
    for name in ("model.safetensors", "last"):
        whole, resumed = (checkpoint(home / run / name) for run in ("whole", "stopped"))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


def checkpoint(path: Path) -> dict[str, torch.Tensor]:
    newest = newest_checkpoint(path) if path.is_dir() else path
    assert newest is not None
    return read_tensors(newest)[0]


def test_finetuning_is_slower_below_the_head_and_later(digits: Path) -> None:
    run = Run(digits)
    asked = {"transfer.init": str(digits), "transfer.lower": 0.001, "transfer.unfreeze": 1.0, "transfer.norm": "frozen"}
    task = run.task_type(run.recipe.replace(asked), run.schema)
    model = task.model()
    parts = learning_parts(task, model)
    assert [round(part.scale, 6) for part in parts] == [1.0, 0.1, 0.01, 0.001]
    assert [part.begins for part in parts] == [0.0, 1.0, 2.0, 3.0]
    held = [id(parameter) for part in parts for parameter in part.parameters]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters()), "each learns in one part"
    assert parts[-1].parameters[0] is next(model.parameters()), "the first layer learns most slowly"
    assert {type(module) for module in resting_modules(task, model)} == {nn.BatchNorm2d}


def test_what_has_not_begun_does_not_move(snowball: Any, digits: Path, shades: Path) -> None:
    snowball("train", shades, "init=base", "transfer.unfreeze=1", "epochs=1", "-o", "head", *QUICK)
    before, after = tensors("base"), tensors("head")
    learned = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name for name in learned if "running" not in name and "num_batches" not in name} == {
        "body.16.weight",
        "body.16.bias",
    }


def test_names_are_found_under_another_prefix(tmp_path: Path) -> None:
    body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    network = nn.ModuleDict({"body": body})
    held = {f"module.{name}": value + 1 for name, value in body.state_dict().items()}
    held["module.2.weight"], held["module.2.bias"] = torch.zeros(5, 8), torch.zeros(5)
    save_file(held, tmp_path / "other.safetensors")
    finding = load_weights(network, ["body.2"], read_source(str(tmp_path / "other.safetensors")))
    assert finding.check == "weights-loaded" and finding.evidence["share"] == 1.0
    assert torch.equal(body[0].weight, held["module.0.weight"])
    assert finding.evidence["mismatched"] == {"body.2.weight": [[3, 8], [5, 8]], "body.2.bias": [[3], [5]]}


def test_weights_of_another_network_are_an_error(snowball: Any, digits: Path, shades: Path) -> None:
    done = snowball("train", shades, "init=base", "model=lenet", "image.size=28", "-o", "other", *QUICK, code=1)
    assert "weights-missing" in done["error"]
    few = load_weights(nn.Sequential(nn.Linear(4, 4)), [], Source("few", lambda: {"0.bias": torch.zeros(4)}))
    assert (few.check, few.severity) == ("weights-missing", "error")
    assert few.evidence["share"] == pytest.approx(0.2)


def test_another_size_than_the_weights_is_a_finding(snowball: Any, digits: Path, shades: Path) -> None:
    done = snowball("train", shades, "init=base", "image.size=10", "epochs=1", "-o", "sized", *QUICK)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["preprocessing-mismatch"]["evidence"]["height"] == [10, 8]
    assert Run("sized").schema.columns["image"].state["height"] == 10


def test_a_detector_begins_from_a_classifier(snowball: Any, shades: Path) -> None:
    snowball("train", shades, "model=timm:resnet10t", "image.size=32", "epochs=1", "-o", "classes", *QUICK)
    keys = ("model=timm:resnet10t", "epochs=1", "train.steps=2", "preflight=false")
    done = snowball("train", "shapes", "init=classes", *keys, "-o", "boxes")
    loaded = next(finding for finding in done["findings"] if finding["check"] == "weights-loaded")
    assert loaded["evidence"]["share"] > 0.9


def test_a_vocabulary_travels_with_its_weights(snowball: Any, home: Path) -> None:
    for name, sides in (("moods", ("glad", "sad")), ("sizes", ("big", "small"))):
        rows = ["text,label", *(f"a {side} word {number},{side}" for number in range(40) for side in sides)]
        Path(f"{name}.csv").write_text("\n".join(rows))
    small = ("network.width=16", "network.layers=1", "epochs=2", "preflight=false")
    snowball("train", "moods.csv", "-o", "moods", *small)
    done = snowball("train", "sizes.csv", "init=moods", "epochs=1", "preflight=false", "-o", "sizes")
    assert next(f for f in done["findings"] if f["check"] == "weights-loaded")["evidence"]["share"] == 1.0
    texts = [json.loads(Path(run, "schema.json").read_text())["columns"]["text"]["state"] for run in ("moods", "sizes")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["resnet20-12fca82f.th", "resnet32-d509ac18.th"])
def test_published_checkpoints_are_read(name: str, shared: Callable[[str], Path]) -> None:
    held = read_torch_file(shared("weights") / "resnet-cifar10" / name)
    assert held["module.conv1.weight"].shape == (16, 3, 3, 3)


class Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harmed"),))


def test_a_pickle_that_would_run_something_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    torch.save({"state_dict": Harm()}, "harm.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Harm()))
    Path("noise.pt").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    torch.save({"epoch": 3}, "empty.pt")
    torch.save({"a": torch.zeros(1).expand(1000, 1000)}, "wide.pt")
    with zipfile.ZipFile("wide.pt") as stored, zipfile.ZipFile("bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in stored.namelist():
            bomb.writestr(entry, stored.read(entry))
    for name, said in (
        ("harm.pt", "plain tensors .* GLOBAL"),
        ("plain.pt", "plain tensors"),
        ("noise.pt", "plain tensors"),
        ("empty.pt", "no tensors in it; it holds epoch"),
        ("wide.pt", "claim 4,000,000 bytes, and the file has 1,"),
        ("bomb.pt", "entries are compressed"),
    ):
        with pytest.raises(BadInput, match=said) as refused:  # a process of its own begins in 3 s
            read_torch_file(Path(name)) if name == "harm.pt" else torch_file.write(Path(name), Path("out"))
        assert "\n" not in str(refused.value)
    assert not Path("harmed").exists()


def test_bad_questions_get_one_line(snowball: Any, home: Path) -> None:
    Path("broken.safetensors").write_bytes(b"\xff" * 64)
    for words, said in (
        (("transfer=features",), "init="),
        (("init=nowhere",), "no such run folder or file"),
        (("init=broken.safetensors",), "not a safetensors file"),
        (("init=timm:resnet81",), "nearest: resnet"),
        (("init=transfer.csv",), "no such run folder"),
    ):
        error = snowball("train", "digits", *words, "-o", "none", *QUICK, code=2)["error"]
        assert said in error and "\n" not in error
        assert not Path("none").exists()
