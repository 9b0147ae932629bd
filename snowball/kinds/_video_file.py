"""Decode a few frames of a video file, which may be hostile: formats from a list, no file but this one, all bounded.

A file is gone through twice: its packets are counted and timed without decoding, then frames are decoded one after
another, of which at most one is held beside those that are kept. Shapes: N kept frames, H, W.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ..kind import Absent, Unreadable

__all__ = [
    "FILM_SUFFIXES",
    "MAX_FILM",
    "MAX_FRAMES",
    "Clip",
    "NoFilm",
    "brief",
    "container_of",
    "opened",
    "pictures_of",
    "read_clip",
    "thinned",
]

FILM_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ogv", ".3gp", ".wmv", ".flv")
)
MAX_FRAMES = (
    32  # kept of a clip, whatever it holds: networks see 8 to 32; converting a frame costs what decoding four does
)
MAX_FILM = 60.0  # seconds of a film that is kept at a rate: 25 grey frames a second are then at most 123 MB
SHORT_SIDE, LONG_SIDE = 256, 1024  # kept frames are no larger: twice what the largest usual networks see
MAX_PIXELS = 9_500_000  # of a frame: 4K in either of its forms
MAX_COUNT = 10_000  # frames of a clip, which are all decoded: more than 5 minutes at 30 a second are no clip
MAX_WORK = 5_000_000_000  # pixels to decode: 20 s at the 260 million a second that one core does (480p H.264)
# Containers that hold their own content. Playlists and manifests (hls, dash, concat) name other files: not here.
FORMATS = "mov,matroska,webm,avi,gif,mpeg,mpegts,flv,ogg,asf,h264,hevc,m4v,ivf"
FALLBACK_RATE = 25.0  # frames a second, where neither time stamps nor a rate can be read: only their order matters
TINY = 1e-6  # seconds; time stamps are whole ticks, of 1 / 90,000 at the shortest


class NoFilm(Unreadable):
    """Nothing that FFmpeg knows for a container."""


@dataclass(frozen=True)
class Clip:
    """A video as a raw value: `frames` (N, H, W) or (N, H, W, 3) uint8, at most MAX_FRAMES of what there is.

    `times` (N,) say when each is first shown, from 0, and `seconds` when the last one ends; where nothing is known of
    time, frames are counted. `facts` tell of the whole clip and its file.
    """

    frames: np.ndarray
    times: np.ndarray
    seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Timeline:
    """When the frames between start and end are shown: sorted seconds from the file's begin, and the end of the last.

    `rate`: frames are counted at this rate, since the file has no time stamps.
    """

    times: list[float]
    end: float
    rate: float | None


def read_clip(
    source: Path | bytes, start: float = 0.0, end: float = math.inf, rate: float | None = None, *, grey: bool = False
) -> Clip:
    """The part of a video from `start` to `end` seconds. Raises Unreadable with the reason, whatever the file holds.

    Kept are the frames that are on show at MAX_FRAMES moments, or at `rate` moments a second of at most MAX_FILM.
    """
    try:
        with opened(source) as (container, stream):
            facts = _facts(container, stream, source)
            shown = _timeline(container, stream, start, end)
        with opened(source) as (container, stream):
            frames, times = _decode(container, stream, shown, _moments(shown, rate), grey=grey)
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except IsADirectoryError:
        raise Unreadable("a folder") from None
    except Exception as error:  # hostile bytes make FFmpeg's parsers raise nearly anything
        raise Unreadable(f"damaged ({brief(error)})") from error
    seconds = shown.end - shown.times[0]
    facts = {**facts, "frames": len(shown.times), "seconds": round(seconds, 2)}
    return Clip(np.stack(frames), np.array(times) - shown.times[0], seconds, facts)


def brief(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__)[:200]


def _refuse(url: str, flags: int, options: Mapping[str, Any]) -> Any:
    raise PermissionError(f"it asks for another file, {url[:100]!r}")


@contextmanager
def container_of(source: Path | bytes) -> Iterator[Any]:
    """The container. Python opens the file, so that no name in it means a network protocol."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if not file.read(1):
            raise Unreadable("zero bytes")
        file.seek(0)
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none", "max_pixels": str(4 * MAX_PIXELS)}
        try:
            container = av.open(file, options=options, io_open=_refuse, metadata_errors="replace")
        except (av.error.InvalidDataError, av.error.ArgumentError) as error:
            raise NoFilm("not a video, or its end is missing") from error
        with container:
            yield container


def pictures_of(container: Any) -> Any:
    """The stream of pictures, which the cover of a record is not; None where there is none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    return streams[0] if streams else None


@contextmanager
def opened(source: Path | bytes) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream."""
    with container_of(source) as container:
        stream = pictures_of(container)
        if stream is None:
            raise Absent("no pictures in it: sound alone")
        context = stream.codec_context
        if context is None or not context.width or not context.height:
            raise Unreadable(f"no frame that can be decoded: damaged, or of far more than {MAX_PIXELS:,} pixels")
        _check_size(context.width, context.height)
        context.thread_count = 1  # rows are encoded in parallel already
        yield container, stream


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unreadable(f"frames of {width} x {height} are more than {MAX_PIXELS:,} pixels")


def _facts(container: Any, stream: Any, source: Path | bytes) -> dict[str, Any]:
    return {
        "height": stream.codec_context.height,
        "width": stream.codec_context.width,
        "fps": round(float(stream.average_rate), 2) if stream.average_rate else None,
        "has_audio": bool(container.streams.audio),
        "codec": stream.codec_context.name,
        "container": container.format.name,
        "suffix": source.suffix.lower() if isinstance(source, Path) else None,
    }


def _timeline(container: Any, stream: Any, start: float, end: float) -> _Timeline:
    """Time every frame from the packets, without decoding; only those around the part are looked at."""
    stamped: list[float] = []
    last_end, count, stopped, counted = 0.0, 0, False, False
    rate = float(stream.average_rate or stream.guessed_rate or 0) or FALLBACK_RATE
    _seek(container, stream, start)
    for packet in container.demux(stream):
        if not packet.size:
            continue
        count += 1
        _check_work(count, stream)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or counted:
            counted = True
            continue
        shown = _seconds(stamp, stream)
        stamped.append(shown)
        last_end = max(last_end, shown + (float(packet.duration * stream.time_base) if packet.duration else 1 / rate))
        if _seconds(packet.dts if packet.dts is not None else stamp, stream) >= end:
            stopped = True
            break
    if counted:
        stamped, last_end, stopped = [number / rate for number in range(count)], count / rate, False
    if not stamped and not start:
        raise Unreadable("no frames in it")
    if not start and math.isinf(end):
        _check_whole(container, stream, count, last_end)
    if start >= last_end - TINY or not stamped:
        raise Unreadable(f"start {start:g} s is beyond its end at {last_end:.3g} s")
    if not stopped and not math.isinf(end) and end > last_end + 1.5 / rate:
        raise Unreadable(f"end {end:g} s is beyond its end at {last_end:.3g} s")
    times = sorted(time for time in stamped if start - TINY <= time < end - TINY)
    if not times:
        raise Unreadable(f"no frame between {start:g} s and {end:g} s")
    return _Timeline(times, min(end, last_end), rate if counted else None)


def _seek(container: Any, stream: Any, start: float) -> None:
    """To the key frame before `start`."""
    if start > 0:
        try:
            container.seek(int(start / stream.time_base) + (stream.start_time or 0), stream=stream)
        except (av.error.FFmpegError, OSError):  # a bare stream of frames, such as .h264, has no times to look for
            raise Unreadable(
                f"start {start:g} s cannot be found: the file says nothing of times, or ends before"
            ) from None


def _check_work(count: int, stream: Any) -> None:
    """Refuse by count, before anything is decoded, what would take minutes."""
    context = stream.codec_context
    if count > MAX_COUNT or count * context.width * context.height > MAX_WORK:
        raise Unreadable(
            f"more than {count - 1:,} frames of {context.width} x {context.height} are too many for one clip: name"
            " parts of it in a table with the columns start and end (seconds)"
        )


def _seconds(stamp: int, stream: Any) -> float:
    return float((stamp - (stream.start_time or 0)) * stream.time_base)


def _check_whole(container: Any, stream: Any, count: int, last_end: float) -> None:
    """A file that was cut short says in its head what is missing at its end; a tenth may be rounding and edit lists."""
    if count + 2 < 0.9 * stream.frames:
        raise Unreadable(f"truncated: {stream.frames} frames by its header, of which {count} are there")
    seconds = (container.duration or 0) / av.time_base
    if len(container.streams) == 1 and last_end + 0.2 < 0.9 * seconds:
        raise Unreadable(f"truncated: {seconds:.3g} s by its header, of which {last_end:.3g} s are there")


def _moments(shown: _Timeline, rate: float | None) -> list[float]:
    """When the frames that are kept are on show, evenly spread: all of them where they are few."""
    times, seconds = shown.times, shown.end - shown.times[0]
    if rate is None and len(times) <= MAX_FRAMES:
        return times
    if rate is not None and seconds > MAX_FILM:
        raise Unreadable(f"{seconds:,.0f} s of film: at most {MAX_FILM:g} s a row; give parts by columns start and end")
    num = MAX_FRAMES if rate is None else max(1, round(seconds * rate))
    return [times[0] + (number + 0.5) * seconds / num for number in range(num)]


def _decode(
    container: Any, stream: Any, shown: _Timeline, moments: Sequence[float], *, grey: bool
) -> tuple[list[np.ndarray], list[float]]:
    """The frames that are on show at these moments, each once, and when each begins."""
    wanted = deque(moments)
    kept: list[np.ndarray] = []
    begins: list[float] = []
    held: tuple[Any, float] | None = None
    pixels = _Pixels(grey=grey)
    for frame, begin in _between(container, stream, shown):
        reached = 0
        while wanted and wanted[0] < begin - TINY:
            wanted.popleft()
            reached += 1
        if reached and held is not None:
            kept.append(pixels(held[0]))
            begins.append(held[1])
        held = frame, begin
    if held is not None and wanted:
        kept.append(pixels(held[0]))
        begins.append(held[1])
    if not kept:
        raise Unreadable("not a single frame can be decoded")
    if any(picture.shape != kept[0].shape for picture in kept):
        raise Unreadable("its frames change their size")
    return kept, begins


def _between(container: Any, stream: Any, shown: _Timeline) -> Iterator[tuple[Any, float]]:
    """Decoded frames of the part, each with when it begins."""
    if shown.rate is None:
        _seek(container, stream, shown.times[0])
    for number, frame in enumerate(container.decode(stream)):
        if number > 2 * MAX_COUNT:
            raise Unreadable("it decodes to more frames than it holds")
        if shown.rate is not None:
            begin = number / shown.rate
        else:
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                continue
            begin = _seconds(stamp, stream)
        if begin < shown.times[0] - TINY:
            continue
        if begin > shown.times[-1] + TINY:
            return
        yield frame, begin


class _Pixels:
    """Frames as arrays. Scaled first and coloured after, by scalers that are kept: five times as fast as afresh."""

    def __init__(self, *, grey: bool) -> None:
        self._grey = grey
        self._scaler, self._painter = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8, upright, within SHORT_SIDE and LONG_SIDE."""
        width, height = frame.width, frame.height
        _check_size(width, height)
        shrink = max(min(1.0, SHORT_SIDE / min(width, height), LONG_SIDE / max(width, height)), 1 / min(width, height))
        size = {"width": round(width * shrink), "height": round(height * shrink), "interpolation": "AREA", "threads": 1}
        turn = round(frame.rotation / 90)
        grey = self._grey or frame.format.name.startswith("gray")
        if frame.format.name.startswith("yuv"):
            frame = self._scaler.reformat(frame, **size)
        pixels: np.ndarray = self._painter.reformat(frame, format="gray" if grey else "rgb24", **size).to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, turn))


def thinned(clip: Clip) -> Clip:
    """The clip with at most MAX_FRAMES of its frames, evenly spread."""
    num = len(clip.frames)
    if num <= MAX_FRAMES:
        return clip
    keep = ((np.arange(MAX_FRAMES) + 0.5) * num / MAX_FRAMES).astype(int)
    return replace(clip, frames=clip.frames[keep], times=clip.times[keep])
