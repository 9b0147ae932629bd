"""The command line as a person types it: the five steps, and one clear line with exit code 2 for each bad input."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import snowball
from snowball.cli import main

QUICK = ["model=linear", "epochs=2", "preflight=false"]


def command(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the last line of stdout as JSON, and stderr of `snowball WORDS --json`, run in this process."""
    from contextlib import redirect_stderr, redirect_stdout

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*words, "--json"])
    lines = out.getvalue().splitlines()
    assert len(lines) == 1, f"stdout is for one JSON object: {lines}"
    return code, json.loads(lines[-1]), err.getvalue()


def refused(*words: str) -> str:
    """The one line that a bad command ends with."""
    code, result, err = command(*words)
    assert code == 2, (result, err)
    last = err.strip().splitlines()[-1]
    assert last.startswith("snowball: ") and "Traceback" not in err
    return last


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), num: int = 40) -> Path:
    """Dark pictures are cats, bright ones dogs."""
    random = np.random.default_rng(0)
    for level, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(num):
            pixels = random.integers(0, 100, (12, 12), dtype=np.uint8) + np.uint8(100 * level)
            Image.fromarray(pixels).save(root / name / f"{i:03}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder of pictures."""
    root = tmp_path_factory.mktemp("trained")
    write_folder(root / "pets")
    code, result, _ = command("train", str(root / "pets"), "model=linear", "lr=0.01", "-o", str(root / "run"))
    assert code == 0
    assert result["run"] == str(root / "run")
    return root


def test_train_evaluate_predict_export(trained: Path) -> None:
    run = str(trained / "run")
    code, result, _ = command("evaluate", run)
    assert code == 0 and result["verdict"] == "pass"
    assert result["metrics"]["accuracy"] == 1.0
    assert {"accuracy", "f1", "ece", "loss"} <= result["metrics"].keys()
    code, result, _ = command("predict", run, str(trained / "pets" / "dog" / "000.png"), str(trained / "pets" / "cat"))
    assert code == 0
    assert [answer["label"] for answer in result["predictions"]] == ["dog"] + ["cat"] * 40
    code, result, _ = command("export", run, "-o", "model.onnx")
    assert code == 0 and result["files"] == ["model.onnx"]
    assert Path("model.onnx").stat().st_size > 1000
    assert not list(Path().glob(".*.tmp"))
    for name in (
        "recipe.yaml",
        "schema.json",
        "environment.json",
        "model.safetensors",
        "metrics.jsonl",
        "findings.json",
    ):
        assert (trained / "run" / name).is_file()
    assert (trained / "run" / "report.html").stat().st_size > 5000


def test_evaluate_on_other_data(trained: Path) -> None:
    other = write_folder(Path("other"), num=7)
    code, result, _ = command("evaluate", str(trained / "run"), str(other))
    assert code == 0
    assert json.loads((trained / "run" / "evaluation.json").read_text())["rows"] == 14
    assert result["metrics"]["accuracy"] == 1.0


def test_python_says_the_same_words(trained: Path) -> None:
    run = snowball.train(str(trained / "pets"), {"optim.lr": 0.01}, model="linear", epochs=5, quiet=True)
    assert run.path == Path("runs/pets-001")
    assert run.evaluate().metrics["accuracy"].value == 1.0
    (answer,) = run.predict(str(trained / "pets" / "cat" / "001.png"))
    assert answer["label"] == "cat"
    assert run.export("m.onnx").rows == 12
    # nothing is wrong but that a border alone tells dark cats from bright dogs
    assert [finding.check for finding in snowball.audit(str(trained / "pets"))] == ["background-leak"]
    assert [f.check for f in snowball.check(str(trained / "pets"), model="linear")] == ["background-leak"]


def test_the_same_recipe_gives_the_same_bits(trained: Path) -> None:
    for name in ("one", "two"):
        assert command("train", str(trained / "pets"), *QUICK, "-o", name)[0] == 0
    manifests = [json.loads(Path(name, "manifest.json").read_text())["tensors"] for name in ("one", "two")]
    assert manifests[0] == manifests[1]


# Each bad input: one clear line, exit code 2, nothing left behind.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere"], "nowhere"),
        (["train", "digitz"], "digits"),
        (["train"], "snowball train DATA"),
        (["train", "digits", "epcohs=3"], "nearest: epochs"),
        (["train", "digits", "epochs=many"], "train.epochs: 'many'"),
        (["train", "digits", "model=resnet19"], "nearest: resnet18"),
        (["train", "digits", "model=timm:resnet19"], "nearest: resnet18"),
        (["train", "digits", "model=alexnet", "image.size=20"], "63 x 63"),
        (["train", "digits", "preset=quick"], "presets fast"),
        (["train", "digits", "task=images"], "image-classification"),
        (["train", "digits", "device=cuda:9"], "train.device=cuda:9"),
        (["train", "resume=nowhere"], "nowhere: no such run folder"),
        (["trian", "digits"], "nearest: train"),
        (["train", "digits", "--epochs=3"], "key=value"),
        (["predict", "nowhere", "7.png"], "nowhere: no such run folder"),
        (["evaluate"], "snowball evaluate RUN"),
        (["evaluate", "nowhere", "digits", "mnist"], "'mnist' is a word too many: snowball evaluate RUN"),
        (["serve", "nowhere", "elsewhere"], "'elsewhere' is a word too many"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], said: str) -> None:
    assert said in refused(*words)
    assert not Path("runs").exists()


def test_bad_folders() -> None:
    Path("empty").mkdir()
    assert "empty" in refused("train", "empty")
    write_folder(Path("lonely"), classes=("cat",))
    assert "only one class" in refused("train", "lonely")


def test_a_missing_label_column_names_the_nearest() -> None:
    write_folder(Path("pets"), num=3)
    Path("table.csv").write_text("file,colour\npets/cat/000.png,red\npets/dog/000.png,blue\n")
    line = refused("train", "table.csv", "answer=color")
    assert "data.answer=color" in line and "nearest: colour" in line


def test_two_labels_for_one_file_name_both_rows() -> None:
    write_folder(Path("pets"), num=3)
    Path("table.csv").write_text("file,label\npets/cat/000.png,cat\npets/dog/000.png,dog\npets/cat/000.png,dog\n")
    line = refused("train", "table.csv")
    assert "row 2" in line and "row 4" in line


def test_unreadable_pictures_are_named_counted_and_gated() -> None:
    root = write_folder(Path("pets"), num=60)
    (root / "cat" / "000.png").write_bytes(b"no picture")
    code, result, _ = command("train", str(root), *QUICK, "-o", "ok")
    assert code == 0
    (finding,) = [f for f in result["findings"] if f["check"] == "unreadable-rows"]
    assert "cat/000.png" in finding["evidence"]["rows"][0]["where"]
    for i in range(1, 4):
        (root / "cat" / f"{i:03}.png").write_bytes(b"")
    code, result, err = command("train", str(root), *QUICK, "-o", "gated")
    assert code == 1 and result["verdict"] == "fail"
    assert "4 of 120 rows cannot be read, more than data.max_bad=0.01" in err
    assert command("train", str(root), *QUICK, "max_bad=0.1", "-o", "allowed")[0] == 0
    assert not Path("gated").exists()


def test_a_zip_that_slips_out_is_refused() -> None:
    with zipfile.ZipFile("slip.zip", "w") as archive:
        archive.writestr("../../outside.png", b"x")
    assert "outside.png" in refused("train", "slip.zip")
    assert not (Path.cwd().parent.parent / "outside.png").exists()


def test_a_run_folder_that_exists_is_kept(trained: Path) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    assert "mine: exists already" in refused("train", str(trained / "pets"), *QUICK, "-o", "mine")
    assert Path("mine/notes.txt").read_text() == "keep"


def damaged(trained: Path, change: Callable[[Path], None], name: str) -> str:
    shutil.copytree(trained / "run", "copy")
    change(Path("copy", name))
    return refused("predict", "copy", str(trained / "pets" / "cat" / "000.png"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("name", ["model.safetensors", "recipe.yaml", "schema.json"])
@pytest.mark.parametrize("change", [flip, cut])
def test_damaged_files_are_refused_by_name(trained: Path, name: str, change: Callable[[Path], None]) -> None:
    assert name in damaged(trained, change, name)


def test_a_damaged_manifest_is_refused(trained: Path) -> None:
    assert "manifest.json" in damaged(trained, cut, "manifest.json")


def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_offered(trained: Path) -> None:
    words = [str(trained / "pets"), *QUICK, "checkpoint_seconds=0"]
    assert command("train", *words, "-o", "whole")[0] == 0
    shutil.copytree("whole", "broken")
    for name in ("manifest.json", "model.safetensors"):
        Path("broken", name).unlink()
    first, second = sorted(Path("broken/last").iterdir())
    flip(second)
    line = refused("train", "resume=broken")
    assert second.name in line and f"snowball train resume={first}" in line
    assert command("train", f"resume={first}")[0] == 0
    assert Path("whole/model.safetensors").read_bytes() == Path("broken/model.safetensors").read_bytes()


def test_changed_data_is_not_resumed(trained: Path) -> None:
    root = write_folder(Path("pets"))
    assert command("train", str(root), *QUICK, "-o", "run")[0] == 0
    Path("run/manifest.json").unlink()
    (root / "cat" / "000.png").unlink()
    assert "the data has changed since" in refused("train", "resume=run")
    assert "finished already" in refused("train", f"resume={trained / 'run'}")
    assert "own recipe" in refused("train", "resume=run", "epochs=9")


def test_a_full_disk_is_one_line_and_loses_nothing(trained: Path) -> None:
    """Files are limited to 3 kB in a child process: the recipe fits, the weights of an mlp do not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))

    words = [
        "train",
        str(trained / "pets"),
        "model=mlp",
        "epochs=2",
        "preflight=false",
        "channels_last=no",
        "-o",
        "run",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "snowball", *words],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": str(Path(snowball.__file__).parents[1])},
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("snowball: run/") and "could not be written" in last
    assert command("train", "resume=run")[0] == 0
    assert command("evaluate", "run")[1]["metrics"]["accuracy"] > 0.9


def test_a_port_in_use_is_one_line(trained: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused("serve", str(trained / "run"), f"port={port}")


def test_waived_errors_need_a_reason_and_stand_in_the_findings() -> None:
    root = write_folder(Path("pets"))
    for path in root.rglob("*.png"):
        Image.new("L", (12, 12), 7).save(path)
    code, _, err = command("train", str(root), "model=linear", "epochs=1", "-o", "stopped")
    assert code == 1 and 'waive.constant-input="your reason"' in err
    waivers = ["waive.constant-input=testing", "waive.cannot-overfit=testing", "waive.input-ignored=testing"]
    code, result, _ = command("train", str(root), "model=linear", "epochs=1", *waivers, "-o", "waived")
    assert code == 0
    assert "constant-input" in {f["check"] for f in result["findings"]}


def test_a_training_that_diverges_stops_and_is_on_record(trained: Path) -> None:
    words = ["train", str(trained / "pets"), "model=mlp", "optim=sgd", "lr=1e30", "preflight=false", "-o", "run"]
    code, result, err = command(*words)
    assert code == 1 and result["verdict"] == "fail" and "training stopped: the training loss is" in err
    (finding,) = json.loads(Path("run/findings.json").read_text())["training"]
    assert finding["check"] == "non-finite" and "optim.lr" in finding["fix"]


def test_audit_counts_what_there_is(trained: Path) -> None:
    code, result, _ = command("audit", str(trained / "pets"))
    assert code == 0
    assert result["summary"]["label"]["classes"] == {"cat": 40, "dog": 40}
    assert result["summary"]["image"] == {"sizes": {"12 x 12": 80}, "modes": {"grey": 80}}
    assert sum(result["summary"]["splits"].values()) == 80


def test_pictures_of_every_size_and_mode_go_the_whole_way() -> None:
    random = np.random.default_rng(0)
    for i in range(90):
        pixels = random.integers(0, 80, (*random.integers(30, 90, 2), 3)) + 80 * (i % 3)
        picture = Image.fromarray(pixels.astype(np.uint8)).convert(("RGB", "L", "RGBA", "P", "CMYK")[i % 5])
        folder = Path("mixed", f"class {i % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{i}.{'jpg' if picture.mode == 'CMYK' else 'png'}")
    words = ["train", "mixed", "model=linear", "image.size=24", "epochs=8", "preflight=false", "-o", "run"]
    code, result, _ = command(*words)
    assert code == 0
    assert {f["check"] for f in result["findings"]} >= {"mixed-modes", "mixed-sizes"}
    code, result, _ = command("export", "run", "-o", "mixed.onnx")
    assert code == 0, result
    assert result["export"]["metrics"] == pytest.approx(result["export"]["metrics_onnx"], abs=0.02)


def test_listings() -> None:
    assert "digits" in command("data")[1]["data"]
    assert "simple_cnn" in command("models")[1]["models"]["image-classification"]


@pytest.mark.parametrize("words", [("--help",), ("data",)])
def test_who_reads_no_more_ends_it_without_a_word(words: tuple[str, ...]) -> None:
    """As `snowball data | head -1` does: by SIGPIPE, which a shell calls 141."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "snowball", *words], stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(snowball.BadInput):
        main(["train", "nowhere", "--debug"])
