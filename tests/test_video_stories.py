"""What a user types on a folder of clips, from the data to an answer; short trainings of small networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from snowball.deploy.serve import ServeSection, build_app
from snowball.deploy.session import OnnxPredictor

from .films import moving, write_film

SMALL = ["video.size=16", "video.frames=6", "train.epochs=2", "preflight=false"]


def checks(done: dict[str, Any]) -> set[str]:
    return {finding["check"] for finding in done["findings"]}


def test_a_folder_of_clips(snowball: Any) -> None:
    for name, step in (("left", -3), ("right", 3)):
        for number, suffix in enumerate((".mp4", ".avi", ".mkv", ".mov") * 6):
            write_film(Path("clips", name, f"{number}{suffix}"), moving(step, seed=number + 100 * (step > 0)))
    Path("clips", "left", "broken.mp4").write_bytes(b"this is no video")
    done = snowball("train", "clips", "data.max_bad=0.1", "-o", "run", *SMALL)
    assert "unreadable-rows" in checks(done)
    evaluation = json.loads(Path("run", "evaluation.json").read_text())
    assert set(evaluation["controls"]) == {"single frame"}
    assert "single frame" in Path("run", "report.html").read_text(encoding="utf-8")
    answers = snowball("predict", "run", "clips/left/0.mp4", "clips/right")["predictions"]
    assert len(answers) == 25
    assert "not a video" in snowball("predict", "run", "clips/left/broken.mp4", code=2)["error"]
    snowball("export", "run", "-o", "clips.onnx")
    app = build_app(OnnxPredictor(Path("clips.onnx"), threads=1), ServeSection(), {"name": "clips"})
    with TestClient(app, base_url="http://127.0.0.1") as client:
        sent = {"content": Path("clips/left/0.mp4").read_bytes(), "headers": {"Content-Type": "video/mp4"}}
        served = client.post("/predict", **sent).json()["predictions"][0]
        assert served["label"] == answers[0]["label"]
        refused = client.post("/predict", **{**sent, "content": b"no video"})
        assert refused.status_code == 400 and "not a video" in refused.json()["error"]


def test_rows_that_are_parts_of_files(snowball: Any) -> None:
    rows = ["file,start,end,label"]
    for number in range(6):
        film = [*moving(3, 30, seed=number), *moving(-3, 30, seed=number)]
        write_film(Path("clips", f"{number}.mp4"), film)
        rows += [f"{number}.mp4,{second},{second + 1},{'right' if second < 3 else 'left'}" for second in range(6)]
    Path("clips", "parts.csv").write_text("\n".join(rows))
    done = snowball("train", "clips/parts.csv", "-o", "run", *SMALL)
    assert "group-overlap" not in checks(done), "parts of one file are never on two sides of a split"
    schema = json.loads(Path("run", "schema.json").read_text())
    assert [split["rows"] for split in schema["splits"].values()] == [24, 6, 6]
    for bad, said in (
        ("3.mp4,x,1,left", "'x'"),
        ("3.mp4,2,2,left", "start 2 s is not before end 2 s"),
        ("3.mp4,2,99,left", "end 99 s is beyond"),
    ):
        Path("clips", "parts.csv").write_text("\n".join([*rows, bad]))
        error = snowball("train", "clips/parts.csv", "-o", "bad", *SMALL, code=1)["error"]
        assert "parts.csv, row 38" in error and "3.mp4" in error and said in error


def test_archives_that_are_classes_and_metadata_that_tells(snowball: Any, shared: Callable[[str], Path]) -> None:
    found = {one["check"]: one for one in snowball("audit", shared("fight-clips"))["findings"]}
    assert found["metadata-leak"]["severity"] == "warning"
    assert {"has_audio", "width"} <= set(found["metadata-leak"]["evidence"])
