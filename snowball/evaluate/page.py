"""What every page has: templates whose values are escaped, and pictures that stand in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

__all__ = ["data_uri", "pictured", "template"]

PICTURE_SIDE = 320  # pixels; 24 photographs then make a page of about 4 MB
STRIP = 3  # times as wide as high: a picture that is a row of several, and gets a line of its own
PIXEL_ART = 64  # pictures up to this side are enlarged with their pixels visible


def template(name: str, autoescape: bool, finalize: Callable[[Any], Any]) -> Template:
    """A template of this folder; `finalize` turns every value of the template into text."""
    environment = Environment(
        loader=PackageLoader("snowball.evaluate", "templates"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def pictured(picture: Image.Image | str) -> tuple[str, str | None]:
    """A PNG as a data URI, and how it is shown: with `square` pixels, as a `strip`, or ``; or text, and None."""
    if isinstance(picture, str):
        return picture, None
    is_strip = picture.width >= STRIP * picture.height
    small = picture.convert("RGB" if picture.mode not in ("1", "L", "RGB", "RGBA") else picture.mode)
    small.thumbnail((PICTURE_SIDE * (STRIP if is_strip else 1), PICTURE_SIDE))
    small.info.clear()  # a photograph's own metadata may say where it was taken
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    look = "strip" if is_strip else "square" if max(small.size) <= PIXEL_ART else ""
    return data_uri("image/png", buffer.getvalue()), look


def data_uri(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode()}"
