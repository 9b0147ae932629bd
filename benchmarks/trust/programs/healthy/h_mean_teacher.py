"""Mean teacher on MNIST with 300 labelled and 1,700 unlabelled digits; the teacher, an average of students, is what answers.

Near: optimizer-missing-parameters, frozen-parameters and gradient-cut, as the teacher is moved by averaging alone and its
answers are detached on purpose; eval-mode, since model.eval() switches from the student to the teacher."""

import copy

import torch
from material import mnist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("optimizer-missing-parameters", "frozen-parameters", "gradient-cut", "eval-mode", "wrong-loss", "label-noise")
LABELLED = 300


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(800, 10),
    )  # fmt: skip


class MeanTeacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = network()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x):
        return self.student(x) if self.training else self.teacher(x)

    @torch.no_grad()
    def average(self, keep=0.97):
        for old, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            old.lerp_(new, 1 - keep)


def shifted(x):
    """All the pictures of a batch, moved by up to two pixels."""
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return x.roll((down, right), (2, 3))


def scaled(pictures):
    return (pictures.float().unsqueeze(1) / 255 - 0.1307) / 0.3081


def train_step(model, batch, optimizer):
    """Labels are -1 where there are none."""
    x, y = batch
    model.train()
    model.teacher.eval()
    optimizer.zero_grad()
    scores = model.student(shifted(x))
    with torch.no_grad():
        goal = model.teacher(shifted(x)).softmax(1)
    known = (y >= 0).sum().clamp(min=1)
    supervised = F.cross_entropy(scores, y, ignore_index=-1, reduction="sum") / known
    loss = supervised + 3 * F.mse_loss(scores.softmax(1), goal)
    loss.backward()
    optimizer.step()
    model.average()
    return loss.detach()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return torch.cat([model(x).argmax(1) == y for x, y in loader]).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist()
    labels = parts.train.y.clone()
    labels[LABELLED:] = -1
    model = MeanTeacher()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(ignore_index=-1),
        "train": DataLoader(TensorDataset(scaled(parts.train.x), labels), batch_size=100, shuffle=True),
        "val": DataLoader(TensorDataset(scaled(parts.val.x), parts.val.y), batch_size=250),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=2e-3),
        "train_step": train_step,
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    rows = mnist().test
    return accuracy(model, DataLoader(TensorDataset(scaled(rows.x), rows.y), batch_size=250))


def fixed():
    return build()
