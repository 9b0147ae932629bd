"""Pictures one after another, from a film or a camera: frames are decoded as they are asked for, and none is held."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from ..kind import Named, Unreadable
from ._video_file import brief, opened

__all__ = ["camera_frames", "film_frames"]

_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}


def film_frames(path: str) -> Iterator[Named]:
    """Every frame of a video file, (H, W, 3) uint8, named by its time. Raises Unreadable."""
    try:
        with opened(Path(path)) as (container, stream):
            for number, frame in enumerate(container.decode(stream)):
                yield Named(
                    f"{path}, {frame.time:.2f} s" if frame.time is not None else f"{path}, {number}", _rgb(frame)
                )
    except av.FFmpegError as error:
        raise Unreadable(f"damaged ({brief(error)})") from error


def camera_frames(index: int) -> Iterator[Named]:
    """What the camera with this number sees, until it or the reader stops. Raises Unreadable where there is none."""
    form, place = _CAMERAS.get(sys.platform, ("", ""))
    if not form:
        raise Unreadable(f"cameras are not read on {sys.platform}; give a film or pictures")
    try:
        with av.open(place.format(index), format=form) as container:
            for number, frame in enumerate(container.decode(video=0)):
                yield Named(f"camera {index}, frame {number}", _rgb(frame))
    except av.FFmpegError as error:
        raise Unreadable(f"camera {index} cannot be opened ({brief(error)})") from error


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
