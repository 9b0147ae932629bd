"""Health of a battery from its discharge curve, the current drawn and the temperature: a model of two inputs.

Bug: F.normalize works along dimension 1, which in a column of one number leaves its sign alone: currents are all 1."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"
POINTS = 40


def cells(rows, seed):
    """Curves in volts (rows, POINTS), current in ampere (rows, 1), temperature in Celsius (rows, 1), health (rows,)."""
    g = torch.Generator().manual_seed(seed)
    health = 0.6 + 0.4 * torch.rand(rows, 1, generator=g)
    current = 0.5 + 2.5 * torch.rand(rows, 1, generator=g)
    celsius = 5 + 35 * torch.rand(rows, 1, generator=g)
    hours = torch.linspace(0, 0.3, POINTS)
    resistance = 0.06 + 0.10 * (1 - health) + 0.0015 * (40 - celsius)
    used = current * hours / (3.0 * health)
    volts = 4.15 - 0.9 * used - 0.25 * used**2 - current * resistance
    return volts + 0.005 * torch.randn(rows, POINTS, generator=g), current, celsius, health.squeeze(1)


class Cells(Dataset):
    def __init__(self, rows, seed, prepare):
        volts, current, celsius, self.y = cells(rows, seed)
        self.curve, self.current, self.celsius = prepare(volts, current, celsius)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return {"curve": self.curve[row], "current": self.current[row], "celsius": self.celsius[row]}, self.y[row]


class Health(nn.Module):
    def __init__(self):
        super().__init__()
        self.curve = nn.Sequential(nn.Linear(POINTS, 32), nn.GELU(), nn.Linear(32, 16), nn.GELU())
        self.state = nn.Sequential(nn.Linear(2, 16), nn.GELU())
        self.head = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 1))
        nn.init.constant_(self.head[-1].bias, 0.8)  # the middle of what is asked for

    def forward(self, curve, current, celsius):
        state = self.state(torch.cat([current, celsius], dim=1))
        return self.head(torch.cat([self.curve(curve), state], dim=1)).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(**x), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    volts, current, celsius, _ = cells(1200, 1)
    volts_mean, volts_std = volts.mean(), volts.std()
    current_mean, current_std = current.mean(), current.std()
    celsius_mean, celsius_std = celsius.mean(), celsius.std()

    def prepare(volts, current, celsius):
        volts = (volts - volts_mean) / volts_std
        celsius = (celsius - celsius_mean) / celsius_std
        current = F.normalize(current) if buggy else (current - current_mean) / current_std
        return volts, current, celsius

    model = Health()
    model.prepare = prepare  # whoever uses the model later scales as it was trained
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Cells(1200, 1, prepare), batch_size=48, shuffle=True),
        "val": DataLoader(Cells(300, 2, prepare), batch_size=150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(Cells(600, 3, model.prepare), batch_size=300))


def setup():
    return build(True)


def fixed():
    return build(False)
