"""Pictures are the same pixels with simplejpeg and without it; resizing and crops stay within a grey level."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from snowball.kind import Batch, Unreadable
from snowball.kinds import _image_augment as augmenting
from snowball.kinds import _image_decode as decoding
from snowball.kinds._image_augment import ImageAugment, augment_images
from snowball.kinds._image_decode import resize_picture
from snowball.kinds.image import ImageKind
from snowball.rng import SampleRandom

SIZES = [(64, 96), (61, 83), (1, 1), (17, 5)]


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth colours with noise: what JPEG is made for, and what it is not."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y), np.sin(5 * x * y)], 2) * 90 + 128
    noise = np.random.default_rng(height * width).normal(0, 20, waves.shape)
    return np.asarray((waves + noise).clip(0, 255).astype(np.uint8))


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    return jpeg(photograph(48, 80), exif=exif)


def two_frames() -> bytes:
    buffer = io.BytesIO()
    first, second = (Image.fromarray(photograph(height, 80)) for height in (40, 48))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


def broken() -> bytes:
    content = jpeg(photograph(64, 96), quality=90)
    return content[:4000] + bytes(reversed(content[4000:4020])) + content[4020:]


def turned_behind(segment: bytes) -> bytes:
    """Turned, as what stands behind another segment says."""
    content = turned(6)
    return content[:2] + segment + content[2:]


JPEGS = {
    **{f"{h} x {w}, sampling {s}": jpeg(photograph(h, w), subsampling=s) for h, w in SIZES for s in range(3)},
    **{f"{h} x {w}, grey": jpeg(photograph(h, w)[:, :, 0]) for h, w in SIZES},
    **{f"progressive, sampling {s}": jpeg(photograph(64, 96), progressive=True, subsampling=s) for s in range(3)},
    "progressive, grey": jpeg(photograph(64, 96)[:, :, 0], progressive=True),
    "RGB inside": jpeg(photograph(64, 96), keep_rgb=True),
    "restart markers": jpeg(photograph(64, 96), restart_marker_rows=1),
    "quality 5": jpeg(photograph(64, 96), quality=5),
    **{f"turned {n}": turned(n) for n in range(1, 9)},
    "turned behind what looks like a scan": turned_behind(b"\xff\xe2\x00\x06\xff\xda\xff\xda"),
    "turned behind bytes that fill": turned_behind(b"\xff" * 7),
    "two frames": two_frames(),
    "turned as XMP says": jpeg(photograph(48, 80), xmp=b'<x tiff:Orientation="6"/>'),
    "broken in the middle": broken(),
    "more after its end": jpeg(photograph(64, 96)) + bytes(1000),
}


def by_pillow(content: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "simplejpeg", None)
        return ImageKind.read(content)


@pytest.mark.parametrize("name", JPEGS)
def test_simplejpeg_gives_the_pixels_that_pillow_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simplejpeg = pytest.importorskip("simplejpeg")
    used = []

    def decode(*arguments: Any) -> Any:
        used.append(name)
        return simplejpeg.decode_jpeg(*arguments)

    whole = by_pillow(JPEGS[name], monkeypatch)
    monkeypatch.setattr(decoding, "simplejpeg", type("", (), {**vars(simplejpeg), "decode_jpeg": staticmethod(decode)}))
    found = ImageKind.read(JPEGS[name])
    assert used, "Pillow was asked"
    assert found.shape == whole.shape
    assert np.array_equal(found, whole)
    assert ImageKind.digest(found) == ImageKind.digest(whole)


def test_photographs_from_files_are_the_same_too(
    unpacked: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")
    files = sorted(unpacked("imagenet-sample/images.tar").rglob("*.JPEG"))[:20]
    assert files
    for path in files:
        assert np.array_equal(ImageKind.read(str(path)), by_pillow(path.read_bytes(), monkeypatch))


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("keep", [0.95, 0.5, 0.05])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_truncated_jpeg_is_refused(
    fast: bool, keep: float, progressive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(decoding, "simplejpeg", None)
    content = jpeg(photograph(64, 96), progressive=progressive)
    with pytest.raises(Unreadable, match=r"damaged|not a picture"):
        ImageKind.read(content[: int(keep * len(content))])


def test_a_jpeg_is_refused_by_its_header_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = jpeg(photograph(64, 96))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 64 * 96 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda picture: pytest.fail("decoded"))
    if decoding.simplejpeg is not None:
        monkeypatch.setattr(decoding.simplejpeg, "decode_jpeg", lambda *arguments: pytest.fail("decoded"))
    for fast in (decoding.simplejpeg, None):
        monkeypatch.setattr(decoding, "simplejpeg", fast)
        with pytest.raises(Unreadable, match="96 x 64 is more than 6,143 pixels"):
            ImageKind.read(content)


@pytest.mark.parametrize("size", [(375, 500), (64, 50), (17, 301), (1, 1), (3, 900)])
@pytest.mark.parametrize("target", [(224, 224), (7, 40), (28, 28)])
def test_resizing_is_within_a_grey_level_of_pillows(size: tuple[int, int], target: tuple[int, int]) -> None:
    colour = photograph(*size)
    colour.flags.writeable = False
    for value in (colour, colour[:, :, 1], np.ascontiguousarray(colour[:, :, 2]), np.rot90(colour)):
        whole = np.asarray(Image.fromarray(value).resize(target[::-1], Image.Resampling.BILINEAR))
        found = resize_picture(value, *target)
        assert found.permute(1, 2, 0).is_contiguous()
        difference = np.abs(found.numpy().astype(int) - (whole[None] if whole.ndim == 2 else whole.transpose(2, 0, 1)))
        assert difference.max() <= 1
        assert difference.mean() < (0.005 if size == (375, 500) else 0.3)


class Still:
    """Targets stay; the map is kept to be looked at."""

    theta: torch.Tensor

    def blend(self, targets: dict[str, torch.Tensor], keep: torch.Tensor) -> dict[str, torch.Tensor]:
        return targets

    def warp(self, targets: dict[str, torch.Tensor], theta: torch.Tensor) -> dict[str, torch.Tensor]:
        self.theta = theta
        return targets


def cropped(images: torch.Tensor, index: int = 0, **keys: Any) -> tuple[torch.Tensor, torch.Tensor]:
    follow = Still()
    batch = Batch({"image": images}, {}, torch.arange(index, index + len(images)))
    out = augment_images(ImageAugment(**keys), "image", batch, SampleRandom(0, 0, batch.index), follow)
    return out.inputs["image"], follow.theta


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 80, 72), (1, 64, 100)])
def test_crops_are_what_the_map_says(channels: int, height: int, width: int) -> None:
    """One grey level at most from sampling by the map that targets are told, as other devices do."""
    pixels = torch.from_numpy(photograph(height * 16, width)[:, :, :channels].copy())
    images = pixels.reshape(16, height, width, channels).permute(0, 3, 1, 2).contiguous()
    found, theta = cropped(images, crop=0.9, flip=0.5)
    sampled = augmenting._sample_within(images.float(), theta)
    assert found.dtype == torch.float32
    assert float((found - sampled).abs().max()) <= 1.001  # two roundings of half a level each
    assert {bool(sign) for sign in theta[:, 0, 0] < 0} == {True, False}
    assert 0.1 - 0.02 <= float((theta[:, 0, 0].abs() * theta[:, 1, 1]).min()) < 0.4  # shares of the area that are kept
    assert torch.equal(cropped(images[5:6], 5, crop=0.9, flip=0.5)[0], found[5:6])  # by its index alone
    inside = theta[:, :, 2].abs() + theta[:, [0, 1], [0, 1]].abs()  # a crop's edge, from the middle
    assert float(inside.max()) <= 1 + 1e-6


def test_a_crop_sees_nothing_from_beyond_its_edge() -> None:
    """Columns that count themselves: the smallest and largest seen are a crop's own first and last."""
    images = torch.arange(80, dtype=torch.uint8).expand(8, 3, 70, 80).contiguous()
    found, theta = cropped(images, crop=0.7)
    first = ((theta[:, 0, 2] - theta[:, 0, 0] + 1) * 40).round()
    last = ((theta[:, 0, 2] + theta[:, 0, 0] + 1) * 40).round() - 1
    assert torch.equal(found.amin((1, 2, 3)), first)
    assert torch.equal(found.amax((1, 2, 3)), last)
