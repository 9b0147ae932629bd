"""Shaft power of a gas compressor from five plant sensors, out of an hourly historian log with drop-outs."""

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"

SENSORS = ("suction_bar", "discharge_bar", "speed_rpm", "inlet_c", "valve_pct")


def ar(rng, n, phi, sd):
    out = np.zeros(n)
    for i in range(1, n):
        out[i] = phi * out[i - 1] + rng.normal(0, sd * np.sqrt(1 - phi**2))
    return out


def historian(hours, seed, dropouts=True):
    """Sensor table (hours, 5), NaN where a transmitter was silent, and measured power in MW."""
    rng = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * np.arange(hours) / 24)
    suction = 40 + ar(rng, hours, 0.8, 2.5)
    discharge = 75 + 3 * day + ar(rng, hours, 0.8, 4.0)
    speed = 8200 + 250 * day + ar(rng, hours, 0.7, 380)
    inlet = 18 + 6 * day + ar(rng, hours, 0.95, 3.0)
    valve = np.clip(60 + ar(rng, hours, 0.75, 18), 5, 100)
    flow = (speed / 8200) * (0.4 + 0.6 * valve / 100) * suction / 40
    head = (273 + inlet) / 291 * ((discharge / suction) ** 0.28 - 1)
    power = 42 * flow * head * (1 + 0.15 * (valve / 100 - 0.6) ** 2) + rng.normal(0, 0.12, hours)
    table = np.stack([suction, discharge, speed, inlet, valve], 1)
    if dropouts:
        for start in rng.integers(hours // 3, hours, 9):
            table[start : start + rng.integers(1, 4), rng.integers(0, 5)] = np.nan
    return table.astype(np.float32), power.astype(np.float32)


def load_log(buggy):
    sensors, power = historian(3000, seed=11)
    valid = ~np.isnan(sensors).any(axis=1)
    sensors = sensors[valid]
    power = power[: len(sensors)] if buggy else power[valid]
    return sensors, power


def r2(model, loader):
    model.eval()
    got, want = [], []
    with torch.no_grad():
        for x, y in loader:
            got.append(model(x))
            want.append(y)
    got, want = torch.cat(got), torch.cat(want)
    return float(1 - ((got - want) ** 2).sum() / ((want - want.mean()) ** 2).sum())


class PowerNet(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(len(SENSORS), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x):
        return self.body(x).squeeze(-1)


def scalers():
    x, y = historian(3000, seed=11)
    good = ~np.isnan(x).any(1)
    return StandardScaler().fit(x[good]), float(y.mean()), float(y.std())


def to_set(x, y):
    scale, mean, sd = scalers()
    return TensorDataset(
        torch.tensor(scale.transform(x), dtype=torch.float32), torch.tensor((y - mean) / sd, dtype=torch.float32)
    )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = load_log(buggy)
    held = np.arange(len(x)) // 168 % 5 == 2  # every fifth week
    model = PowerNet()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(to_set(x[~held], y[~held]), batch_size=64, shuffle=True),
        "val": DataLoader(to_set(x[held], y[held]), batch_size=256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 25,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return r2(model, DataLoader(to_set(*historian(1500, seed=77, dropouts=False)), batch_size=500))
