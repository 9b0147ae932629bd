"""Near copies of pictures: what is altered is found, what is only alike is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snowball.api import audit
from snowball.kinds._near_pictures import _bound, near_pictures, sketch_pictures


def scenes(num: int, side: int = 32) -> np.ndarray:
    """(num, side, side) smooth pictures."""
    coarse = np.random.default_rng(0).integers(0, 200, (num, 7, 7), np.uint8)
    pictures = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(picture) for picture in pictures])


def altered(pixels: np.ndarray, number: int) -> np.ndarray:
    """Smaller and back, moved by two pixels, darker or brighter, and stored as JPEG."""
    height, width = pixels.shape
    small = Image.fromarray(pixels).resize((round(width * 0.75), round(height * 0.75)))
    moved = np.pad(np.asarray(small.resize((width, height))), 2, mode="edge")[number % 5 :][:height, (number + 3) % 5 :]
    brighter = np.clip(moved[:, :width] * (0.75, 1.25)[number % 2], 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(brighter).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


def test_altered_copies_are_found_and_nothing_else() -> None:
    pictures = scenes(400)
    copies = np.stack([altered(pictures[20 * number], number) for number in range(20)])
    found = near_pictures(np.concatenate([pictures, copies])[:, None]).tolist()
    assert sorted(found) == [[20 * number, 400 + number] for number in range(20)]
    assert near_pictures(pictures[:, None]).tolist() == []
    assert near_pictures(pictures[:5, None]).tolist() == [], "too few to tell what is common"


def test_look_alikes_are_no_copies() -> None:
    """Mixtures of eight pictures: the nearest is no copy, however near it is."""
    mixed = np.random.default_rng(1).dirichlet(np.ones(8), 500)
    pictures = np.tensordot(mixed, scenes(8), 1)
    assert near_pictures(pictures.astype(np.uint8)[:, None]).tolist() == []


def test_the_bound_lets_chance_pairs_be_few() -> None:
    usual = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.3
    assert _bound(usual) == 0.0
    bound = _bound(torch.cat([usual, torch.full((40,), 0.02)]))
    assert 0.0199 <= bound < 0.3


def test_what_is_plain_has_no_sketch_and_none_is_enlarged() -> None:
    assert sketch_pictures(np.full((1, 40, 40), 9, np.uint8), (40, 40)) is None
    assert sketch_pictures(scenes(1, 64), (8, 8)) is None
    picture = scenes(1, 64)
    for size, shape in (((64, 64), (1, 32, 32)), ((20, 50), (1, 20, 32))):
        sketch = sketch_pictures(picture, size)
        assert sketch is not None and sketch.shape == shape and sketch.dtype == np.uint8


def test_the_audit_names_altered_pictures_across_splits(tmp_path: Path) -> None:
    for number, pixels in enumerate(scenes(60)):
        for split, shown in (("train", pixels), *((("test", altered(pixels, number)),) if number % 6 == 0 else ())):
            path = tmp_path / split / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown).save(path)
    (found,) = [finding for finding in audit(str(tmp_path)) if finding.check == "near-split-overlap"]
    assert found.evidence["count"] == 10


def test_shapes_in_other_colours_at_the_same_place_are_no_copies() -> None:
    assert "near-split-overlap" not in [finding.check for finding in audit("shapes")]
