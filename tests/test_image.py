"""Pictures of every mode become the right pixels; bad ones say why; augmentation is what its names say."""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from snowball.finding import BadInput
from snowball.kind import Batch, Unreadable
from snowball.kinds._image_augment import ImageAugment, augment_images
from snowball.kinds.image import ImageKind, ImageSection
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.rng import SampleRandom

TYPES = tasks()["image-classification"].section_types()
GRADIENT = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def kind(**keys: Any) -> ImageKind:
    state = {"height": 6, "width": 8, "channels": 1, "mean": [0.0], "std": [1.0]} | keys.pop("state", {})
    return ImageKind(Recipe.build("image-classification", TYPES, keys), state)


def test_grey_and_rgb_come_back_pixel_for_pixel() -> None:
    colour = np.stack([GRADIENT, 255 - GRADIENT, GRADIENT // 2], 2)
    assert np.array_equal(ImageKind.read(encoded(Image.fromarray(GRADIENT), "PNG")), GRADIENT)
    assert np.array_equal(ImageKind.read(encoded(Image.fromarray(colour), "PNG")), colour)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = Image.fromarray(GRADIENT.astype(np.uint16) * 257)
    for form in ("PNG", "TIFF"):
        assert np.array_equal(ImageKind.read(encoded(deep, form)), GRADIENT)


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert (ImageKind.read(encoded(clear, "PNG")) == 255).all()
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 200, 10, 20])
    assert ImageKind.read(encoded(palette, "PNG"))[0, 0].tolist() == [200, 10, 20]
    assert (ImageKind.read(encoded(palette, "PNG", transparency=1)) == 255).all()


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned = ImageKind.read(encoded(Image.fromarray(GRADIENT), "PNG", exif=exif))
    assert np.array_equal(turned, np.rot90(GRADIENT, -1))


def test_cmyk_becomes_rgb() -> None:
    picture = ImageKind.read(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert picture.shape == (8, 8, 3)
    assert picture[4, 4, 0] > 200 > 80 > picture[4, 4, 1]


def test_one_bit_pictures_are_black_and_white() -> None:
    assert set(ImageKind.read(encoded(Image.fromarray(GRADIENT > 100), "PNG")).flatten().tolist()) == {0, 255}


def bomb() -> bytes:
    """A PNG of a few hundred bytes whose header claims 30,000 x 30,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = (30_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 999)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (b"", "zero bytes"),
        (b"hello", "not a picture"),
        (encoded(Image.fromarray(GRADIENT), "PNG")[:-30], "damaged"),
        (bomb(), "decompression bomb"),
        ("/nowhere/at/all.png", "no such file"),
        (None, "no picture"),
        ("", "no picture"),
        (7, "neither a path nor bytes: int"),
        (np.zeros((2, 2), np.float32), "float32"),
        (encoded(Image.new("RGB", (4, 4)), "EPS"), "not a picture"),
    ],
)
def test_bad_pictures_say_why(cell: Any, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        ImageKind.read(cell)


def test_fit_finds_size_channels_and_statistics() -> None:
    recipe = Recipe.build("image-classification", TYPES)
    state = ImageKind.fit([GRADIENT, GRADIENT], recipe)
    assert (state["height"], state["width"], state["channels"]) == (6, 8, 1)
    assert state["mean"] == pytest.approx([GRADIENT.mean()], abs=1e-3)
    assert state["std"] == pytest.approx([GRADIENT.std()], abs=1e-3)
    mixed = ImageKind.fit([np.zeros((100, 300, 3), np.uint8), np.zeros((90, 70), np.uint8)], recipe)
    assert (mixed["height"], mixed["width"], mixed["channels"]) == (96, 96, 3)
    with pytest.raises(BadInput, match="no readable picture"):
        ImageKind.fit([], recipe)


def test_encode_resizes_and_converts_channels() -> None:
    colour = np.stack([GRADIENT] * 3, 2)
    assert torch.equal(kind().encode(GRADIENT), torch.from_numpy(GRADIENT)[None])
    assert torch.equal(kind().encode(colour), torch.from_numpy(GRADIENT)[None])
    three = kind(state={"channels": 3}).encode(GRADIENT)
    assert torch.equal(three, torch.from_numpy(GRADIENT).expand(3, 6, 8))
    assert kind(state={"height": 3, "width": 4}).encode(GRADIENT).shape == (1, 3, 4)


def test_the_exported_resize_stays_within_a_grey_level_of_encode() -> None:
    random = np.random.default_rng(0)
    for height, width in ((31, 17), (200, 90), (5, 7), (28, 28)):
        picture = random.integers(0, 256, (height, width), dtype=np.uint8)
        whole = kind(state={"height": 28, "width": 28})
        difference = whole.preprocess()(whole.raw_tensor(picture)[None])[0] - whole.encode(picture)
        assert float(difference.abs().max()) <= 1


# Augmentation: B pictures (B, C, 9, 9) with one bright pixel off centre show where geometry moves it.


class Still:
    """Targets that stay what they are, whatever happens to the pictures; the map is kept to be looked at."""

    theta: torch.Tensor | None = None

    def blend(self, targets: dict[str, torch.Tensor], keep: torch.Tensor) -> dict[str, torch.Tensor]:
        return targets

    def warp(self, targets: dict[str, torch.Tensor], theta: torch.Tensor) -> dict[str, torch.Tensor]:
        self.theta = theta
        return targets


def augmented(images: torch.Tensor, index: int = 0, follow: Still | None = None, **keys: Any) -> torch.Tensor:
    batch = Batch({"image": images}, {}, torch.arange(index, index + len(images)))
    out = augment_images(ImageAugment(**keys), "image", batch, SampleRandom(0, 0, batch.index), follow or Still())
    return out.inputs["image"]


@pytest.mark.parametrize("keys", [{"flip": 1.0}, {"shift": 0.3}, {"flip": 0.5, "scale": 0.3, "rotate": 20.0}])
def test_targets_are_told_where_everything_went(keys: dict[str, float]) -> None:
    """A blurred spot is found where the inverse of the map says it is."""
    ys, xs = torch.meshgrid(*[(torch.arange(64.0) + 0.5) / 32 - 1] * 2, indexing="ij")
    spot = torch.exp(-((xs - 0.25) ** 2 + (ys + 0.1) ** 2) / 0.01)
    follow = Still()
    moved = augmented(spot.expand(16, 1, 64, 64), follow=follow, **keys)[:, 0]
    mass = moved.sum((1, 2))
    found = torch.stack([(moved * grid).sum((1, 2)) / mass for grid in (xs, ys)], 1)
    assert follow.theta is not None
    source = torch.einsum("bij,bj->bi", follow.theta[:, :, :2], found) + follow.theta[:, :, 2]
    assert torch.allclose(source, torch.tensor([0.25, -0.1]).expand(16, 2), atol=0.02)


def spot(row: int, column: int, num: int = 64) -> torch.Tensor:
    images = torch.zeros(num, 1, 9, 9)
    images[:, :, row, column] = 255
    return images


def centre_of_mass(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mass = images.sum((1, 2, 3))
    steps = torch.arange(9.0)
    return (images.sum((1, 3)) * steps).sum(1) / mass, (images.sum((1, 2)) * steps).sum(1) / mass


def test_nothing_asked_changes_nothing() -> None:
    images = spot(2, 4)
    assert augmented(images) is images
    assert augmented(images, rotate=30.0, name="none") is images


def test_flip_mirrors_left_and_right_with_its_probability() -> None:
    flipped = augmented(spot(2, 1, 4000), flip=0.25)[:, 0, 2, 7] > 0
    assert abs(float(flipped.float().mean()) - 0.25) < 0.03
    assert not bool((augmented(spot(2, 1), flip=0.0, rotate=0.001)[:, 0, 2, 7] > 1).any())


def test_rotation_keeps_the_distance_from_the_centre() -> None:
    rows, columns = centre_of_mass(augmented(spot(2, 4), rotate=90.0))
    distance = ((rows - 4) ** 2 + (columns - 4) ** 2).sqrt()
    assert float((distance - 2).abs().max()) < 0.35
    angles = torch.atan2(columns - 4, 4 - rows)
    assert float(angles.min()) < -1.2 < 1.2 < float(angles.max())


def test_shift_moves_by_its_share_of_the_side_at_most() -> None:
    rows, columns = centre_of_mass(augmented(spot(4, 4, 500), shift=0.2))
    assert float((rows - 4).abs().max()) <= 0.2 * 9 + 0.05
    assert float((columns - 4).abs().max()) > 0.15 * 9


def test_colour_changes_level_and_stays_in_range() -> None:
    images = torch.full((200, 3, 4, 4), 128.0)
    levels = augmented(images, colour=0.5).mean((1, 2, 3))
    assert float(levels.min()) >= 0 and float(levels.max()) <= 255
    assert float(levels.std()) > 20


def test_erase_replaces_two_to_thirty_three_percent() -> None:
    images = torch.rand(300, 1, 30, 30) * 255
    share = (augmented(images, erase=1.0) != images).float().mean((1, 2, 3))
    assert float(share.min()) > 0.01 and float(share.max()) < 0.36
    untouched = (augmented(images, erase=0.5) == images).flatten(1).all(1)
    assert abs(float(untouched.float().mean()) - 0.5) < 0.1


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_targets_say_what_was_mixed(name: str) -> None:
    """Pictures whose level is their class: after mixing, the mean level has to be the targets' mean class."""
    num = 64
    level = torch.arange(num) % 10
    batch = Batch(
        {"image": level.float()[:, None, None, None].expand(num, 1, 20, 20)}, {"label": level}, torch.arange(num)
    )
    classes = torch.nn.functional.one_hot(level, 10).float()

    class Classes(Still):
        def blend(self, targets: dict[str, torch.Tensor], keep: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"label": torch.lerp(classes.roll(1, 0), classes, keep[:, None])}

    out = augment_images(ImageAugment(**{name: 1.0}), "image", batch, SampleRandom(0, 0, batch.index), Classes())
    expected = (out.targets["label"] * torch.arange(10.0)).sum(1)
    assert torch.allclose(out.inputs["image"].mean((1, 2, 3)), expected, atol=1e-4)
    assert float((expected - level).abs().max()) > 1
    assert torch.allclose(out.targets["label"].sum(1), torch.ones(num))


def test_randaugment_applies_its_number_of_operations() -> None:
    images = torch.rand(64, 3, 16, 16) * 255
    assert not torch.equal(augmented(images, randaugment=2), images)
    changed = [(augmented(images, randaugment=n, magnitude=0.5) - images).abs().mean() for n in (1, 4)]
    assert changed[0] < changed[1]


def test_every_operation_is_counted_per_sample() -> None:
    images = torch.rand(8, 3, 12, 12) * 255
    every = {"rotate": 20.0, "scale": 0.2, "shift": 0.2, "shear": 10.0, "crop": 0.3, "flip": 0.5, "colour": 0.3}
    every |= {"erase": 0.5, "randaugment": 2}
    whole = augmented(images, **every)
    single = augmented(images[5:6], 5, **every)
    assert torch.allclose(whole[5:6], single, atol=1e-3)
    assert not math.isnan(float(whole.sum()))


def test_expand_lists_a_folders_pictures(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "deep/a.JPG", "c.txt"):
        (tmp_path / name).touch()
    assert list(ImageKind.expand(str(tmp_path))) == [str(tmp_path / "b.png"), str(tmp_path / "deep/a.JPG")]


def test_what_is_cut_off_is_cut_before_resizing_and_by_an_exported_graph_too() -> None:
    recipe = Recipe.build("", ImageKind.sections, {"image.top": 30, "image.bottom": 20, "image.size": 10})
    picture = np.full((20, 20, 3), 100, np.uint8)
    picture[:6], picture[-4:] = 255, 0  # sky and hood
    state = ImageKind.fit([picture], recipe)
    kind = ImageKind(recipe, state)
    assert state["mean"] == [100.0] * 3, "what is cut off is not measured"
    assert kind.encode(picture).unique().tolist() == [100]
    assert kind.preprocess()(kind.raw_tensor(picture)[None]).unique().tolist() == [100]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"image.order": "bgr"},
        {"image.short_side": 30, "image.size": (20, 24)},
        {"image.top": 35, "image.bottom": 15, "image.size": (17, 20)},
        {"image.top": 10, "image.short_side": 31, "image.order": "bgr", "image.size": 21},
    ],
)
def test_preprocessing_is_encoding_and_its_inverse(keys: dict[str, Any]) -> None:
    """What an exported model does to a picture is what `encode` does, and it gives back what `as_raw` was given."""
    recipe = Recipe.build("", (ImageSection, ImageAugment), {"image.size": 16, **keys})
    random = np.random.default_rng(0)
    pictures = [
        random.integers(0, 256, (60, 60, 3), dtype=np.uint8),
        random.integers(0, 256, (50, 80, 3), dtype=np.uint8),
    ]
    kind = ImageKind(recipe, ImageKind.fit(pictures, recipe))
    for picture in pictures:
        encoded = kind.encode(picture)
        prepared = kind.preprocess()(kind.raw_tensor(picture)[None])[0]
        assert encoded.shape == prepared.shape == (3, *kind.size)
        assert (encoded.int() - prepared.int()).abs().max() <= 1
        assert torch.equal(kind.preprocess()(kind.as_raw(encoded[None]))[0].to(torch.uint8), encoded)


def test_order_and_aspect_are_what_they_say() -> None:
    recipe = Recipe.build(
        "", (ImageSection, ImageAugment), {"image.size": 4, "image.short_side": 8, "image.order": "bgr"}
    )
    picture = np.zeros((8, 20, 3), np.uint8)
    picture[2:6, 8:12] = (10, 20, 30)
    kind = ImageKind(recipe, ImageKind.fit([picture], recipe))
    assert (
        kind.encode(picture)[:, 0, 0].tolist() == [30, 20, 10] and kind.encode(picture).float().std((1, 2)).max() == 0
    )
    assert kind.state["mean"] == sorted(kind.state["mean"], reverse=True)
    assert "shorter side to 8, of which the middle 4 x 4, BGR" in kind.described()
