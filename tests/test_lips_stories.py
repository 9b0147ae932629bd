"""What a user of speech films types, from a folder to a served answer; short trainings of small networks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from snowball.deploy.serve import ServeSection, build_app
from snowball.deploy.session import OnnxPredictor
from snowball.kind import Absent
from snowball.kinds.audio import AudioKind
from snowball.kinds.lips import LipsKind
from snowball.run import Run

from .talking import write_talking

SMALL = [
    *("network.channels=4", "network.width=16", "network.layers=1", "train.epochs=1", "train.batch_size=8"),
    "preflight=false",
]
TINY = [*SMALL, "audio.mels=16", "fusion.layers=1", "fusion.heads=2"]


def findings(done: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in done["findings"]}


def write_list(folder: Path, rows: Sequence[tuple[str, str]]) -> None:
    with (folder / "transcripts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "sentence"), *rows])


def films(folder: Path, num: int, **how: Any) -> list[tuple[str, str]]:
    return [(f"{n}.mkv", write_talking(folder / f"{n}.mkv", n, **how)) for n in range(num)]


def test_films_are_heard_and_seen(snowball: Any, tmp_path: Path) -> None:
    """One training on films, one without sound among them; then files with both streams, and with either."""
    rows = films(tmp_path / "films", 24)
    rows.append(("mute.mkv", write_talking(tmp_path / "films" / "mute.mkv", 30, sound=False)))
    write_list(tmp_path / "films", rows)
    done = snowball("train", "films", "-o", "run", *TINY)
    assert Run("run").recipe.task == "audio-visual-speech"
    assert findings(done)["missing-stream"]["evidence"] == {"role": "audio", "rows": 1}
    offset = findings(done)["stream-offset"]
    assert offset["severity"] == "note" and abs(offset["evidence"]["lag_frames"]) <= 1
    (sweep,) = [
        b for b in json.loads(Path("run", "evaluation.json").read_text())["blocks"] if "conditions" in b["title"]
    ]
    assert set(sweep["content"]["series"]) == {"audio", "video", "both"} and sweep["content"]["x"][-1] == -10
    assert len(set(sweep["content"]["series"]["video"])) == 1, "noise changes what is seen"
    assert "under conditions" in Path("run", "report.html").read_text(encoding="utf-8")

    write_talking(tmp_path / "new" / "both.mkv", 40)
    write_talking(tmp_path / "new" / "mute.mkv", 40, sound=False)
    write_talking(tmp_path / "new" / "dark.mkv", 40, pictures=False)
    answers = snowball("predict", "run", "new/both.mkv", "new/mute.mkv", "new/dark.mkv")["predictions"]
    assert [answer["streams"] for answer in answers] == [["audio", "video"], ["video"], ["audio"]]
    Path("new", "junk.mkv").write_bytes(b"no film at all")
    assert "not a" in snowball("predict", "run", "new/junk.mkv", code=2)["error"]

    snowball("export", "run", "-o", "films.onnx")
    app = build_app(OnnxPredictor(Path("films.onnx"), threads=1), ServeSection(), {"name": "films"})
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for name, answer in zip(("both", "mute", "dark"), answers, strict=True):
            sent = {"content": Path("new", f"{name}.mkv").read_bytes(), "headers": {"Content-Type": "video/x-matroska"}}
            served = client.post("/predict", **sent).json()["predictions"][0]
            assert (served["text"], served["streams"]) == (answer["text"], answer["streams"])
        refused = client.post("/predict", content=b"no film", headers={"Content-Type": "video/mp4"})
        assert refused.status_code == 400 and "not a" in refused.json()["error"]


def test_inputs_choose_what_is_heard_and_seen(snowball: Any, tmp_path: Path) -> None:
    rows = films(tmp_path / "films", 20)
    rows.append(("mute.mkv", write_talking(tmp_path / "films" / "mute.mkv", 30, sound=False)))
    write_list(tmp_path / "films", rows)
    done = snowball("train", "films", "inputs=video", "-o", "lips", *SMALL)
    assert Run("lips").recipe.task == "lip-reading" and "unreadable-rows" not in findings(done)
    done = snowball("train", "films", "inputs=audio", "max_bad=0.1", "audio.mels=16", "-o", "sound", *SMALL)
    assert Run("sound").recipe.task == "speech-recognition"
    (bad,) = findings(done)["unreadable-rows"]["evidence"]["rows"]
    assert "row 22" in bad["where"] and "no sound in it" in bad["reason"]
    assert "only video, audio" in snowball("audit", "films", "inputs=smell", code=2)["error"]


def test_what_does_not_fit_together_is_named(snowball: Any, tmp_path: Path) -> None:
    """A film that no transcript names, a transcript without its film, and a sound track that is late."""
    rows = films(tmp_path / "films", 20, late=0.2)
    write_list(tmp_path / "films", [*rows[1:], ("gone.mkv", "pea")])
    found = findings(snowball("audit", "films", "max_bad=0.1"))
    assert found["without-transcript"]["evidence"]["paths"] == ["0.mkv"]
    (bad,) = found["unreadable-rows"]["evidence"]["rows"]
    assert bad["reason"] == "no such file"
    assert found["stream-offset"]["severity"] == "warning" and found["stream-offset"]["evidence"]["lag_frames"] == 5


def test_alignments_say_what_is_said(snowball: Any, tmp_path: Path) -> None:
    """One ends before its film, one is no alignment, one has no film: each is named, and nothing is lost unsaid."""
    for number in range(20):
        said = write_talking(tmp_path / "films" / f"s{number}.mkv", number)
        frames = len(LipsKind.read(str(tmp_path / "films" / f"s{number}.mkv")).frames)
        end = 1000 * frames if number else 1000 * (frames - 8)
        lines = [
            "0 1000 sil",
            *(f"{1000 + n} {1001 + n} {word}" for n, word in enumerate(said.split())),
            f"2000 {end} sil",
        ]
        (tmp_path / "films" / f"s{number}.align").write_text("\n".join(lines))
    (tmp_path / "films" / "s1.align").write_text("hello")
    (tmp_path / "films" / "lone.align").write_text("0 25000 pea")
    found = findings(snowball("audit", "films", "max_bad=0.2"))
    broken = found["align-broken"]["evidence"]["files"]
    assert "before its film s0.mkv" in broken["s0.align"] and "is not BEGIN END WORD" in broken["s1.align"]
    assert found["without-recording"]["evidence"]["names"] == ["lone.align"]
    assert found["unreadable-rows"]["evidence"]["count"] == 3


def test_time_stamps_are_obeyed(tmp_path: Path) -> None:
    """A microphone that was opened late: its sound stands where it was heard, behind silence."""
    write_talking(tmp_path / "whole.mkv", 3)
    write_talking(tmp_path / "late.mkv", 3, stamped_late=0.2)
    whole, late = (AudioKind.read(str(tmp_path / f"{name}.mkv")) for name in ("whole", "late"))
    assert late.facts["begins"] == pytest.approx(0.2, abs=0.01)
    cut = round(0.21 * whole.rate)
    assert not late.samples[: round(0.19 * whole.rate)].any()
    np.testing.assert_allclose(late.samples[cut:], whole.samples[cut:], atol=1e-4)
    frames = LipsKind.read(str(tmp_path / "late.mkv")).frames
    np.testing.assert_array_equal(frames, LipsKind.read(str(tmp_path / "whole.mkv")).frames)


def test_a_stream_that_is_absent_is_said_to_be(tmp_path: Path) -> None:
    write_talking(tmp_path / "mute.mkv", 3, sound=False)
    write_talking(tmp_path / "dark.mkv", 3, pictures=False)
    with pytest.raises(Absent, match="pictures alone"):
        AudioKind.read(str(tmp_path / "mute.mkv"))
    with pytest.raises(Absent, match="sound alone"):
        LipsKind.read(str(tmp_path / "dark.mkv"))


def test_grid(snowball: Any, shared: Callable[[str], Path]) -> None:
    """Real films: faces are found in all, both streams are read, and lips and loudness are in step."""
    pytest.importorskip("cv2")
    found = findings(snowball("audit", shared("grid-lipreading")))
    assert found["lips-crop"]["evidence"]["crop"] == "mouth"
    assert abs(found["stream-offset"]["evidence"]["lag_frames"]) <= 2
    assert "align-differs" not in found and "align-broken" not in found
