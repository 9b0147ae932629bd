"""A film of pictures, as an mp4 that every browser plays."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from ..finding import BadInput, brief

__all__ = ["Film"]


class Film:
    """Use as a context; `add` pictures of one size. The file appears when all of it is written."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.tmp")
        self._rate = rate
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Film:
        import av

        try:
            self._container = av.open(str(self._part), "w", format="mp4")
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be written: {brief(error)}") from error
        return self

    def add(self, picture: Image.Image) -> None:
        import av

        pixels = np.asarray(picture.convert("RGB"))
        pixels = np.ascontiguousarray(
            pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2]
        )  # 4:2:0 takes even sides
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = pixels.shape[:2]
            self._stream.pix_fmt = "yuv420p"
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
        if kind is None and self._stream is not None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)
