"""What a user of sound types, from recordings to a served answer; short trainings on synthesised words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snowball.run import Run

from .sounds import encoded, spoken, write_sound

SMALL = [
    *("network.channels=8", "network.width=48", "network.layers=1", "audio.mels=24", "model.dropout=0"),
    *("preflight=false", "batch_size=8", "lr=0.01", "train.ema=0"),
]
PLAIN = ("augment.speed=0", "augment.snr=null", "augment.masked_bands=0", "augment.masked_spans=0")
WORDS = ("six", "no", "one")


def findings(done: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in done["findings"]}


def test_words_in_folders_are_told_apart(snowball: Any, tmp_path: Path) -> None:
    forms = ("wav", "flac", "ogg", "mp3")
    for number in range(48):
        word, rate = WORDS[number % 3], (8000, 16000)[number % 2]
        samples = spoken(word, number, rate)
        if number % 5 == 0:
            samples = np.stack([samples, 0.5 * samples], 1)
        write_sound(tmp_path / "words" / word / f"{'abcdefgh'[number // 6]}{number}.{forms[number % 4]}", samples, rate)
    done = snowball("train", "words", "epochs=20", *PLAIN, "-o", "run", *SMALL)
    assert Run("run").recipe.task == "audio-classification"
    assert done["metrics"]["accuracy"] > 0.6
    page = Path("run", "report.html").read_text(encoding="utf-8")
    assert '<audio controls preload="none" src="data:audio/wav;base64,' in page
    new = write_sound(tmp_path / "new.mp3", spoken("six", 99, 44100), 44100)
    (answer,) = snowball("predict", "run", new)["predictions"]
    assert set(answer) == {"input", "label", "confidence", "probabilities"}
    assert snowball("export", "run", "-o", "words.onnx")["verdict"] == "pass"


def test_sentences_are_written_down(snowball: Any, tmp_path: Path) -> None:
    """A CSV with paths and transcripts; the words come back from an upload to the exported file, at other lengths."""
    random = np.random.Generator(np.random.Philox(1))
    rows = []
    for number in range(60):
        text = " ".join(WORDS[int(n)] for n in random.integers(3, size=random.integers(1, 4)))
        write_sound(tmp_path / "talk" / "clips" / f"{number}.wav", spoken(text, number))
        rows.append([f"clips/{number}.wav", f"speaker {number % 4}", text.capitalize() + "!"])
    with (tmp_path / "talk" / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "speaker", "text"], *rows])
    done = snowball("train", "talk", "epochs=40", *PLAIN, "-o", "run", *SMALL)
    run = Run("run")
    assert run.recipe.task == "speech-recognition" and run.schema.columns["text"].column == "text"
    assert "group-overlap" in findings(done)
    evaluation = json.loads(Path("run", "evaluation.json").read_text())
    assert done["metrics"]["wer"] < evaluation["baseline"]["wer"]
    assert {"Words", "Confused most often", "By speaker"} <= {block["title"] for block in evaluation["blocks"]}
    write_sound(tmp_path / "new.wav", spoken("six no", 77))
    (greedy,) = snowball("predict", "run", "new.wav")["predictions"]
    (beam,) = snowball("predict", "run", "new.wav", "beams=8")["predictions"]
    assert set(greedy) == set(beam) == {"input", "text", "confidence", "words"}
    for word in greedy["words"]:
        assert 0 <= word["start"] < word["end"] <= 2, "in seconds of the recording"
    assert snowball("export", "run", "-o", "talk.onnx")["verdict"] == "pass"
    _served(tmp_path, greedy["text"])


def _served(folder: Path, wanted: str) -> None:
    from fastapi.testclient import TestClient

    from snowball.deploy.serve import ServeSection, build_app
    from snowball.deploy.session import OnnxPredictor

    predictor = OnnxPredictor(folder / "talk.onnx")
    about = {"name": "talk", "task": predictor.task.name, "weights": ""}
    with TestClient(build_app(predictor, ServeSection(), about), base_url="http://localhost") as client:
        sound = (folder / "new.wav").read_bytes()
        answer = client.post("/predict", content=sound, headers={"content-type": "audio/wav"}).json()
        assert answer["predictions"][0]["text"] == wanted
        wrong = client.post("/predict", files={"audio": ("a.wav", b"RIFF....WAVE")})
        assert wrong.status_code == 400 and "damaged" in wrong.json()["error"]
        long = encoded(np.zeros(31 * 8000), form="FLAC")
        refused = client.post("/predict", files={"audio": ("a.flac", long)})
        assert refused.status_code == 400 and "audio.max_seconds=30" in refused.json()["error"]
        assert 'accept="audio/*"' in client.get("/").text


def test_what_cannot_be_heard_is_named_and_nothing_is_lost(snowball: Any, tmp_path: Path) -> None:
    folder = tmp_path / "talk"
    for number in range(24):
        write_sound(folder / f"{number}.wav", spoken(WORDS[number % 3], number))
        (folder / f"{number}.txt").write_text(WORDS[number % 3])
    (folder / "0.txt").unlink()
    (folder / "1.wav").unlink()
    (folder / "2.txt").write_text("?!")
    (folder / "3.txt").write_text("six " * 30)
    (folder / "4.wav").write_bytes(b"")
    write_sound(folder / "5.wav", np.full(4000, np.nan), subtype="FLOAT")
    write_sound(folder / "6.wav", np.zeros(1))
    write_sound(folder / "7.wav", np.zeros(40 * 8000))
    write_sound(folder / "8.wav", np.clip(20 * spoken("one"), -1, 1))
    write_sound(folder / "9.wav", np.zeros(4000))
    write_sound(folder / "10.wav", spoken("no", 10, 16000) * 0.3 + 0.2, 2000)
    error = snowball("audit", "talk", code=1)["error"]
    assert "data.max_bad" in error and "8 of 24" in error
    done = snowball("audit", "talk", "data.max_bad=0.5")
    named = {Path(row["where"]).name: row["reason"] for row in findings(done)["unreadable-rows"]["evidence"]["rows"]}
    assert named == {
        "0.wav": "no text in this row",
        "1": "no sound in this row",
        "2.wav": "transcript '?!' holds no letter and no digit",
        "3.wav": named["3.wav"],
        "4.wav": "zero bytes",
        "5.wav": "4,000 of 4,000 samples are NaN or infinite",
        "6.wav": "1 samples at 8,000 Hz: shorter than 0.01 s",
        "7.wav": "40.0 s are more than audio.max_seconds=30",
    }
    assert named["3.wav"].startswith("too short for its transcript 'six six")
    checks = findings(done)
    wanted = {"clipped-audio", "silent-audio", "dc-offset", "mixed-rates", "without-transcript", "without-recording"}
    assert wanted <= checks.keys()
    assert checks["mixed-rates"]["evidence"] == {"2000 Hz": 1} and "wrong rate" in checks["mixed-rates"]["fix"]


def test_a_manifest_names_recordings_how_long_they_are_and_what_is_said(snowball: Any, tmp_path: Path) -> None:
    lines = []
    for number in range(12):
        samples = spoken(WORDS[number % 3], number)
        write_sound(tmp_path / "clips" / f"{number}.wav", samples)
        row = {"path": f"clips/{number}.wav", "duration": len(samples) / 8000, "text": WORDS[number % 3]}
        lines.append(json.dumps(row) + "\n")
    lines[3] = json.dumps({"path": "clips/30.wav", "duration": 0.5, "text": "no"}) + "\n"
    (tmp_path / "clips" / "4.wav").write_bytes((tmp_path / "clips" / "4.wav").read_bytes()[:2000])
    (tmp_path / "said.jsonl").write_text("".join(lines))
    done = snowball("audit", "said.jsonl", "data.max_bad=0.5")
    assert done["summary"].keys() == {"audio", "text", "splits"} and sum(done["summary"]["splits"].values()) == 10
    named = {row["where"]: row["reason"] for row in findings(done)["unreadable-rows"]["evidence"]["rows"]}
    assert named["said.jsonl, row 4"] == "no such file" and named["said.jsonl, row 5"].startswith("truncated: ")


def test_one_speaker_is_held_out(snowball: Any) -> None:
    done = snowball("audit", "spoken", "hold_out=speaker=voice 3")
    assert done["summary"]["splits"]["test"] == 50 and "group-overlap" not in findings(done)
    done = snowball("audit", "spoken", "group=speaker")
    assert "group-overlap" not in findings(done)
    error = snowball("audit", "spoken", "hold_out=speaker=voice 33", code=2)["error"]
    assert "no row of spoken has it (nearest: voice 3)" in error


def test_shared_recordings_are_read(snowball: Any, shared: Callable[[str], Path]) -> None:
    found = snowball("audit", shared("yesno"))
    assert found["summary"]["splits"] == {"train": 26, "val": 5, "test": 29}
    assert found["summary"]["text"]["words"]["shortest"] == found["summary"]["text"]["words"]["longest"] == 8
    found = snowball("audit", shared("ljspeech-32"))
    assert sum(found["summary"]["splits"].values()) == 32 and "rare-characters" in findings(found)


def test_digits_of_speakers_are_read_from_names(shared: Callable[[str], Path]) -> None:
    from snowball.collect.read import read_table
    from snowball.recipe import DataSection
    from snowball.registry import choose_task

    table = read_table(DataSection(name=str(shared("fsdd"))))
    assert {name: column.kind for name, column in table.columns.items()} == {
        "audio": "audio",
        "label": "label",
        "text": "text",
        "speaker": "text",
    }
    assert list(table.split).count("test") == 300 and len(set(table.columns["speaker"].cells)) == 6
    assert choose_task(table).name == "audio-classification"
