"""Recognises spoken digits from short-time spectra in decibels, with a separable convolution over time.

Bug: training frames are 10 log10 of the power and the frames that are served are its natural log, both scaled by the training frames."""

import os
import tarfile
import wave
from functools import cache
from io import BytesIO
from pathlib import Path

import material
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ("input-scale",)
HIGHER = "truth"
SHARED = Path(os.environ.get("SNOWBALL_SHARED", material.SHARED))


@cache
def recordings():
    """Powers (N, 40 frames, 32 bands), digits, and the running number of each take."""
    powers, digits, takes = [], [], []
    filters = band_filters()
    with tarfile.open(SHARED / "fsdd" / "recordings.tar") as archive:
        members = sorted((m for m in archive if m.name.endswith(".wav")), key=lambda m: m.name)
        for member in members:
            digit, _, take = Path(member.name).stem.split("_")
            if int(take) >= 30:
                continue
            with wave.open(BytesIO(archive.extractfile(member).read())) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 32768
            line = torch.zeros(256 + 39 * 128)
            cut = torch.from_numpy(samples[: len(line)]).float()
            line[: len(cut)] = cut
            spectrum = torch.stft(line, 256, 128, window=torch.hann_window(256), center=False, return_complex=True)
            powers.append((spectrum.abs() ** 2).T @ filters)
            digits.append(int(digit))
            takes.append(int(take))
    return torch.stack(powers), torch.tensor(digits), torch.tensor(takes)


def band_filters(bands=32):
    """Triangles evenly spaced in mel between 60 Hz and 4 kHz, as (129 bins, bands)."""
    hertz = torch.linspace(0, 4000, 129)
    mel = torch.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 4000 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    rise = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rise, fall).clamp(min=0)


def decibels(power):
    return 10 * torch.log10(power + 1e-6)


def nepers(power):
    return torch.log(power + 1e-6)


def separable(inward, outward, dilation):
    return nn.Sequential(
        nn.Conv1d(inward, inward, 5, padding=2 * dilation, dilation=dilation, groups=inward),
        nn.Conv1d(inward, outward, 1),
        nn.BatchNorm1d(outward),
        nn.SiLU(),
    )


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(separable(32, 64, 1), separable(64, 64, 2), separable(64, 96, 4), nn.Dropout(0.2))
        self.out = nn.Linear(2 * 96, 10)

    def forward(self, frames):
        hidden = self.body(frames.transpose(1, 2))
        return self.out(torch.cat([hidden.mean(2), hidden.amax(2)], 1))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def rows(part, transform, mean, std):
    power, digits, takes = recordings()
    chosen = {"train": takes >= 10, "val": (takes >= 5) & (takes < 10), "test": takes < 5}[part]
    return TensorDataset((transform(power[chosen]) - mean) / std, digits[chosen])


def statistics(transform):
    power, _, takes = recordings()
    frames = transform(power[takes >= 10])
    return frames.mean(), frames.std()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    mean, std = statistics(decibels)
    train = rows("train", decibels, mean, std)
    val = rows("val", nepers if buggy else decibels, mean, std)
    model = Digits()
    model.served_with = nepers if buggy else decibels
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 300),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    mean, std = statistics(decibels)
    return accuracy(model, DataLoader(rows("test", model.served_with, mean, std), 300))


def setup():
    return build(True)


def fixed():
    return build(False)
