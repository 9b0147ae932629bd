"""Decode a sound file, which may be hostile: formats from a list, its header checked before anything is decoded.

Shapes: N samples, C channels.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..kind import Unreadable
from ._sound_track import read_track
from ._video_file import NoFilm

__all__ = [
    "MAX_SECONDS",
    "SOUND_SUFFIXES",
    "Sound",
    "as_wav",
    "is_sound",
    "read_sound",
    "resampled",
    "sound_of_samples",
]

SOUND_SUFFIXES = frozenset((".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au"))
MAX_SECONDS = 600.0  # of one row: attention and memory end long before; longer recordings are given in parts
MAX_RATE, MAX_CHANNELS = 384_000, 64
MAX_SAMPLES = 120_000_000  # of all channels, 480 MB while it is decoded: 10 minutes of stereo at 96 kHz
MIN_SECONDS = 0.01  # a hundredth of a second holds one period of the lowest voice
CLIPPED = 0.999  # of full scale
RUN = 3  # samples in a row at full scale: a loud sound touches it, a clipped one stays there
WHOLE = 0.9  # share of what a header promises that has to be there: the rest may be rounding
STREAMED = 0x7FFFF000  # bytes from which a header only says that its writer knew no end: into a pipe, by sox or ffmpeg

# How files begin that libsndfile is asked to read; its many rarer formats are not.
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd")
# What libsndfile notes of wav, aiff and au files whose end is missing, while it counts what is there.
_SHORT = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Sound:
    """A recording as a raw value: `samples` (N,) float32 in -1..1, the mean of its channels, at `rate` in Hz.

    `facts` tell of the recording and its file.
    """

    samples: np.ndarray
    rate: int
    facts: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def read_sound(source: Path | bytes, start: float = 0.0, end: float = math.inf) -> Sound:
    """The part of a sound file from `start` to `end` seconds. Raises Unreadable with the reason, whatever it holds."""
    import soundfile

    try:
        if not is_sound(source):
            samples, about = read_track(source, start, end, MAX_SECONDS, MAX_SAMPLES)
            return sound_of_samples(samples, about)
        with _opened(source) as file, soundfile.SoundFile(file) as sound:
            if (found := _SHORT.search(sound.extra_info)) and int(found[1]) < STREAMED:
                _check_whole(int(found[2]), int(found[1]), "bytes")
            first, num = _span(sound, start, end)
            if first:
                sound.seek(first)
            samples = sound.read(num, dtype="float32", always_2d=True)  # (N, C)
            if sound.format != "MP3" or _says_its_length(file):
                _check_whole(len(samples), num, "samples")
            about = {"rate": sound.samplerate, "channels": sound.channels, "format": sound.format}
            about |= {"encoding": sound.subtype, "suffix": source.suffix.lower() if isinstance(source, Path) else None}
    except NoFilm:
        kinds = "neither wav, flac, mp3, ogg, aiff nor au by its first bytes, nor a film"
        raise Unreadable(f"not a sound file: {kinds}") from None
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except IsADirectoryError:
        raise Unreadable("a folder") from None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        raise Unreadable(f"damaged ({_brief(error)})") from None
    return sound_of_samples(samples, about)


def _check_whole(there: int, promised: int, what: str) -> None:
    if there < WHOLE * promised:
        raise Unreadable(f"truncated: {promised:,} {what} of sound by its header, of which {there:,} are there")


def _says_its_length(file: Any) -> bool:
    """Whether an MP3 does, in its first frame (Xing's header); else libsndfile's count is a guess by bits a second."""
    file.seek(0)
    head = file.read(65_536)
    return b"Xing" in head or b"Info" in head


def sound_of_samples(samples: np.ndarray, about: Mapping[str, Any]) -> Sound:
    """A Sound from samples (N, C) in -1..1; `about` holds at least `rate` and `channels`. Raises Unreadable."""
    rate, num = int(about["rate"]), len(samples)
    if num < MIN_SECONDS * rate:
        raise Unreadable(f"{num:,} samples at {rate:,} Hz: shorter than {MIN_SECONDS:g} s" if num else "0 samples")
    finite = np.isfinite(samples)
    if not finite.all():
        raise Unreadable(f"{int((~finite).any(1).sum()):,} of {num:,} samples are NaN or infinite")
    mono = samples.mean(1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
    peak = np.abs(samples).max(1)  # of all channels: their mean hides that one is clipped
    offset = float(mono.mean())
    centred = mono - offset
    return Sound(
        np.ascontiguousarray(mono),
        rate,
        {
            **about,
            "seconds": round(num / rate, 3),
            "peak": float(peak.max()),
            "level": float(np.sqrt(np.square(centred).mean())),
            "offset": offset,
            "clipped": _clipped(peak) / num,
            "band": _band(centred, rate),
        },
    )


def _clipped(peak: np.ndarray) -> int:
    """Samples that stand in runs of at least RUN at full scale."""
    loud = np.concatenate([[False], peak >= CLIPPED, [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1])
    runs = edges[1::2] - edges[::2]
    return int(runs[runs >= RUN].sum())


def _band(samples: np.ndarray, rate: int) -> float:
    """The frequency in Hz below which all but a ten-thousandth of the energy lies."""
    size = 512
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: max(size, len(samples) // 200)]
    energy = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))).sum(0).cumsum()
    if energy[-1] <= 0:
        return 0.0
    return float(np.searchsorted(energy, 0.9999 * energy[-1]) * rate / size)


def is_sound(source: Path | bytes) -> bool:
    """Whether its first bytes say that it is a sound file, whatever it is called. Raises Unreadable if it is empty."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        head = file.read(12)
    if not head:
        raise Unreadable("zero bytes")
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return False
    return head.startswith(_MAGIC) or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Any]:
    """The file, opened here: libsndfile sees no name."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


def _span(sound: Any, start: float, end: float) -> tuple[int, int]:
    """The first sample and how many, from the header alone."""
    rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    if not 0 < rate <= MAX_RATE:
        raise Unreadable(f"a rate of {rate:,} Hz: 1 to {MAX_RATE:,} can be")
    if not 0 < channels <= MAX_CHANNELS:
        raise Unreadable(f"{channels:,} channels: 1 to {MAX_CHANNELS} can be")
    first = min(frames, round(start * rate))
    num = (frames if end == math.inf else min(frames, round(end * rate))) - first
    if num <= 0 < first:
        raise Unreadable(f"start {start:g} s is after its end at {frames / rate:.2f} s")
    if num > MAX_SECONDS * rate:
        hint = "give parts of it, by columns start and end"
        raise Unreadable(f"{num / rate:,.0f} s of sound: at most {MAX_SECONDS:,.0f} s a row; {hint}")
    if num * channels > MAX_SAMPLES:
        raise Unreadable(f"{num:,} samples of {channels} channels are more than {MAX_SAMPLES:,}")
    return first, num


def resampled(sound: Sound, rate: int) -> np.ndarray:
    """(N,) int16 samples at another rate, low-pass filtered (soxr's high quality); never -32768, which is padding."""
    samples = sound.samples
    if sound.rate != rate:
        import soxr

        samples = soxr.resample(samples, sound.rate, rate, quality="HQ")
    whole: np.ndarray = np.clip(np.rint(samples * 32768.0), -32767, 32767).astype(np.int16)
    return whole if len(whole) else np.zeros(1, np.int16)


def as_wav(samples: np.ndarray, rate: int) -> bytes:
    """A 16 bit wav file of int16 samples (N,)."""
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def _brief(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error).partition("\n")[0].strip().rstrip(".")
    if "SF_INFO struct incomplete" in text:
        return "0 Hz or no channel by its header"
    return (text or type(error).__name__)[:200]
