"""Log-mel features inside a network, so that training, an exported file and a server hear the same.

Shapes: B rows, L samples, T frames, M mel bands, F frequencies, K masks.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LogMel", "mel_filters"]

FULL_SCALE = 32768.0
FLOOR = 1e-7  # of power: about what rounding to 16 bit puts into a frame


class LogMel(nn.Module):
    """(B, L) int16 samples to (B, T, M) log-mel energies and (B,) frames, T = ceil(L / hop).

    Frame t is centred on the middle of samples t * hop to (t + 1) * hop, what is outside a row counts as silence, and
    every row is brought to mean 0 and deviation 1 over its own frames: neither how loud it was recorded nor how far
    its batch is padded (with `padding`) changes it. What lies behind a row's own frames is 0.
    """

    def __init__(self, rate: int, mels: int, window_ms: float, hop_ms: float, padding: int) -> None:
        super().__init__()
        self.hop, self.window = max(1, round(rate * hop_ms / 1000)), max(16, round(rate * window_ms / 1000))
        self.size = 2 ** math.ceil(math.log2(self.window))
        self.mels, self.padding = mels, padding
        self.hann: Tensor
        self.filters: Tensor
        self.register_buffer("hann", torch.hann_window(self.window, periodic=False), persistent=False)
        self.register_buffer("filters", mel_filters(mels, self.size, rate), persistent=False)

    def frames(self, samples: int) -> int:
        """How many frames so many samples give."""
        return (samples + self.hop - 1) // self.hop

    def forward(self, audio: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`masks` (B, K, 4): begin and end in frequency and in time of what is blanked out, as shares."""
        held = audio != self.padding
        frames = (held.sum(1) + self.hop - 1) // self.hop  # (B,)
        samples = audio.float() * held / FULL_SCALE
        side = (self.size - self.hop) // 2
        # Padded so that ceil(L / hop) windows of `size` fit, the last of which may reach behind the end.
        samples = F.pad(samples, (side, self.size - side + self.hop - 1))
        spectrum = torch.stft(samples, self.size, self.hop, self.window, self.hann, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(3).transpose(1, 2)  # (B, T + 1, F)
        mel = (power @ self.filters + FLOOR).log()[
            :, : (audio.shape[1] + self.hop - 1) // self.hop
        ]  # not -(-a // b): ONNX divides towards 0
        inside = (torch.arange(mel.shape[1], device=mel.device) < frames[:, None])[:, :, None]
        count = frames.clamp(min=1)[:, None, None] * self.mels
        mean = (mel * inside).sum((1, 2), keepdim=True) / count
        centred = (mel - mean) * inside
        deviation = (centred.square().sum((1, 2), keepdim=True) / count + 1e-4).sqrt()
        features = centred / deviation
        return features if masks is None else _blanked(features, frames, masks), frames


def _blanked(features: Tensor, frames: Tensor, masks: Tensor) -> Tensor:
    """SpecAugment (Park et al., 2019): 0, which is the mean, in rectangles of frequency and time."""
    band = (torch.arange(features.shape[2], device=features.device) + 0.5) / features.shape[2]  # (M,)
    time = (torch.arange(features.shape[1], device=features.device) + 0.5) / frames[:, None].clamp(min=1)  # (B, T)
    low, high, begin, end = masks[:, :, None].unbind(3)  # (B, K, 1) each
    bands = (band >= low) & (band < high)  # (B, K, M)
    times = (time[:, None] >= begin) & (time[:, None] < end)  # (B, K, T)
    return features.masked_fill((times[:, :, :, None] & bands[:, :, None]).any(1), 0.0)


def mel_filters(mels: int, size: int, rate: int) -> Tensor:
    """(F, M) triangles that are evenly spaced on the mel scale, 2595 log10(1 + f / 700) (O'Shaughnessy, 1987).

    A triangle that would fall between two frequencies takes the nearest one.

    >>> mel_filters(8, 64, 8000).shape
    torch.Size([33, 8])
    """
    top = 2595 * math.log10(1 + rate / 2 / 700)
    low = 2595 * math.log10(1 + min(20.0, rate / 100) / 700)
    edges = 700 * (10 ** (torch.linspace(low, top, mels + 2, dtype=torch.float64) / 2595) - 1)  # (M + 2,)
    hertz = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)[:, None]  # (F, 1)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    filters = torch.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle)).clamp(min=0)
    empty = filters.sum(0) == 0
    nearest = (hertz - middle).abs().argmin(0)
    filters[nearest[empty], empty] = 1.0
    return filters.float()
