"""Lips, both streams and what is between them, on small made-up films; and how far a network of sound hears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snowball.collect.read.align import read_align
from snowball.collect.read.streams import chosen_inputs, with_sound_tracks
from snowball.design.audio import SoundNetworkSection, SoundShape, SoundSpeller
from snowball.design.audio_visual import AudioVisualSpeller, FusionSection
from snowball.design.lips import LipNetworkSection, LipShape, LipSpeller
from snowball.finding import BadInput
from snowball.kind import Absent, Unreadable
from snowball.kinds._ctc import ctc_nll
from snowball.kinds._sound_augment import with_noise
from snowball.kinds._sync import lag_of, sync_curve
from snowball.kinds.audio import PADDING
from snowball.kinds.lips import PADDING as NO_FRAME
from snowball.kinds.lips import LipsKind
from snowball.recipe import Recipe
from snowball.rng import SampleRandom
from snowball.table import Column, Table

from .sounds import encoded

SHAPE = LipShape(8, 16, NO_FRAME, 0.0)


def batch(lengths: list[int]) -> torch.Tensor:
    """(B, T, 8, 16) films of these lengths."""
    torch.manual_seed(0)
    frames = torch.randint(0, 255, (len(lengths), max(lengths), 8, 16), dtype=torch.uint8)
    for row, length in enumerate(lengths):
        frames[row, length:] = NO_FRAME
    return frames


def sounds(lengths: list[int]) -> torch.Tensor:
    """(B, L) int16 of these lengths."""
    torch.manual_seed(1)
    samples = torch.randint(-9999, 9999, (len(lengths), max(1, *lengths)), dtype=torch.int16)
    for row, length in enumerate(lengths):
        samples[row, length:] = PADDING
    return samples


@pytest.mark.parametrize("name", ["crnn", "conformer"])
def test_padding_does_not_change_what_lips_say(name: str) -> None:
    model = LipSpeller(name, SHAPE, LipNetworkSection(channels=4, width=16, layers=1, per_frame=2), 5).eval()
    films = batch([9, 5])
    whole, alone = model(video=films), model(video=films[1:, :5])
    assert whole["frames"].tolist() == [18, 10]
    torch.testing.assert_close(whole["logits"][1:, :10], alone["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["crnn", "conformer"])
def test_a_stream_that_is_absent_changes_nothing_else(name: str) -> None:
    """A row with its film alone, within a batch and by itself: neither other rows nor their sound are heard."""
    size = SoundNetworkSection(channels=4, width=16, layers=1, stride=4)
    sound = SoundShape(8000, 16, 25.0, 10.0, PADDING, 5, 0.0)
    model = AudioVisualSpeller(name, sound, SHAPE, 25.0, size, FusionSection(layers=1, heads=2)).eval()
    films, heard = batch([9, 5, 1]), sounds([2880, 0, 1600])
    films[2] = NO_FRAME
    whole = model(audio=heard, video=films)
    assert whole["frames"].tolist() == [9, 5, 5]
    seen = model(audio=torch.full((1, 1), PADDING, dtype=torch.int16), video=films[1:2, :5])
    torch.testing.assert_close(whole["logits"][1:2, :5], seen["logits"][:, :5], rtol=1e-4, atol=1e-5)
    deaf = model(audio=heard[2:, :1600], video=torch.full((1, 1, 8, 16), NO_FRAME, dtype=torch.uint8))
    torch.testing.assert_close(whole["logits"][2:, :5], deaf["logits"][:, :5], rtol=1e-4, atol=1e-5)
    both = model(audio=heard[:1], video=films[:1])["logits"]
    assert not torch.allclose(both, model(audio=heard[:1], video=torch.full_like(films[:1], NO_FRAME))["logits"])


@pytest.mark.parametrize("name", ["crnn", "conformer"])
def test_in_training_each_stream_is_also_spelt_as_if_it_were_alone(name: str) -> None:
    size = SoundNetworkSection(channels=4, width=16, layers=1, stride=4)
    sound = SoundShape(8000, 16, 25.0, 10.0, PADDING, 5, 0.0)
    model = AudioVisualSpeller(name, sound, SHAPE, 25.0, size, FusionSection(layers=1, heads=2))
    films, heard = batch([9, 5, 1]), sounds([2880, 0, 1600])
    films[2] = NO_FRAME
    spelt = model.train()(audio=heard, video=films)
    assert spelt["alone_frames"].tolist() == [[9, 9], [0, 5], [5, 0]]
    model.eval()
    for way, lost in enumerate(
        ({"video": torch.full_like(films, NO_FRAME)}, {"audio": torch.full_like(heard, PADDING)})
    ):
        alone = model(**{"audio": heard, "video": films, **lost})["logits"]
        for row, steps in enumerate(spelt["alone_frames"][:, way].tolist()):
            torch.testing.assert_close(
                spelt["alone_logits"][row, way, :steps], alone[row, :steps], rtol=1e-4, atol=1e-5
            )
    loss = ctc_nll(spelt["alone_logits"][:, 0], spelt["alone_frames"][:, 0], torch.tensor([[1, 2], [1, 2], [1, 2]]))
    assert loss[1] == 0, "a stream that a row has not is not learned from"
    loss.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_noise_is_as_loud_as_was_asked_and_drawn_by_row() -> None:
    clean = sounds([4000, 3000])
    level = torch.full((2, 1), 10.0)
    noisy = with_noise(clean, PADDING, level, SampleRandom(0, 0, torch.tensor([7, 8])))
    assert torch.equal(noisy == PADDING, clean == PADDING)
    noise = (noisy[0].float() - clean[0].float()).square().mean() / clean[0].float().square().mean()
    assert 10 * torch.log10(1 / noise) == pytest.approx(10.0, abs=0.3)
    again = with_noise(clean[1:, :3000], PADDING, level[1:], SampleRandom(0, 0, torch.tensor([8])))
    assert torch.equal(again[0], noisy[1, :3000])


@pytest.mark.parametrize("late", [-5, 0, 7])
def test_sound_that_is_late_is_found_out(late: int) -> None:
    random = np.random.default_rng(0)
    moves = np.convolve(random.random(90), np.ones(3) / 3, "same")
    frames = np.cumsum(moves)[:, None, None] * np.ones((1, 4, 4))
    sound = np.repeat(np.roll(np.diff(np.cumsum(moves), prepend=0), late), 320) * random.normal(0, 1, 90 * 320)
    curve = sync_curve(sound, 8000, frames, 25.0)
    assert curve is not None and abs(lag_of([curve])[0] - late) <= 1
    assert sync_curve(np.zeros(90 * 320), 8000, frames, 25.0) is None


def test_a_box_is_cut_out_of_every_frame() -> None:
    film = np.zeros((3, 40, 80), np.uint8)
    film[:, 20:, 40:] = 200
    recipe = Recipe.build("", LipsKind.sections, {"lips.crop": [0.5, 0.5, 1, 1]})
    state = LipsKind.fit([LipsKind.read(film)], recipe)
    seen = LipsKind(recipe, state).encode(LipsKind.read(film))
    assert seen.shape == (3, 20, 40) and bool((seen == 200).all())
    assert int(LipsKind(recipe, state).encode(LipsKind.read(film + 55)).max()) == 254, "white is no padding"
    for crop in ("moth", "0.5,0.5,0.2,1", [0, 0, 2, 1]):
        with pytest.raises(BadInput, match=r"lips\.crop"):
            Recipe.build("", LipsKind.sections, {"lips.crop": crop})
    with pytest.raises(Unreadable, match="no film of lips"):
        LipsKind.read(np.zeros((3, 4, 4), np.float32))


def test_what_is_no_film_is_named_as_any_film_is(tmp_path: Path) -> None:
    for cell, said in ((tmp_path / "a.mp4", "^no such file$"), (tmp_path, "^a folder$"), (b"", "^zero bytes$")):
        with pytest.raises(Unreadable, match=said):
            LipsKind.read(cell)
    with pytest.raises(Absent, match="no pictures in it: a sound file"):
        LipsKind.read(encoded(np.zeros(800)))


def test_an_alignment_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.align"
    path.write_text("0 12250 sil\n12250 19250 set\n19250 27250 white\n27250 75000 sil\n")
    assert read_align(path) == ("set white", 3.0)
    for text in ("0 x sil", "5 3 a", "0 10 a\n2 5 b", "0 nan a", "hello"):
        path.write_text(text)
        with pytest.raises(BadInput, match=r"a\.align, line"):
            read_align(path)


def test_sound_of_films_is_a_column_where_words_are_asked_for() -> None:
    def table(*kinds: str) -> Table:
        return Table("films", {kind: Column(kind, kind, ["x"]) for kind in kinds}, [""], str)

    assert list(with_sound_tracks(table("video", "text")).columns) == ["video", "text", "audio"]
    for kinds in (("video", "label"), ("video", "text", "label"), ("audio", "text")):
        assert list(with_sound_tracks(table(*kinds)).columns) == list(kinds)
    assert list(chosen_inputs(table("video", "text", "audio"), "audio").columns) == ["text", "audio"]


def test_without_layers_over_time_a_frame_hears_what_is_near() -> None:
    """What is said a second later changes nothing; with a recurrent layer it does."""
    shape = SoundShape(8000, 24, 25.0, 10.0, PADDING, 5, 0.0)
    moved = {}
    for layers in (0, 1):
        torch.manual_seed(0)
        network = SoundSpeller("crnn", shape, SoundNetworkSection(channels=8, width=16, layers=layers, stride=4)).eval()
        sound = torch.randint(-3000, 3000, (1, 16_000), dtype=torch.int16)
        other = sound.clone()
        other[:, 8000:] = sound[:, 8000:].flip(1)
        with torch.inference_mode():
            one, two = network(sound)["logits"], network(other)["logits"]
        moved[layers] = float((one - two)[:, : one.shape[1] // 2 - 3].abs().max())
    assert moved[0] < 0.05 * moved[1], "but for the loudness of the whole"
