"""Where does a three-joint arm's hand go? An MLP from joint angles and the gripper's embedding.

Bug: the weights of all layers are set to one and the same constant, so all units of a layer stay twins."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-init"
ALSO = ()
HIGHER = "truth"

REACH = torch.tensor([1.0, 0.8, 0.4])
GRIPPERS = torch.tensor([0.0, 0.15, 0.3])


def poses(count, seed):
    g = torch.Generator().manual_seed(seed)
    angle = (torch.rand(count, 3, generator=g) * 2 - 1) * torch.tensor([1.5, 1.2, 1.2])
    gripper = torch.randint(len(GRIPPERS), (count,), generator=g)
    heading = angle.cumsum(1)
    length = REACH.repeat(count, 1)
    length[:, 2] += GRIPPERS[gripper]
    hand = torch.stack([(length * heading.cos()).sum(1), (length * heading.sin()).sum(1)], 1)
    return angle, gripper, hand + 0.02 * torch.randn(count, 2, generator=g)


class Arm(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.gripper = nn.Embedding(len(GRIPPERS), 4)
        self.layers = nn.ModuleList([nn.Linear(7, width), nn.Linear(width, width)])
        self.hand = nn.Linear(width, 2)

    def forward(self, angle, gripper):
        h = torch.cat([angle, self.gripper(gripper)], 1)
        for layer in self.layers:
            h = torch.tanh(layer(h))
        return self.hand(h)


def initialise(module, constant):
    if isinstance(module, nn.Linear):
        if constant:
            nn.init.constant_(module.weight, 0.02)
        else:
            nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class Named(TensorDataset):
    def __getitem__(self, row):
        angle, gripper, hand = super().__getitem__(row)
        return {"angle": angle, "gripper": gripper}, hand


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(**x), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Arm()
    model.apply(lambda module: initialise(module, buggy))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Named(*poses(1500, 1)), batch_size=50, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(Named(*poses(300, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 10,
    }  # fmt: skip


def truth(model, seed=0):
    return r2(model, DataLoader(Named(*poses(1000, 3)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
