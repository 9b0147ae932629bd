"""Video files: every container, frames by their times, parts, and what is damaged, hostile or too large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from snowball.kind import Unreadable
from snowball.kinds import _video_file
from snowball.kinds._video_file import MAX_FRAMES, read_clip

from .films import moving, write_film


def counting(frames: int, side: int = 32) -> list[np.ndarray]:
    """Frame i is grey 10 + 5 i all over, so that a decoded frame says which one it is."""
    return [np.full((side, side, 3), 10 + 5 * number, np.uint8) for number in range(frames)]


def numbers(clip: Any) -> list[int]:
    return [round((float(frame.mean()) - 10) / 5) for frame in clip.frames]


CONTAINERS: dict[str, dict[str, Any]] = {
    "a.mp4": {},
    "a.avi": {},
    "a.mkv": {"codec": "libx264"},
    "a.webm": {"codec": "libvpx"},
    "a.mov": {"codec": "libx264"},
    "a.mpg": {"codec": "mpeg1video", "rate": 25},
    "a.gif": {"codec": "gif", "pixels": "rgb8"},
    "a.h264": {"codec": "libx264"},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_its_frames_in_order(name: str, tmp_path: Path) -> None:
    clip = read_clip(write_film(tmp_path / name, counting(12), **CONTAINERS[name]))
    assert clip.frames.shape == (12, 32, 32, 3)
    levels = clip.frames.mean((1, 2, 3))
    assert (np.diff(levels) >= 0).all() and levels[-1] - levels[0] > 40
    assert clip.facts["frames"] == 12 and clip.facts["suffix"] == name[1:]
    assert (np.diff(clip.times) > 0).all() and clip.times[0] == 0


def test_facts_tell_of_the_file(tmp_path: Path) -> None:
    facts = read_clip(write_film(tmp_path / "a.mp4", moving(2), audio=True)).facts
    assert facts == {
        **{"height": 32, "width": 32, "fps": 10.0, "has_audio": True, "codec": "mpeg4"},
        **{"container": "mov,mp4,m4a,3gp,3g2,mj2", "suffix": ".mp4", "frames": 12, "seconds": 1.2},
    }


def test_long_clips_are_thinned_by_time(tmp_path: Path) -> None:
    clip = read_clip(write_film(tmp_path / "a.mp4", counting(48), codec="libx264"))
    assert len(clip.frames) == MAX_FRAMES
    wanted = [math.floor((i + 0.5) * 48 / MAX_FRAMES) for i in range(MAX_FRAMES)]
    assert numbers(clip) == wanted
    assert clip.seconds == pytest.approx(4.8)


def test_a_varying_rate_is_sampled_by_time_stamps(tmp_path: Path) -> None:
    """Of 40 frames 38 pass in 3.8 s, and the next one stands for ten: most moments show that one."""
    ticks = [*(10 * i for i in range(39)), 1390]
    clip = read_clip(write_film(tmp_path / "a.mkv", counting(40), codec="libx264", ticks=ticks))
    assert clip.facts["frames"] == 40
    assert clip.times[-1] == pytest.approx(3.8) and clip.seconds == pytest.approx(14.0)
    assert numbers(clip)[-1] == 38
    assert len(clip.frames) < 14, "moments that show the same frame do not repeat it"


def test_without_time_stamps_frames_are_counted(tmp_path: Path) -> None:
    clip = read_clip(write_film(tmp_path / "a.h264", counting(12), codec="libx264", rate=25))
    assert clip.times.tolist() == pytest.approx([i / 25 for i in range(12)])
    with pytest.raises(Unreadable, match="says nothing of times"):
        read_clip(tmp_path / "a.h264", start=0.2)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_part_holds_its_own_frames(name: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / name, counting(40), codec="ffv1" if name == "a.avi" else "libx264")
    assert numbers(read_clip(path, 2.0, 2.5)) == [20, 21, 22, 23, 24]
    assert numbers(read_clip(path, 3.7)) == [37, 38, 39]
    assert numbers(read_clip(path, 0, 0.2)) == [0, 1]
    for start, end, said in ((0, 5, "end 5 s is beyond its end at 4 s"), (9, math.inf, "start 9 s is beyond its end")):
        with pytest.raises(Unreadable, match=said):
            read_clip(path, start, end)


def test_bytes_are_read_as_the_file_is(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", moving(2))
    assert np.array_equal(read_clip(path).frames, read_clip(path.read_bytes()).frames)


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", moving(2, 40), audio=True)
    webm = write_film(tmp_path / "a.webm", moving(2, 40), codec="libvpx").read_bytes()
    index_first = {"movflags": "faststart"}
    whole = write_film(tmp_path / "b.mp4", moving(2, 40, 64), codec="libx264", options=index_first).read_bytes()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        container.mux([*sound.encode(silence), *sound.encode(None)])
    with av.open(str(tmp_path / "none.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        container.mux(stream.encode(None))
        container.start_encoding()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{film}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile {film}\n"
    for source, said in (
        (tmp_path / "missing.mp4", "no such file"),
        (tmp_path, "a folder"),
        (b"", "zero bytes"),
        (b"this is text, and no video at all", "not a video"),
        (film.read_bytes()[:1700], "not a video, or its end is missing"),
        (webm[: len(webm) // 2], "truncated: 4 s by its header"),
        (whole[: len(whole) // 2], "truncated: 40 frames by its header"),
        ((tmp_path / "sound.mp4").read_bytes(), "sound alone"),
        ((tmp_path / "none.avi").read_bytes(), "no|not"),
        (playlist.encode(), "not a video"),
        (concat.encode(), "not a video"),
    ):
        with pytest.raises(Unreadable, match=said):
            read_clip(source)


def test_no_file_but_the_one_that_was_given_is_opened(tmp_path: Path) -> None:
    """A .mov may name another file as its content; a playlist in any dress is not read at all."""
    with pytest.raises(PermissionError, match="another file"):
        _video_file._refuse("http://example.com/a.mp4", 1, {})
    assert not {"hls", "dash", "concat", "image2", "sdp", "rtsp", "lavfi"} & set(_video_file.FORMATS.split(","))


def test_too_much_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = write_film(tmp_path / "large.mp4", [np.zeros((3000, 4000, 3), np.uint8)])
    with pytest.raises(Unreadable, match="4000 x 3000 are more than"):
        read_clip(large)
    path = write_film(tmp_path / "a.mp4", moving(2, 40))
    monkeypatch.setattr(_video_file, "_decode", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(_video_file, "MAX_COUNT", 30)
    with pytest.raises(Unreadable, match=r"more than 30 frames of 32 x 32 .* start and end"):
        read_clip(path)
    monkeypatch.setattr(_video_file, "MAX_COUNT", 40)
    monkeypatch.setattr(_video_file, "MAX_WORK", 32 * 32 * 39)
    with pytest.raises(Unreadable, match="more than 39 frames"):
        read_clip(path)


def test_what_is_kept_is_small_and_upright(tmp_path: Path) -> None:
    film = np.zeros((3, 540, 960, 3), np.uint8)
    film[:, :, 480:] = 255  # the right half is bright
    path = write_film(tmp_path / "a.mp4", film)
    clip = read_clip(path)
    assert clip.frames.shape == (3, 256, 455, 3)
    assert clip.facts["height"] == 540
    with av.open(str(path)) as source, av.open(str(tmp_path / "turned.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)  # as a telephone that was held upright says it
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    turned = read_clip(tmp_path / "turned.mp4").frames
    assert turned.shape == (3, 455, 256, 3)
    halves = turned[0, :200].mean(), turned[0, 255:].mean()
    assert abs(halves[0] - halves[1]) > 200, "bright above or below, where it was right"
