"""What a user types who has clips and a number for each, from the data to an answer; a short training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snowball.run import Run

from .films import moving, write_film

SMALL = ["video.size=16", "video.frames=6", "network.width=16", "model=r2plus1d", "preflight=false"]
STEPS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)


def test_one_drive_cut_into_parts_is_steered_by(snowball: Any) -> None:
    """A film of a second a row, in which things pass by as fast as the wheel is turned."""
    random = np.random.Generator(np.random.Philox(3))
    wheel = random.choice(STEPS, 60)
    write_film(Path("drive", "a.mp4"), [f for n, step in enumerate(wheel) for f in moving(int(step), 10, seed=n)])
    rows = ["video,start,end,steering", *(f"a.mp4,{n},{n + 1},{step / 8}" for n, step in enumerate(wheel))]
    Path("drive", "log.csv").write_text("\n".join(rows))
    done = snowball("train", "drive", "epochs=8", "-o", "run", *SMALL)
    recipe = Run("run").recipe.to_dict()
    assert (recipe["task"], recipe["data"]["split"], recipe["augment"]["flip"]) == ("video-steering", "time", 0.5)
    found = {finding["check"]: finding for finding in done["findings"]}
    assert found["group-overlap"]["severity"] == "note", "the score is of one recording, as there is no other"
    assert "zero-angles" in found and "recording-leak" not in found
    refused = snowball("audit", "drive", "data.split=random", *SMALL, code=2)["error"]
    assert "60 rows are parts of one recording, which data.split=time cuts" in refused
    schema = json.loads(Path("run", "schema.json").read_text())
    assert [split["rows"] for split in schema["splits"].values()] == [43, 8, 9]
    evaluation = json.loads(Path("run", "evaluation.json").read_text())
    assert set(evaluation["controls"]) == {"single frame"}
    assert evaluation["metrics"]["mae"]["value"] < evaluation["baseline"]["mae"]
    right, left = (write_film(Path(f"{name}.mp4"), moving(step, 10, seed=99)) for name, step in (("r", 4), ("l", -4)))
    answers = snowball("predict", "run", right, left)["predictions"]
    assert answers[0]["value"] > 0 > answers[1]["value"]


def test_animations_and_a_choice_of_numbers(snowball: Any) -> None:
    rows = ["clip,pixels,seconds"]
    Path("clips").mkdir()
    for number in range(24):
        speed = STEPS[number % 9] + number / 100
        first, *others = [Image.fromarray(frame) for frame in moving(round(speed), 6, seed=number)]
        first.save(Path("clips", f"{number}.gif"), save_all=True, append_images=others, duration=100)
        rows.append(f"{number}.gif,{speed},{0.6 + number / 1000}")
    Path("clips", "speeds.csv").write_text("\n".join(rows))
    asked = ["audit", "clips", "task=video-steering", *SMALL]
    assert "each of pixels, seconds could be the answer: say which: data.answer=" in snowball(*asked, code=2)["error"]
    for columns in (["answer=pixels"], ["answer=pixels", "given=clip"]):
        summary = snowball(*asked, *columns)["summary"]
        assert summary["video"]["frames"]["most"] == 6 and summary["number"]["signs"]["exactly 0"] == 0
        assert summary["splits"] == {"train": 17, "val": 3, "test": 4}
