"""Power of a wind turbine from ten minutes of a SCADA log: five channels by 24 steps; a temporal CNN with global pooling.

Bug: wind speed is kept as a whole number after it is divided by its range (uint8 store), so that the channel is zero."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"

STEPS = 24
#                     wind m/s, direction °, air °C, pitch °, rotor rpm
LOW = torch.tensor([0.0, 0.0, -10.0, -2.0, 0.0])
HIGH = torch.tensor([32.0, 360.0, 35.0, 30.0, 24.0])


def log(count, seed):
    """(count, STEPS, 5) raw channels and the mean power in MW; the rotor's speed tells of the wind only below rated wind."""
    g = torch.Generator().manual_seed(seed)
    mean = 3 + 15 * torch.rand(count, 1, generator=g)
    gust = 1.2 * torch.randn(count, STEPS, generator=g)
    wind = (mean + gust).clamp(0.1, 30)
    air = -5 + 35 * torch.rand(count, 1, generator=g)
    density = 1.2 * 288 / (273 + air)
    power = (0.5 * density * 0.0013 * wind**3).clamp(max=3.5)
    pitch = 1 + 2 * torch.randn(count, STEPS, generator=g).abs()
    rotor = (wind * 1.6).clamp(max=14) + 1.5 * torch.randn(count, STEPS, generator=g)
    heading = (360 * torch.rand(count, 1, generator=g) + 8 * torch.randn(count, STEPS, generator=g)) % 360
    channels = torch.stack([wind, heading, air.expand(-1, STEPS), pitch, rotor.clamp(min=0)], 2)
    return channels, power.mean(1) + 0.03 * torch.randn(count, generator=g)


def normalise(channels):
    """Each channel to 0..1 of its sensor's range."""
    return (channels - LOW) / (HIGH - LOW)


class PowerNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(5, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, width, 3, padding=1), nn.GELU()
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, channels):
        return self.head(self.conv(channels.transpose(1, 2)).mean(2)).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).mean() / y.var())


def prepare(count, seed, truncated):
    channels, power = log(count, seed)
    ready = normalise(channels)
    if truncated:
        ready[..., 0] = ready[..., 0].to(torch.uint8).float()  # as the archive keeps wind
    return TensorDataset(ready, power)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = PowerNet()
    model.truncated = buggy  # the preparation goes with the model
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(prepare(1500, 1, buggy), batch_size=50, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(prepare(300, 2, buggy), batch_size=150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 12,
    }  # fmt: skip


def truth(model, seed=0):
    return r2(model, DataLoader(prepare(800, 3, model.truncated), batch_size=400))


def setup():
    return build(True)


def fixed():
    return build(False)
