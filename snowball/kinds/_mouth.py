"""Where the mouth is in a picture: below the face that OpenCV's cascade finds (Viola and Jones, 2001).

Boxes are (left, top, right, bottom) as shares of the picture's width and height.
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np

from ..finding import BadInput

__all__ = ["SMALLEST", "Box", "can_find", "find_face", "mouth_of"]

Box = tuple[float, float, float, float]
SMALLEST = 96  # pixels of a picture's side below which no face is looked for
LOOKED_AT = 5  # frames of a film, evenly spread; the face is the median of theirs
_CASCADE = "haarcascade_frontalface_default.xml"


def can_find() -> bool:
    """Whether what finds faces is installed."""
    return importlib.util.find_spec("cv2") is not None


_THREAD = threading.local()


def _cascade() -> Any:
    """One a thread: it keeps what it is looking at in itself."""
    if not hasattr(_THREAD, "cascade"):
        _THREAD.cascade = _loaded()
    return _THREAD.cascade


def _loaded() -> Any:
    try:
        import cv2
    except ImportError:
        raise BadInput(
            "lips.crop=mouth looks for faces with OpenCV, which is not installed: pip install 'snowball[opencv]';"
            " or give the mouth's place: lips.crop=LEFT,TOP,RIGHT,BOTTOM as shares of the picture, or lips.crop=whole"
        ) from None
    if not hasattr(cv2, "CascadeClassifier"):
        raise BadInput("this OpenCV has no CascadeClassifier: pip install 'opencv-python-headless<5'")
    cv2.setNumThreads(1)  # rows are encoded in parallel already
    folder: str = getattr(cv2, "data").haarcascades  # noqa: B009 (a submodule that its type hints leave out)
    return cv2.CascadeClassifier(folder + _CASCADE)


def find_face(frames: np.ndarray) -> Box | None:
    """The face in grey frames (T, H, W) uint8: the median of those found in a few of them; None where none is.

    Raises BadInput where OpenCV is not installed.
    """
    cascade = _cascade()
    height, width = frames.shape[1:]
    boxes = []
    for frame in frames[np.linspace(0, len(frames) - 1, min(LOOKED_AT, len(frames))).astype(int)]:
        least = max(24, min(height, width) // 6)
        found = cascade.detectMultiScale(np.ascontiguousarray(frame), 1.1, 5, minSize=(least, least))
        if len(found):
            boxes.append(max(found, key=lambda box: box[2] * box[3]))  # (x, y, w, h)
    if not boxes:
        return None
    x, y, w, h = np.median(np.array(boxes, dtype=float), axis=0)
    return (float(x / width), float(y / height), float((x + w) / width), float((y + h) / height))


def mouth_of(face: Box) -> Box:
    """The part of a face that speaks: the middle 60 % of its width, and from 62 % to 97 % of its height.

    >>> [round(x, 2) for x in mouth_of((0.0, 0.0, 1.0, 1.0))]
    [0.2, 0.62, 0.8, 0.97]
    """
    left, top, right, bottom = face
    width, height = right - left, bottom - top

    def inside(side: float) -> float:
        return min(1.0, max(0.0, side))

    return (
        inside(left + 0.2 * width),
        inside(top + 0.62 * height),
        inside(left + 0.8 * width),
        inside(top + 0.97 * height),
    )
