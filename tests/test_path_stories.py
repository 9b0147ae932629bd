"""What a user of behaviour prediction types, from tracks to futures; short trainings of small networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from snowball.deploy.serve import ServeSection, build_app
from snowball.deploy.session import OnnxPredictor
from snowball.run import Run

SMALL = ["network.width=16", "epochs=2", "preflight=false"]
Line = tuple[object, ...]


def walk(agents: int, frames: int, seed: int, step: int = 10) -> list[Line]:
    """(frame, agent, x, y) of agents who walk in wide bends, each a little later than the one before."""
    random = np.random.Generator(np.random.Philox(seed))
    lines: list[Line] = []
    for agent in range(agents):
        heading = random.uniform(0, 6) + np.cumsum(np.full(frames, random.uniform(-0.1, 0.1)))
        way = np.cumsum(0.4 * np.stack([np.cos(heading), np.sin(heading)], 1), 0) + random.uniform(-5, 5, 2)
        lines += [(step * (frame + agent), agent + 1, *way[frame].round(4)) for frame in range(frames)]
    return lines


def write_csv(path: Path, scenes: dict[str, list[Line]]) -> None:
    rows = [f"{scene},{','.join(map(str, line))}" for scene, lines in scenes.items() for line in lines]
    path.write_text("\n".join(["scene,frame,agent,x,y", *rows]) + "\n")


def write_lines(path: Path, lines: list[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def checks(done: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in done["findings"]}


def test_tracks_become_futures(snowball: Any, tmp_path: Path) -> None:
    """From a CSV to a run, a report beside constant velocity, answers for a file and over HTTP, and an ONNX file."""
    write_csv(tmp_path / "yard.csv", {f"s{n}": walk(3, 24, n) for n in range(24)})
    done = snowball("train", "yard.csv", "-o", "run", *SMALL)
    assert {"min_ade", "min_fde", "min_ade_1", "min_fde_1", "miss_rate", "collisions"} <= set(done["metrics"])
    evaluation = json.loads(Path("run", "evaluation.json").read_text())
    (table, *_), rows = evaluation["blocks"], evaluation["blocks"][0]["content"]["rows"]
    assert table["title"] == "Beside constant velocity"
    assert [row[0] for row in rows] == ["this network", "constant velocity", "in 20 directions"]
    assert evaluation["baseline"]["min_ade"] == pytest.approx(rows[2][1])
    assert evaluation["baseline"]["min_ade_1"] == pytest.approx(rows[1][3])
    assert done["metrics"]["min_ade"] < rows[2][1] < rows[1][1]
    report = Path("run", "report.html").read_text(encoding="utf-8")
    assert "constant velocity" in report and "data:image/png" in report
    new = [(frame, f"a{agent}", 1e6 + x, y) for frame, agent, x, y in walk(2, 12, 99)]
    late = [(10 * frame, "late", 1e6 + frame, 3.0) for frame in (11, 12)]
    write_lines(tmp_path / "new.txt", [*new, *late])
    write_csv(tmp_path / "new.csv", {"s": [*new, *late]})
    (answer,) = snowball("predict", "run", "new.csv")["predictions"]
    assert answer["frames"] == [130 + 10 * n for n in range(12)], "from the last frame in which anyone is known on"
    (path,) = answer["paths"]
    assert path["agent"] == "a2" and np.shape(path["futures"]) == (20, 12, 2)
    assert sum(path["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert path["probabilities"] == sorted(path["probabilities"], reverse=True)
    assert np.linalg.norm(np.array(path["futures"])[:, 0] - new[-1][2:], axis=1).max() < 1.5, "where the agent is"
    assert any("late" in note for note in answer["notes"])
    assert snowball("predict", "run", "new.txt", code=2)["error"].startswith("new.txt: no tracks")
    snowball("predict", "run", "new.csv", "-o", "pictures")
    assert [file.suffix for file in Path("pictures").iterdir()] == [".jpg"]
    assert snowball("export", "run", "-o", "run/model.onnx")["verdict"] == "pass"
    about = {"name": "run", "task": "behaviour-prediction", "weights": "0"}
    app = build_app(OnnxPredictor(Path("run/model.onnx")), ServeSection(), about)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        points = [dict(zip(("frame", "agent", "x", "y"), line, strict=True)) for line in [*new, *late]]
        (served,) = client.post("/predict", json={"past": points}).json()["predictions"]
        assert served["frames"] == answer["frames"] and served["paths"][0]["agent"] == "a2"
        np.testing.assert_allclose(served["paths"][0]["futures"], path["futures"], atol=1e-3)
        posted = client.post("/predict", files={"past": Path("new.csv").read_bytes()})
        assert posted.json()["predictions"] == [served]
        short = client.post("/predict", json={"past": points[:3]})
        assert short.status_code == 400 and "8 frames on end; the longest track has 3" in short.json()["error"]
        bad = client.post("/predict", json={"past": [{"frame": 0, "agent": "a", "x": "east"}]})
        assert bad.status_code == 400 and "point 1" in bad.json()["error"]


def test_folds_and_both_networks(snowball: Any, tmp_path: Path) -> None:
    for number, fold in enumerate(("north", "south")):
        for split, scenes in (("train", 3), ("val", 1), ("test", 1)):
            for scene in range(scenes):
                lines = walk(4, 30, 100 * number + 10 * scene + len(split))
                write_lines(tmp_path / "folds" / fold / split / f"{split}{scene}.txt", lines)
    error = snowball("audit", "folds", code=2)["error"]
    assert "several folds: north, south; say which: fold=north" in error
    assert "nearest: north" in snowball("audit", "folds", "fold=nort", code=2)["error"]
    done = snowball("train", "folds", "fold=south", "model=transformer", "network.alone=true", "-o", "run", *SMALL)
    assert Run("run").recipe.data.fold == "south" and Run("run").schema.origin == "folds-south"
    assert set(json.loads(Path("run", "evaluation.json").read_text())["controls"]) == {"alone"}
    assert "shared-frames" not in checks(done)
    assert snowball("evaluate", "run", "folds/north/test")["metrics"]["min_ade"] > 0
    (tmp_path / "folds/south/train/copy.txt").write_text((tmp_path / "folds/south/test/test0.txt").read_text())
    found = checks(snowball("audit", "folds", "fold=south"))["shared-frames"]
    assert found["severity"] == "warning" and "copy.txt" in found["message"] and "test0.txt" in found["message"]


def test_a_recording_is_split_without_shared_frames(snowball: Any, tmp_path: Path) -> None:
    write_csv(tmp_path / "long.csv", {"one": [line for n in range(6) for line in _later(walk(2, 60, n), n)]})
    done = snowball("audit", "long.csv")
    splits = done["summary"]["splits"]
    assert splits["train"] > splits["test"] > 0
    shared = [finding for finding in done["findings"] if finding["check"] == "shared-frames"]
    assert [finding["severity"] for finding in shared] == ["note"], "of validation and test, not of training"


def _later(lines: list[Line], number: int) -> list[Line]:
    return [(int(str(frame)) + 600 * number, f"{number}-{agent}", x, y) for frame, agent, x, y in lines]


def test_what_is_wrong_is_named_and_nothing_is_lost(snowball: Any, tmp_path: Path) -> None:
    scenes = {f"s{n}": walk(3, 40, n) for n in range(24)}
    good = [list(line) for line in scenes["s3"]]
    bad = [list(line) for line in good]
    bad[5][2], bad[6][3], bad[7][2], bad[8][0] = "nan", "far", "inf", 75  # frame 75 lies between 70 and 80
    bad[30][2] = float(bad[30][2]) + 50  # there and back: two jumps
    twice = [10 * 2, 1, 5.0, 5.0]  # agent 1 is elsewhere in frame 20
    lone = [100, "once", 1.0, 1.0]
    lines = [*bad[:20], *bad[23:], twice, good[10], lone]  # three frames of agent 1 are missing
    write_csv(tmp_path / "bad.csv", {**scenes, "s3": [tuple(line) for line in lines]})
    error = snowball("audit", "bad.csv", "data.max_bad=0", code=1)
    assert "data.max_bad=0" in error["error"] and "bad.csv, row 367" in error["error"]
    found = checks(snowball("audit", "bad.csv"))
    first = 2 + 3 * 120  # the row of the third scene's first line
    unreadable = found["unreadable-points"]["evidence"]["rows"]
    assert unreadable == [
        f"bad.csv, row {first + 5}: x 'nan' is not a finite number",
        f"bad.csv, row {first + 6}: y 'far' is not a number",
        f"bad.csv, row {first + 7}: x 'inf' is not a finite number",
    ]
    assert f"row {first + 8}: frame 75 is none of" in found["uneven-frames"]["message"]
    contradicting = found["contradicting-points"]["message"]
    assert f"rows {first + 2}, {first + 117}: agent 1 is at 2 places in frame 20" in contradicting
    assert f"row {first + 118}" in found["repeated-points"]["message"]
    assert found["jumps"]["evidence"]["count"] == 2 and f"row {first + 27}: agent 1 is" in found["jumps"]["message"]
    assert any("not seen in frames 200 to 220" in row for row in found["gaps"]["evidence"]["rows"])
    assert "agent once is seen once" in found["lone-points"]["message"]
    Path("none.csv").write_text("frame,agent,x,y\n0,1,nan,2\n")
    assert "none.csv: no point of a track in it" in snowball("audit", "none.csv", code=2)["error"]
    write_csv(tmp_path / "short.csv", {"s": walk(2, 9, 1)})
    assert "20 frames on end" in snowball("audit", "short.csv", code=2)["error"]


def test_traffic_is_recorded_and_learned(snowball: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("highway_env")
    for folder in ("one", "two"):
        snowball("data", "highway", "-o", folder, "scenes=6", "frames=21", "vehicles=4")
    assert Path("one/tracks.csv").read_bytes() == Path("two/tracks.csv").read_bytes(), "the same traffic twice"
    done = snowball("audit", "one")
    assert done["summary"]["splits"] == {"train": 8, "val": 2, "test": 2} and not done["findings"]
    assert "holds something" in snowball("data", "highway", "-o", "one", code=2)["error"]
    assert "where to?" in snowball("data", "highway", code=2)["error"]
    import sys

    monkeypatch.setitem(sys.modules, "highway_env.road.road", None)
    assert 'pip install "snowball[sim]"' in snowball("data", "highway", "-o", "three", code=2)["error"]


def test_the_shared_folds_have_the_known_numbers(shared: Callable[[str], Path]) -> None:
    """Windows and walkers of the test recordings as Social-GAN's protocol counts them."""
    from snowball.kinds._scene import find_windows
    from snowball.kinds._tracks import read_tracks

    found = {}
    for fold in ("eth", "hotel", "univ", "zara1", "zara2"):
        windows = walkers = 0
        for file in sorted((shared("eth-ucy") / fold / "test").iterdir()):
            (recording,) = read_tracks(file.read_text(), file.stem, file.name)
            assert not set(recording.faults) - {"gaps", "lone-points"}, "a clean recording"
            cut = find_windows(recording, 8, 12, 2)
            windows += len(cut)
            inside = ((track, w.start) for w in cut for track in w.tracks)
            walkers += sum(track.start <= start and track.end >= start + 20 for track, start in inside)
        found[fold] = windows, walkers
    assert found == {
        "eth": (70, 181),
        "hotel": (301, 1053),
        "univ": (947, 24334),
        "zara1": (602, 2253),
        "zara2": (921, 5833),
    }
