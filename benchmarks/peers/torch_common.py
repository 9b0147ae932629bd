"""What the torch peers share: the network simple_cnn (121,930 parameters) and loaders of in-memory tensors."""

from __future__ import annotations

from typing import Any

import torch
from peer_common import Bytes, check_parameters
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset


def simple_cnn() -> nn.Sequential:
    """Two convolutions with pooling, then two dense layers; the output is logits."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 5 * 5, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    check_parameters(sum(p.numel() for p in model.parameters()))
    return model


def tensor_loader(x: Bytes, y: Bytes, batch_size: int, *, shuffle: bool, bulk: bool) -> DataLoader[Any]:
    """A DataLoader of float images in 0..1: whole batches by index where bulk, else collated example by example.

    Bulk is DataLoader's documented way for data that is cheaper to read by batch: automatic batching off
    (batch_size=None), and a BatchSampler as the sampler.
    """
    data = TensorDataset(torch.from_numpy(x)[:, None] / 255, torch.from_numpy(y).long())
    if not bulk:
        return DataLoader(data, batch_size=batch_size, shuffle=shuffle)
    order = RandomSampler(data) if shuffle else range(len(data))
    return DataLoader(data, sampler=BatchSampler(order, batch_size, drop_last=False), batch_size=None)
