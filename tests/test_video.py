"""The video kind, its networks, what the audit says of clips, and the control that sees a single frame."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from snowball.api import audit
from snowball.collect.leak import _tells
from snowball.collect.prepare import prepare
from snowball.collect.read import read_table
from snowball.collect.read.parts import recordings
from snowball.collect.read.sample_motion import motion, speeds
from snowball.design.video import NETWORKS, SINGLE_FRAME, VideoNetworkSection, VideoShape, video_body
from snowball.display import Display
from snowball.finding import BadInput
from snowball.kind import Batch, Unreadable
from snowball.kinds._image_augment import ImageAugment
from snowball.kinds.video import VideoKind, VideoSection
from snowball.recipe import SHARED, DataSection, Recipe
from snowball.registry import tasks
from snowball.rng import SampleRandom
from snowball.run import CONTROL, Run
from snowball.storage import read_tensors
from snowball.table import Part
from snowball.training.checkpoint import newest_checkpoint
from snowball.training.train import Interrupted, train

from .films import moving, write_film

TASK = "video-classification"
SMALL = {"video.frames": 4, "video.size": 16, "train.epochs": 2, "train.preflight": False, "network.width": 16}


def kind_of(arrays: list[np.ndarray], **keys: Any) -> VideoKind:
    recipe = Recipe.build(TASK, (*SHARED, *VideoKind.sections), keys)
    return VideoKind(recipe, VideoKind.fit([VideoKind.read(array) for array in arrays], recipe))


# The kind.


def test_encoding_takes_frames_by_time_and_resizes_them() -> None:
    film = np.repeat(np.arange(24, dtype=np.uint8)[:, None, None], 40, 1).repeat(60, 2) * 10
    kind = kind_of([film], **{"video.frames": 8, "video.size": (20, 30)})
    encoded = kind.encode(VideoKind.read(film))
    assert encoded.shape == (8, 1, 20, 30) and encoded.dtype == torch.uint8
    assert encoded[:, 0, 0, 0].tolist() == [10 * n for n in (1, 4, 7, 10, 13, 16, 19, 22)]
    assert torch.equal(encoded, kind.encode(VideoKind.read(film)))
    few = kind.encode(VideoKind.read(film[:2]))
    assert few[:, 0, 0, 0].tolist() == [0, 0, 0, 0, 10, 10, 10, 10]


def test_the_exported_resize_is_the_one_of_encode() -> None:
    film = moving(2, 8, 48)
    kind = kind_of([film], **{"video.frames": 4, "video.size": 24})
    clip = VideoKind.read(film)
    resized = kind.preprocess()(kind.raw_tensor(clip)[None])[0]
    assert (resized - kind.encode(clip).float()).abs().max() <= 1


def test_states_of_grey_and_colour() -> None:
    grey, colour = moving(1)[..., 0], moving(1)
    assert kind_of([grey]).state["channels"] == 1
    both = kind_of([grey, colour])
    assert both.state["channels"] == 3
    assert both.encode(VideoKind.read(grey)).shape == both.encode(VideoKind.read(colour)).shape == (16, 3, 32, 32)
    assert kind_of([colour], **{"video.channels": 1}).encode(VideoKind.read(colour)).shape == (16, 1, 32, 32)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("x", 1, "start 'x' is not a number"),
        (2, 1, "start 2 s is not before end 1 s"),
        (-1, 1, "from 0"),
        (0, "nan", "from 0"),
    ],
)
def test_wrong_times_name_the_file(start: Any, end: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=f"^a.mp4: .*{said}") as raised:
        VideoKind.read(Part(str(tmp_path / "a.mp4"), start, end))
    assert str(raised.value).count("a.mp4") == 1


def test_an_empty_end_is_the_end(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", moving(1, 20))
    assert VideoKind.read(Part(str(path), "1.5", "")).facts["frames"] == 5


def test_wrong_arrays_and_cells_are_unreadable() -> None:
    for cell in (None, b"", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4, 2), np.uint8), np.zeros((3, 4, 4))):
        with pytest.raises(Unreadable):
            VideoKind.read(cell)
    with pytest.raises(Unreadable, match="base64"):
        VideoKind.from_request("no base64!")


class _Follow:
    def blend(self, targets: dict[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
        return targets

    warp = blend


@pytest.mark.parametrize("channels", [1, 3])
def test_all_frames_of_a_clip_undergo_the_same(channels: int) -> None:
    """A still clip stays still whatever is done to it, and clips of one batch are changed differently."""
    film = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 16, 16, 3), np.uint8), 3, 0)
    keys = {
        "augment.rotate": 30,
        "augment.scale": 0.2,
        "augment.shift": 0.2,
        "augment.flip": 0.5,
        "augment.colour": 0.4,
    }
    keys |= {"augment.erase": 1.0, "augment.cutmix": 1.0, "augment.randaugment": 2}
    kind = kind_of([film], **{"video.frames": 3, "video.channels": channels}, **keys)
    encoded = kind.encode(VideoKind.read(film))
    batch = Batch({"video": torch.stack([encoded] * 6)}, {}, torch.arange(6))
    changed = kind.augment("video", batch, SampleRandom(0, 0, batch.index), _Follow()).inputs["video"]
    assert changed.shape == batch.inputs["video"].shape
    assert torch.allclose(changed[:, :1].expand_as(changed), changed, atol=1e-3)
    assert not torch.allclose(changed[0], changed[1], atol=1)


def test_no_flip_and_no_turn_by_default() -> None:
    recipe = prepare("motion", {**SMALL, "video.size": None}, Display(quiet=True)).task.recipe
    assert recipe[ImageAugment].flip == recipe[ImageAugment].rotate == 0
    assert recipe[VideoSection].frames == 4


def test_a_short_key_means_the_tasks_own() -> None:
    """`size` stands in the section of pictures and in that of videos; which is meant is clear once the task is."""
    short = {"size": 16, "frames": 4, "preflight": False, "network.width": 16}
    assert prepare("motion", short, Display(quiet=True)).encoded.inputs["video"].shape[1:] == (4, 1, 16, 16)
    assert prepare("digits", {"size": 16}, Display(quiet=True)).encoded.inputs["image"].shape[1:] == (1, 16, 16)
    with pytest.raises(BadInput, match="nearest"):
        prepare("digits", {"sizze": 16}, Display(quiet=True))


def test_a_drawing_is_a_strip_of_frames() -> None:
    strip = kind_of([moving(1)]).draw(VideoKind.read(moving(1)))
    assert strip.height == 112 and strip.width > 5 * 112


# Near copies.


def scene(seed: int, side: int = 64) -> np.ndarray:
    """A smooth picture (side, side, 3)."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


def test_clips_of_one_scene_are_near_and_the_other_way_round_is_not(tmp_path: Path) -> None:
    films = [np.stack([np.roll(scene(seed), 3 * number, 1) for number in range(12)]) for seed in range(40)]
    again = VideoKind.read(str(write_film(tmp_path / "a.mp4", films[7], codec="libx264")))
    clips = [*(VideoKind.read(film) for film in (*films, films[8][::-1].copy())), again]
    kind = kind_of(films)
    sketches = [sketch for clip in clips if (sketch := kind.sketch(clip)) is not None]
    assert kind.near_copies(np.stack(sketches)).tolist() == [[7, 41]]


def test_the_audit_finds_a_clip_that_was_saved_again_in_another_split(tmp_path: Path) -> None:
    for number in range(40):
        film = np.repeat(scene(number)[None], 6, 0)
        film[:, :20] = np.stack([np.roll(film[i, :20], i, 1) for i in range(6)])
        for copy, side in enumerate((64, 56)):
            small = [np.asarray(Image.fromarray(frame).resize((side, side))) for frame in film]
            name = f"{'xyz'[number % 3]}{number}{'ab'[copy]}.mp4"
            write_film(tmp_path / "clips" / f"class{number % 2}" / name, small, codec="libx264")
    found = {finding.check: finding for finding in audit(str(tmp_path / "clips"), SMALL)}
    assert "near-split-overlap" in found
    assert found["near-split-overlap"].evidence["count"] > 5


# Metadata that tells the answer.


def test_a_fact_tells_only_where_it_does() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    assert _tells([480] * 200, labels) is None
    sizes = [480 if random.random() < 0.8 else 640 for _ in labels]
    by_chance, told = _tells(sizes, labels), _tells([s + label for s, label in zip(sizes, labels, strict=True)], labels)
    assert by_chance is not None and told is not None
    assert by_chance["p"] > 0.01 and by_chance["accuracy"] < 0.6
    assert told["p"] < 0.005 and told["accuracy"] == 1.0
    unique = _tells([f"name {number}" for number in range(200)], labels)
    assert unique is not None and unique["accuracy"] == 0.0, "a value that occurs once tells nothing"
    lengths = _tells((random.normal(size=200) + 2 * labels).tolist(), labels)  # two overlapping bells
    assert lengths is not None and 0.75 < lengths["accuracy"] < 0.9


def test_pictures_whose_size_is_their_class_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(60):
        side = 16 if number % 2 else 20
        path = tmp_path / "pictures" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(path)
    (found,) = [f for f in audit(str(tmp_path / "pictures")) if f.check == "metadata-leak"]
    assert {"height", "width"} <= set(found.evidence) and found.severity == "warning"
    assert "100.0%" in found.message and "50.0%" in found.message


# Where clips come from.


def test_files_that_are_parts_of_recordings_stay_together() -> None:
    paths = [f"{label}/{label}_g{group:02d}_c{part}.avi" for label in "ab" for group in range(8) for part in range(3)]
    groups = recordings(paths, [path[0] for path in paths])
    assert groups is not None and len(set(groups)) == 16
    numbered = [f"{label}/fi{number:03d}.mp4" for label in "ab" for number in range(30)]
    assert recordings(numbered, [path[0] for path in numbered]) is None, "a running number alone is no recording"
    assert recordings([f"a/{n}x.mp4" for n in range(30)], ["a"] * 30) is None


def test_parts_of_a_recording_in_two_splits_are_a_finding(tmp_path: Path) -> None:
    rows = ["file,start,end,label,split"]
    for number in range(4):
        write_film(tmp_path / f"{number}.mp4", moving(2, 40, seed=number))
        rows += [f"{number}.mp4,{s},{s + 1},{'ab'[s % 2]},{('train', 'train', 'val', 'test')[s]}" for s in range(4)]
    (tmp_path / "parts.csv").write_text("\n".join(rows))
    (found,) = [f for f in audit(str(tmp_path / "parts.csv"), SMALL) if f.check == "group-overlap"]
    assert found.evidence["count"] == 4 and "parts.csv, row" in found.evidence["groups"][0][0]


def test_archives_stand_for_folders_of_classes(tmp_path: Path) -> None:
    import tarfile
    import zipfile

    film = write_film(tmp_path / "1.mp4", moving(1))
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "data" / "left.tar.gz", "w:gz") as archive:
        archive.add(film, "left/1.mp4")
        archive.add(film, "left/2.mp4")
    with zipfile.ZipFile(tmp_path / "data" / "right.zip", "w") as zipped:
        zipped.write(film, "3.mp4")
    (tmp_path / "data" / "README.md").write_text("about")
    table = read_table(DataSection(name=str(tmp_path / "data")))
    assert list(table.columns["label"].cells) == ["left", "left", "right"]
    assert table.where(2) == str(tmp_path / "data" / "right" / "3.mp4")
    assert VideoKind.read(table.columns["video"].cells[2]).facts["frames"] == 12
    with tarfile.open(tmp_path / "data" / "right.tar", "w") as archive:
        archive.add(film, "1.mp4")
    with pytest.raises(BadInput, match="two archives are called right"):
        read_table(DataSection(name=str(tmp_path / "data")))


def test_a_folder_of_animations_is_video_where_that_is_asked_for(tmp_path: Path) -> None:
    for number in range(20):
        step = 2 if number % 2 else -2
        film = moving(step, 6, seed=number)
        write_film(tmp_path / "gifs" / f"class{number % 2}" / f"{number}.gif", film, codec="gif", pixels="rgb8")
    read = prepare(str(tmp_path / "gifs"), {**SMALL, "task": TASK}, Display(quiet=True))
    assert read.encoded.inputs["video"].shape == (20, 4, 3, 16, 16)


# Networks and the control.


@pytest.mark.parametrize("name", [*NETWORKS, SINGLE_FRAME])
@pytest.mark.parametrize("size", [(16, 16), (40, 25)])
def test_networks_take_any_size_and_all_but_one_see_motion(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    asked = VideoNetworkSection(width=24, layers=2)
    body = video_body(name, VideoShape(6, 3, *size, 5, 0.1), asked).eval()
    video = torch.rand(2, 6, 3, *size)
    reordered = video[:, [5, 4, 2, 3, 1, 0]]
    with torch.no_grad():
        outputs = body(video)
        moved = (outputs - body(reordered)).abs().max()
    assert outputs.shape == (2, 5)
    assert (moved == 0) == (name == SINGLE_FRAME), "frame 3, the middle one, stayed"


def test_any_network_for_pictures_can_read_the_frames() -> None:
    asked = VideoNetworkSection(backbone="small_cnn", width=24)
    assert video_body("cnn_gru", VideoShape(4, 1, 16, 16, 3, 0.0), asked)(torch.rand(2, 4, 1, 16, 16)).shape == (2, 3)
    with pytest.raises(BadInput, match="nearest: cnn_gru"):
        video_body("cnn_grw", VideoShape(4, 1, 16, 16, 3, 0.0), asked)


def test_a_single_frame_of_the_sample_tells_nothing() -> None:
    """Where the blob is, in the middle frame, is spread evenly for every class."""
    table = motion()
    for label in ("left", "right", "up", "down"):
        rows = [row for row, cell in enumerate(table.columns["label"].cells) if cell == label]
        bright = np.mean([table.columns["video"].cells[row][4] >= 150 for row in rows], axis=0)  # (H, W)
        assert len(rows) == 200
        halves = bright[:, :12].mean() / bright.mean(), bright[:12].mean() / bright.mean()
        assert all(0.75 < half < 1.25 for half in halves)


def test_a_single_frame_tells_nothing_of_the_speed() -> None:
    """Where the blob is, in the middle frame, and how it moves up or down: neither goes with how fast it moves."""
    table = speeds()
    speed = np.array(table.columns["speed"].cells)
    angle = 2 * np.pi * np.arange(24) / 24  # places on a ring, of which a mean is taken by its sine and cosine
    for axis in (0, 1):
        lit = np.array([(cell[4] >= 150).any(axis) for cell in table.columns["video"].cells])  # (N, 24)
        waves = lit @ np.stack([np.sin(angle), np.cos(angle)], 1)
        assert all(abs(np.corrcoef(wave, speed)[0, 1]) < 0.15 for wave in waves.T)


def test_a_mirrored_clip_has_the_negated_angle() -> None:
    keys = {"steering.angle": True, "augment.flip": 1.0, "augment.colour": 0.0, "data.split": "random"}
    prepared = prepare("speeds", keys, Display(quiet=True))
    rows = torch.from_numpy(prepared.splits["train"][:4])
    batch = prepared.encoded.batch(rows)
    mirrored = prepared.task.augment(batch, SampleRandom(0, 1, batch.index))
    assert torch.equal(mirrored.inputs["video"], batch.inputs["video"].flip(-1).float())
    assert torch.equal(mirrored.targets["number"], -batch.targets["number"])


def coloured(folder: Path, num: int = 40) -> Path:
    """Clips of which every frame gives the class away by its brightness."""
    for number in range(num):
        film = moving(2 if number % 2 else -2, 6, seed=number) // 3 + np.uint8(150 * (number % 2))
        write_film(folder / f"class{number % 2}" / f"clip{number}x.mp4", film)
    return folder


def test_a_control_that_does_as_well_is_a_finding(tmp_path: Path) -> None:
    keys = {**SMALL, "train.epochs": 5, "optim.lr": 0.01}
    run = train(str(coloured(tmp_path / "clips")), keys, output=tmp_path / "run", display=Display(quiet=True))
    evaluation = json.loads((run.path / "evaluation.json").read_text())
    assert evaluation["controls"][SINGLE_FRAME]["accuracy"] > 0.8
    assert "no-better-than-control" in {finding.check for finding in run.findings("evaluation")}
    page, card = ((run.path / name).read_text(encoding="utf-8") for name in ("report.html", "card.md"))
    assert f'<th scope="col" class="n">{SINGLE_FRAME}</th>' in page and f"| {SINGLE_FRAME} reaches |" in card
    again = run.evaluate(str(tmp_path / "clips"))
    assert set(again.controls) == {SINGLE_FRAME}, "other data is put to both networks too"


class _StopInControl(Display):
    """Sends SIGTERM in the second training, which is the control's."""

    trainings = 0

    def start(self, what: str, total: int) -> None:
        super().start(what, total)
        self.trainings += what == "epoch"

    def advance(self, units: int = 1) -> None:
        super().advance(units)
        if self.trainings == 2 and self.done == 2:
            signal.raise_signal(signal.SIGTERM)


def test_a_run_killed_in_its_control_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    clips = str(coloured(tmp_path / "clips", 24))
    whole = train(clips, SMALL, output=tmp_path / "whole", display=Display(quiet=True))
    with suppress(Interrupted):
        train(clips, SMALL, output=tmp_path / "run", display=_StopInControl(quiet=True))
    stopped = Run(tmp_path / "run")
    assert not stopped.finished and newest_checkpoint(stopped.path / CONTROL / "last") is not None
    resumed = train(None, {}, resume=stopped.path, display=Display(quiet=True))
    for name in ("model.safetensors", f"{CONTROL}/model.safetensors"):
        first, second = (read_tensors(run.path / name)[0] for run in (whole, resumed))
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items()), name
    log = [json.loads(line) for line in (resumed.path / CONTROL / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log if row["event"] == "epoch"] == [0, 1]
    assert f"{CONTROL}/model.safetensors" in json.loads((resumed.path / "manifest.json").read_text())["files"]


def test_no_other_task_has_a_control_but_paths() -> None:
    from snowball.task import Task

    assert [name for name, task in tasks().items() if task.control is not Task.control] == [
        "behaviour-prediction",
        TASK,
        "video-steering",
    ]
