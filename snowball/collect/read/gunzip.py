"""Read a file, gzipped or not, up to a limit. A small gzip file can unpack to a thousand times its size."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from ...finding import BadInput

__all__ = ["MAX_RATIO", "RATIO_FROM", "is_gzip_name", "read_bounded"]

MAX_RATIO = 200  # unpacked / packed; text packs to about a third, lists of like lines to a hundredth
RATIO_FROM = 64 << 20  # bytes that are unpacked before the ratio is looked at
_CHUNK = 1 << 20


def is_gzip_name(name: str) -> bool:
    return name.lower().endswith(".gz")


def read_bounded(path: Path, left: int, limit: int) -> bytes:
    """All bytes of a file, unpacked where its name ends in .gz: at most the `left` bytes of a `limit` for all files.

    Raises BadInput for what is larger, damaged, cut off, or a decompression bomb.
    """
    packed = path.stat().st_size
    if not is_gzip_name(path.name):
        if packed > left:
            raise _too_large(path, limit)
        return path.read_bytes()
    parts: list[bytes] = []
    size = 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > left:
                    raise _too_large(path, limit)
                if size > RATIO_FROM and size > MAX_RATIO * packed:
                    raise BadInput(f"{path}: unpacks to more than {MAX_RATIO} times its {packed:,} bytes: a bomb?")
                parts.append(chunk)
    except EOFError as error:
        raise BadInput(f"{path}: truncated: the gzip stream ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: damaged gzip file ({error})") from error
    return b"".join(parts)


def _too_large(path: Path, limit: int) -> BadInput:
    shown = f"{limit / 2**30:g} GiB" if limit >= 2**30 else f"{limit:,} bytes"
    return BadInput(f"{path}: with it, more than {shown} of text, which is held in memory; give less at once")
