"""Sound files whose header says what is not so, and how little it takes to know."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from snowball.kind import Unreadable
from snowball.kinds._sound_file import read_sound

from .sounds import encoded

HOURS = 10 * 3600 * 8000 * 2  # bytes of ten hours


def wav(rate: int = 8000, size: int = 8000, channels: int = 1) -> bytes:
    """The head of a wav file of 16 bit samples: `size` bytes are said to follow."""
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * rate * channels & 0xFFFFFFFF, 2 * channels, 16)
    riff = struct.pack("<I", 36 + size & 0xFFFFFFFF)
    return b"RIFF" + riff + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def au(rate: int = 8000, size: int = 8000) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, rate, 1)


SOUND = struct.pack("<4000h", *range(4000))
CUT = {form: encoded(np.sin(np.arange(40_000.0)), form=form) for form in ("WAV", "AIFF", "AU", "FLAC", "MP3")}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (wav(rate=0) + SOUND, "damaged (0 Hz or no channel by its header)"),
        (au(rate=0) + SOUND, "damaged (0 Hz or no channel by its header)"),
        (wav(channels=0) + SOUND, "damaged (Channel count is zero)"),
        (wav(rate=10**9) + SOUND, "a rate of 1,000,000,000 Hz: 1 to 384,000 can be"),
        (wav(channels=65) + SOUND, "65 channels: 1 to 64 can be"),
        (wav(size=HOURS) + SOUND, "truncated: 576,000,000 bytes of sound by its header, of which 8,000 are there"),
        (wav(size=HOURS) + SOUND[:8], "truncated: 576,000,000 bytes of sound by its header, of which 8 are there"),
        (wav(size=0), "0 samples"),
        (wav()[:30], "damaged ("),
        (au(size=HOURS) + SOUND, "truncated: 576,000,000 bytes of sound by its header, of which 8,000 are there"),
        *((CUT[form][:40_000], "truncated: 80,0") for form in ("WAV", "AIFF", "AU")),
        (CUT["FLAC"][:-4000], "damaged ("),
        (CUT["MP3"][: len(CUT["MP3"]) // 2], "truncated: 40,000 samples of sound by its header, of which "),
    ],
)
def test_a_header_that_lies_is_named(content: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as raised:
        read_sound(content)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("content", [wav(size=0xFFFFFFFF) + SOUND, wav(size=0x7FFFF000) + SOUND, wav() + SOUND[:-2]])
def test_what_was_written_into_a_pipe_is_whole(content: bytes) -> None:
    assert len(read_sound(content).samples) >= 3999


def test_an_mp3_of_unknown_length_is_whole() -> None:
    """Without Xing's header its length is guessed by its first frame, of silence here: as twice what it is."""
    samples = np.random.default_rng(0).normal(0, 0.3, 40_000)
    samples[:20_000] = 0
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format="MP3", bitrate_mode="VARIABLE", compression_level=0.0)
    content = buffer.getvalue()
    first = content.index(content[:2], content.index(b"Xing"))
    assert read_sound(content[first:]).seconds == pytest.approx(5.2, abs=0.1)


def test_ten_hours_are_refused_by_their_header_and_read_in_parts(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(wav(size=HOURS))
        file.truncate(44 + HOURS)  # a sparse file: it takes no space
    started = time.perf_counter()
    with pytest.raises(Unreadable, match=r"^36,000 s of sound: at most 600 s a row; give parts of it"):
        read_sound(tmp_path / "a.wav")
    part = read_sound(tmp_path / "a.wav", 35_990, 35_991)
    assert part.seconds == 1 and time.perf_counter() - started < 2
