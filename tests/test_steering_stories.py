"""What a user of steering types, from a recording to a car that drives; short trainings on drawn roads."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snowball.collect.read.sample_roads import draw_road
from snowball.run import Run

QUICK = ["model=simple_cnn", "image.size=[32,64]", "image.top=20", "image.bottom=0", "preflight=false"]


def record(folder: Path, rows: int = 120, prefix: str = "IMG/") -> list[list[str]]:
    """A recording of three cameras in the simulator's form; a side camera sees the road from half a metre beside."""
    random = np.random.Generator(np.random.Philox(5))
    (folder / "IMG").mkdir(parents=True)
    log = []
    for row in range(rows):
        curvature = float(np.sin(row / 9))
        names = [f"{camera}_{row:03}.png" for camera in ("center", "left", "right")]
        for name, offset in zip(names, (0.0, -0.6, 0.6), strict=True):
            Image.fromarray(draw_road(curvature, offset, random)).save(folder / "IMG" / name)
        angle = 0.0 if abs(curvature) < 0.3 else round(0.7 * curvature, 4)
        log.append([*(prefix + name for name in names), str(angle), "0.5", "0", "20.1"])
    return log


def write_log(folder: Path, rows: list[list[str]], header: str = "") -> None:
    with (folder / "driving_log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows] if header else rows)


def test_a_recording_beside_its_archive_is_learned(snowball: Any, tmp_path: Path) -> None:
    rows = record(tmp_path / "made")
    drive = tmp_path / "drive"
    drive.mkdir()
    with tarfile.open(drive / "IMG.tar", "w") as archive:
        archive.add(tmp_path / "made" / "IMG", "IMG")
    write_log(drive, rows)
    done = snowball("train", drive, "epochs=10", "batch_size=32", "steering.zeros=0.5", "-o", "run", *QUICK)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["zero-angles"]["evidence"] == {"zeros": 19, "kept": 10, "training_rows": 87}
    assert found["side-cameras"]["evidence"]["rows"] == 2 * (87 - 19 + 10)
    recipe = Run("run").recipe.to_dict()
    assert (recipe["task"], recipe["data"]["split"], recipe["augment"]["flip"]) == ("steering", "time", 0.5)
    assert {"mae", "rmse"} <= set(done["metrics"])
    evaluation = json.loads(Path("run", "evaluation.json").read_text())
    assert evaluation["rows"] == 18, "held-out rows are the centre camera's alone"
    assert {"Beside constant answers", "Error by true value"} <= {block["title"] for block in evaluation["blocks"]}
    mean = next(row for row in evaluation["blocks"][0]["content"]["rows"] if row[0] == "always the mean")
    assert done["metrics"]["mae"] < 0.7 * mean[1]
    answers = snowball("predict", "run", tmp_path / "made" / "IMG")["predictions"]
    assert len(answers) == 360 and set(answers[0]) == {"input", "value"}
    exported = snowball("export", "run", "-o", "road.onnx")
    assert exported["verdict"] == "pass"


@pytest.mark.parametrize("prefix", ["/home/someone/sim/IMG/", "C:\\Users\\someone\\sim\\IMG\\"])
def test_a_recorders_own_paths_are_found_by_name(snowball: Any, tmp_path: Path, prefix: str) -> None:
    write_log(tmp_path / "drive", record(tmp_path / "drive", 30, prefix))
    summary = snowball("audit", "drive", *QUICK)["summary"]
    assert summary["splits"] == {"train": 63, "val": 4, "test": 5}
    assert summary["number"]["signs"]["exactly 0"] == 7, "the source's rows are counted, not those of side cameras"


def test_a_header_and_one_camera_will_do(snowball: Any, tmp_path: Path) -> None:
    rows = [[row[0], row[3], str(number % 2)] for number, row in enumerate(record(tmp_path / "drive", 30))]
    write_log(tmp_path / "drive", rows, "image,steering,brake")
    assert snowball("audit", "drive", *QUICK)["summary"]["splits"] == {"train": 21, "val": 4, "test": 5}
    coarse = [[row[0], f"{float(row[1]):.1f}", row[2]] for row in rows]  # few values, as classes have
    write_log(tmp_path / "drive", [*coarse[:29], [rows[29][0], "straight", "0"]], "image,steering,brake")
    found = {finding["check"]: finding for finding in snowball("audit", "drive", "max_bad=0.1", *QUICK)["findings"]}
    assert "row 31: 'straight' is not a number" in found["unreadable-rows"]["message"]
    other = [[row[0], row[1], row[1]] for row in rows]
    write_log(tmp_path / "drive", other, "image,left_wheel,right_wheel")
    assert "data.answer=" in snowball("audit", "drive", *QUICK, code=2)["error"]
    assert snowball("audit", "drive", "task=steering", "data.answer=right_wheel", *QUICK)["verdict"] == "pass"


def test_what_cannot_be_read_is_named_and_nothing_is_lost(snowball: Any, tmp_path: Path) -> None:
    rows = record(tmp_path / "drive", 40)
    rows[3][3], rows[4][3], rows[5][3], rows[6][0] = "hard left", "nan", "", "IMG/gone.png"
    write_log(tmp_path / "drive", rows)
    error = snowball("audit", "drive", *QUICK, code=1)["error"]
    assert "data.max_bad" in error and "driving_log.csv, row 4" in error and "'hard left' is not a number" in error
    found = snowball("audit", "drive", "data.max_bad=0.2", *QUICK)
    (bad,) = [finding for finding in found["findings"] if finding["check"] == "unreadable-rows"]
    named = {row["where"]: row["reason"] for row in bad["evidence"]["rows"]}
    assert named["driving_log.csv, row 5"] == "'nan' is not a finite number"
    assert named["driving_log.csv, row 6"] == "no number in this row"
    assert named["driving_log.csv, row 7"] == "no such file"
    assert named["driving_log.csv, row 4 (left camera)"] == "'hard left' is not a number"
    write_log(tmp_path / "drive", [*rows[:9], rows[9][:6], *rows[10:]])
    assert "row 10: 6 fields, but a driving log has 7" in snowball("audit", "drive", *QUICK, code=2)["error"]
    for row in rows:
        row[:3] = ["IMG/x.png"] * 3
    write_log(tmp_path / "drive", rows)
    assert "is not a file" in snowball("audit", "drive", *QUICK, code=2)["error"]


def test_a_random_split_of_a_recording_is_warned_of(snowball: Any, tmp_path: Path) -> None:
    write_log(tmp_path / "drive", record(tmp_path / "drive", 40))
    checks = [
        {finding["check"] for finding in snowball("audit", "drive", f"data.split={split}", *QUICK)["findings"]}
        for split in ("time", "random")
    ]
    assert ["recording-leak" in found for found in checks] == [False, True]


def test_the_shared_recording_is_read(snowball: Any, shared: Callable[[str], Path]) -> None:
    found = snowball("audit", shared("driving-sim"), "image.size=[16,32]")
    assert found["summary"]["splits"] == {"train": 978, "val": 57, "test": 68}
    assert found["summary"]["number"]["signs"]["exactly 0"] == 337


def test_a_missing_simulator_is_one_line(snowball: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "Box2D", None)
    assert 'pip install "snowball[sim]"' in snowball("drive", "expert", "steps=8", "episodes=1", code=2)["error"]


def test_a_network_drives(snowball: Any) -> None:
    """Recorded, trained and driven, each too short to drive well: what this holds is that it all fits together."""
    pytest.importorskip("gymnasium")
    pytest.importorskip("Box2D")
    recorded = snowball("drive", "expert", "-o", "frames", "episodes=2", "steps=160")
    assert [lap["frames"] for lap in recorded["laps"]] == [40, 40]
    assert "holds something" in snowball("drive", "expert", "-o", "frames", code=2)["error"]
    snowball("train", "frames", "epochs=2", "-o", "run", *QUICK)
    done = snowball("drive", "run", "episodes=2", "steps=40")
    again = snowball("drive", "run", "episodes=2", "steps=40", "-o", "film.mp4")
    assert done["laps"] == again["laps"], "the same tracks give the same laps"
    assert 0 < done["metrics"]["tiles"] < 0.2 and done["metrics"]["mae"] > 0
    assert "Closed loop" in Path("run", "report.html").read_text(encoding="utf-8")
    import av

    with av.open("film.mp4") as film:
        assert film.streams.video[0].frames == 10
    snowball("train", "digits", "model=linear", "epochs=1", "preflight=false", "-o", "digits")
    assert "answers a picture with a number" in snowball("drive", "digits", code=2)["error"]
