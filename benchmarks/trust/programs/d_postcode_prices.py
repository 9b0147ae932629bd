"""House prices from a few measures and the postcode, which is encoded by the mean price of its sales.

Bug: a training row's postcode mean includes the row's own price, so the column gives the target away in training."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ("train-val-mismatch",)
HIGHER = "truth"

CODES, ROWS, SMOOTH = 700, (2400, 1200, 3000), 1.0


def sales():
    """Log prices of synthetic sales: size, age, rooms, garden, and how dear the postcode is."""
    rng = np.random.default_rng(11)
    dear = rng.normal(0, 0.35, CODES)
    n = sum(ROWS)
    code = rng.integers(0, CODES, n)
    size, age = rng.lognormal(4.6, 0.3, n), rng.gamma(2.0, 15.0, n)
    rooms = np.clip(np.round(size / 28 + rng.normal(0, 0.7, n)), 1, 9)
    garden = (rng.random(n) < 0.4).astype(float)
    price = 0.9 * np.log(size) - 0.004 * age + 0.03 * rooms + 0.1 * garden * (size > 100)
    price = price + dear[code] + rng.normal(0, 0.25, n)
    return np.stack([size, age, rooms, garden], 1), code, price


def postcode_mean(code, price, asked):
    """Mean price of each asked postcode, drawn towards the overall mean where there are few sales."""
    total = np.bincount(code, weights=price, minlength=CODES)
    count = np.bincount(code, minlength=CODES)
    return ((total + SMOOTH * price.mean()) / (count + SMOOTH))[asked]


def tables(buggy):
    x, code, price = sales()
    a, b = ROWS[0], ROWS[0] + ROWS[1]
    encoded = postcode_mean(code[:a], price[:a], code)
    if not buggy:
        fold = np.random.default_rng(5).integers(0, 10, a)
        for k in range(10):
            inside = fold == k
            encoded[:a][inside] = postcode_mean(code[:a][~inside], price[:a][~inside], code[:a][inside])
    x = np.column_stack([x, encoded])
    x = (x - x[:a].mean(0)) / x[:a].std(0)
    y = (price - price[:a].mean()) / price[:a].std()
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    return (x[:a], y[:a]), (x[a:b], y[a:b]), (x[b:], y[b:])


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = tables(buggy)
    model = nn.Sequential(nn.Linear(5, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3),
        "train": DataLoader(TensorDataset(*train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=300),
        "evaluate": r_squared,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r_squared(model, [tables(False)[2]])


def setup():
    return build(True)


def fixed():
    return build(False)
