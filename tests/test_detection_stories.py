"""What a user types who has pictures with boxes, from a folder in Pascal's form to a server; one short training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from snowball.collect.convert import convert_boxes
from snowball.collect.read.sample_shapes import shapes
from snowball.deploy.session import OnnxPredictor
from snowball.display import Display
from snowball.kinds._image_decode import resize_picture
from snowball.table import Column, Table

from .served import served

PICTURES = 48
SIDE = 32
LABELS = {"circle", "square", "triangle"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `voc`, the first of the sample's pictures at half their size, and `run`, trained on it."""
    home = tmp_path_factory.mktemp("detection")
    table = shapes()
    pictures = [
        np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE))) for pixels in table.column("image").cells[:PICTURES]
    ]
    cells = [
        {**cell, "boxes": [[at / 2 for at in box] for box in cell["boxes"]], "width": SIDE, "height": SIDE}
        for cell in table.column("boxes").cells[:PICTURES]
    ]
    columns = {"image": Column("image", "image", pictures), "boxes": Column("boxes", "boxes", cells)}
    splits = ["train"] * (PICTURES - 16) + ["val"] * 8 + ["test"] * 8
    small = Table("small", columns, splits, lambda row: f"{row:02d}.png")
    assert convert_boxes(small, "voc", home / "voc", Display(quiet=True)) == []
    return home


@pytest.fixture
def trained(snowball: Any) -> Any:
    """The answer of the training, which the first test that needs it runs."""
    if not Path("run").exists():
        keys = ("epochs=12", "batch_size=8", "optim.lr=0.004", "augment.scale=0", "augment.shift=0")
        Path("trained.json").write_text(json.dumps(snowball("train", "voc", "-o", "run", "preflight=false", *keys)))
    return json.loads(Path("trained.json").read_text())


def test_an_audit_counts_boxes_and_splits(snowball: Any) -> None:
    done = snowball("audit", "voc")
    assert done["verdict"] == "pass"
    assert done["summary"]["splits"] == {"train": 32, "val": 8, "test": 8}
    assert set(done["summary"]["boxes"]["boxes"]) == LABELS


def test_a_training_is_scored_by_what_it_finds(snowball: Any, trained: Any) -> None:
    assert {"map50", "map", "map75", "map_small"} <= set(trained["metrics"])
    assert 0 <= trained["metrics"]["map"] <= trained["metrics"]["map50"] <= 1
    done = snowball("evaluate", "run")
    assert done["metrics"] == pytest.approx(trained["metrics"])
    report = Path("run", "report.html").read_text(encoding="utf-8")
    assert "Precision and recall" in report and "map50" in report


def test_a_file_is_answered_with_boxes_in_its_own_pixels(snowball: Any, trained: Any) -> None:
    Image.open("voc/JPEGImages/00.png").resize((SIDE * 8, SIDE * 4), Image.Resampling.NEAREST).save("wide.png")
    seen = resize_picture(np.asarray(Image.open("wide.png")), SIDE, SIDE)  # what the network sees of it
    Image.fromarray(seen.permute(1, 2, 0).numpy()).save("seen.png")
    same, wide = snowball("predict", "run", "seen.png", "wide.png", "score=0.02")["predictions"]
    assert (same["input"], wide["input"]) == ("seen.png", "wide.png")
    assert len(same["boxes"]) == len(wide["boxes"]) > 0
    for small, large in zip(same["boxes"], wide["boxes"], strict=True):
        assert (small["label"], small["score"]) == (large["label"], large["score"])
        assert small["label"] in LABELS and 0.02 <= small["score"] <= 1
        scaled = [at * by for at, by in zip(small["box"], (8, 4) * 2, strict=True)]
        assert scaled == pytest.approx(large["box"], abs=0.1)
        x1, y1, x2, y2 = large["box"]
        assert 0 <= x1 < x2 <= SIDE * 8 and 0 <= y1 < y2 <= SIDE * 4
    half = max(box["score"] for box in wide["boxes"]) / 2  # how sure a short training is hangs on the machine
    sure = snowball("predict", "run", "wide.png", f"score={half}")["predictions"][0]["boxes"]
    assert sure == [box for box in wide["boxes"] if box["score"] >= half]


def test_answers_are_drawn_into_a_folder(snowball: Any, trained: Any) -> None:
    done = snowball("predict", "run", "voc/JPEGImages", "score=0.1", "-o", "drawn")
    assert len(done["predictions"]) == PICTURES
    drawn = sorted(Path("drawn").iterdir())
    assert [path.name for path in drawn][:2] == ["00.jpg", "01.jpg"], "called as the picture is"
    assert len(drawn) == PICTURES
    with Image.open(drawn[0]) as picture:
        assert picture.size == (320, 320), "small pictures are enlarged to draw on"
    snowball("predict", "run", "voc/JPEGImages/00.png", "-o", "answers.jsonl")
    assert json.loads(Path("answers.jsonl").read_text())["input"] == "voc/JPEGImages/00.png"


def test_pictures_of_one_name_are_drawn_apart(snowball: Any, trained: Any) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Image.open("voc/JPEGImages/00.png").save(Path(folder, "same.png"))
    snowball("predict", "run", "one", "two", "-o", "apart")
    assert sorted(path.name for path in Path("apart").iterdir()) == ["same.jpg", "same_2.jpg"]


@pytest.fixture
def exported(snowball: Any, trained: Any) -> Any:
    """The answer of the export, which the first test that needs it runs."""
    if not Path("exported.json").exists():
        Path("exported.json").write_text(json.dumps(snowball("export", "run", "-o", "boxes.onnx")))
    return json.loads(Path("exported.json").read_text())


def test_an_export_finds_the_same_boxes(exported: Any) -> None:
    assert exported["verdict"] == "pass"
    assert exported["export"]["rows"] == 8
    assert max(exported["export"]["differences"].values()) < 1e-3
    assert exported["export"]["metrics"] == pytest.approx(exported["export"]["metrics_onnx"])


@pytest.fixture
def client(home: Path, exported: Any) -> Iterator[httpx.Client]:
    """A client of a real server of the exported file."""
    with served(OnnxPredictor(home / "boxes.onnx", threads=1), {"name": "run"}) as client:
        yield client


def test_a_server_gives_the_boxes_that_predict_gives(snowball: Any, client: httpx.Client) -> None:
    content = Path("voc/JPEGImages/00.png").read_bytes()
    response = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
    assert response.status_code == 200, response.text
    (served,) = response.json()["predictions"]
    (wanted,) = snowball("predict", "run", "voc/JPEGImages/00.png")["predictions"]
    assert [box["label"] for box in served["boxes"]] == [box["label"] for box in wanted["boxes"]]
    for one, other in zip(served["boxes"], wanted["boxes"], strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=0.05)
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
    assert client.post("/predict", content=b"no picture", headers={"Content-Type": "image/png"}).status_code == 400


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_a_folder_is_converted_and_reads_the_same(form: str, snowball: Any) -> None:
    done = snowball("data", "convert", "voc", "-o", form, f"form={form}")
    assert done["verdict"] == "pass" and done["files"] == [form]
    before, after = (snowball("audit", name)["summary"] for name in ("voc", form))
    assert before == after
    for words, said in (
        ((form, f"form={form}"), "is there already"),
        (("new", "form=cooc"), "nearest: coco"),
        (("new",), "not one of voc, coco, yolo"),
    ):
        assert said in snowball("data", "convert", "voc", "-o", *words, code=2)["error"]
    assert "where to?" in snowball("data", "convert", "voc", f"form={form}", code=2)["error"]
    assert (
        "no column of pictures and one of boxes"
        in snowball("data", "convert", "digits", "-o", "new", "form=voc", code=2)["error"]
    )


def test_bad_questions_get_one_line(snowball: Any, trained: Any) -> None:
    Path("words.png").write_text("not a picture")
    for words, said in (
        (("train", "voc", "model=lihgt", "-o", "new"), "nearest: light"),
        (("train", "voc", "augment.mixup=0.5", "-o", "new"), "cannot be blended"),
        (("train", "voc", "boxes.max_overlap=2", "-o", "new"), "boxes.max_overlap"),
        (("predict", "run", "words.png"), "words.png"),
        (("predict", "run", "voc/JPEGImages/00.png", "score=2"), "score"),
        (("predict", "run", "voc/JPEGImages/00.png", "scores=0.2"), "nearest: score"),
    ):
        error = snowball(*words, code=2)["error"]
        assert said in error
        assert "\n" not in error
        assert not Path("new").exists(), "nothing is left behind"


def test_blood_cells_are_read_with_their_blemishes(snowball: Any, shared: Callable[[str], Path]) -> None:
    done = snowball("audit", shared("bccd"), "image.size=32")
    assert done["summary"]["splits"] == {"train": 205, "val": 87, "test": 72}
    assert done["summary"]["boxes"]["boxes"] == {"RBC": 4155 - 2, "WBC": 372, "Platelets": 361}
    assert done["summary"]["image"]["sizes"] == {"480 x 640": 364}
    (bad,) = [finding for finding in done["findings"] if finding["check"] == "bad-boxes"]
    assert bad["evidence"]["count"] == 2
    first, second = bad["evidence"]["boxes"]
    for named, file in ((first, "BloodImage_00338.xml"), (second, "BloodImage_00343.xml")):
        assert file in named and "no area; set aside" in named
