"""An echo state network forecasts a chaotic series (Mackey-Glass): a fixed random reservoir, and a trained readout.

Near: most weights are frozen, and the state is computed without gradients; an echo state network is just that, its
recurrent weights are drawn once, with a spectral radius below 1, and only the readout is learned.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "gradient-cut", "unregistered-parameters")
WINDOW, AHEAD = 60, 6


def mackey_glass(count, seed):
    """Standardised windows (count, WINDOW, 1), and the value AHEAD steps after each one's end."""
    g = torch.Generator().manual_seed(seed)
    lag, warm, apart = 17, 300, 7
    total = warm + apart * count + WINDOW + AHEAD
    values = (0.9 + 0.4 * torch.rand(lag + 1, generator=g)).tolist()
    for _ in range(total):
        old = values[-1 - lag]
        values.append(values[-1] + 0.2 * old / (1 + old**10) - 0.1 * values[-1])
    series = (torch.tensor(values[warm:]) - 0.93) / 0.23
    begins = torch.arange(count) * apart
    x = series[begins[:, None] + torch.arange(WINDOW)]
    return x[..., None], series[begins + WINDOW - 1 + AHEAD]


class EchoState(nn.Module):
    def __init__(self, units=200, radius=0.9, leak=0.5):
        super().__init__()
        inner = torch.randn(units, units) * (torch.rand(units, units) < 0.1)
        inner *= radius / torch.linalg.eigvals(inner).abs().max()
        self.register_buffer("inner", inner)
        self.register_buffer("outer", torch.rand(units, 1) * 2 - 1)
        self.register_buffer("shift", 0.2 * (torch.rand(units) * 2 - 1))
        self.leak = leak
        self.readout = nn.Linear(units, 1)

    @torch.no_grad()
    def states(self, x):
        state = x.new_zeros(len(x), len(self.inner))
        for step in x.unbind(1):
            fresh = torch.tanh(step @ self.outer.T + state @ self.inner.T + self.shift)
            state = (1 - self.leak) * state + self.leak * fresh
        return state

    def forward(self, x):
        return self.readout(self.states(x)).squeeze(1)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    guesses, values = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - ((guesses - values) ** 2).sum().item() / ((values - values.mean()) ** 2).sum().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = EchoState()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            TensorDataset(*mackey_glass(1000, 1)),
            batch_size=50,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(*mackey_glass(300, 2)), batch_size=150),
        "optimizer": torch.optim.Adam(model.readout.parameters(), lr=5e-3),
        "evaluate": r2,
        "epochs": 20,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*mackey_glass(400, 3)), batch_size=200))


def fixed():
    return build()
