"""Labels each moment of a vibration record with the machine's state (off, idle, cutting, fault), from rolling features.

Bug: rolling statistics lose the first WINDOW - 1 rows, but the labels lose their last ones instead."""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"

WINDOW, CHUNK, STATES = 24, 128, 4


def record(length, seed):
    """Two vibration channels (length, 2) and the state (length,); a state lasts 40 to 140 samples."""
    rng = np.random.default_rng(seed)
    states = []
    state = 0
    while len(states) < length:
        state = rng.choice([other for other in range(STATES) if other != state])
        states += [state] * rng.integers(40, 140)
    states = np.array(states[:length])
    time = np.arange(length)
    loud = np.array([0.3, 0.7, 1.0, 1.0])[states]
    pitch = np.array([0.0, 0.35, 0.9, 0.9])[states]
    first = loud * np.sin(np.cumsum(pitch + rng.normal(0, 0.1, length))) + rng.normal(0, 0.4, length)
    second = np.array([0.0, 0.1, 0.3, -0.3])[states] * first + rng.normal(0, 0.35, length) + 0.2 * np.sin(time / 300)
    return np.stack([first, second], axis=1), states


def rolling_features(signal):
    """Mean, spread, roughness and the channels' covariance over the last WINDOW samples: (length - WINDOW + 1, 7)."""
    windows = sliding_window_view(signal, WINDOW, axis=0)  # (rows, 2, WINDOW)
    centred = windows - windows.mean(-1, keepdims=True)
    covariance = (centred[:, 0] * centred[:, 1]).mean(-1, keepdims=True)
    return np.concatenate([windows.mean(-1), windows.std(-1), np.diff(windows, axis=-1).std(-1), covariance], axis=1)


def frames(length, seed, trim_end=False):
    signal, states = record(length, seed)
    features = rolling_features(signal)
    states = states[: len(features)] if trim_end else states[-len(features) :]
    return features, states


def chunks(features, states, mean, std):
    count = len(features) // CHUNK
    x = torch.tensor((features - mean) / std, dtype=torch.float32)[: count * CHUNK]
    y = torch.tensor(states)[: count * CHUNK]
    return TensorDataset(x.unflatten(0, (count, CHUNK)), y.unflatten(0, (count, CHUNK)))


class StateTagger(nn.Module):
    """Residual convolutions over time, features last on both ends."""

    def __init__(self, width=48):
        super().__init__()
        self.inward = nn.Conv1d(7, width, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2 * gap, dilation=gap) for gap in (1, 2, 4))
        self.outward = nn.Conv1d(width, STATES, 1)

    def forward(self, x):
        x = torch.relu(self.inward(x.transpose(1, 2)))
        for layer in self.layers:
            x = x + torch.relu(layer(x))
        return self.outward(x).transpose(1, 2)


def frame_loss(logits, states):
    return nn.functional.cross_entropy(logits.flatten(0, 1), states.flatten())


def frame_accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(-1) == y).sum().item()
            total += y.numel()
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    features, states = frames(40_000, seed=1, trim_end=buggy)
    mean, std = features.mean(0), features.std(0)
    val_features, val_states = frames(8_000, seed=2, trim_end=buggy)
    model = StateTagger()
    return {
        "model": model,
        "loss": frame_loss,
        "train": DataLoader(
            chunks(features, states, mean, std), 16, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(chunks(val_features, val_states, mean, std), 32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": frame_accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    known, _ = frames(40_000, seed=1)
    return frame_accuracy(model, DataLoader(chunks(*frames(16_000, seed=3), known.mean(0), known.std(0)), 32))


def setup():
    return build(True)


def fixed():
    return build(False)
