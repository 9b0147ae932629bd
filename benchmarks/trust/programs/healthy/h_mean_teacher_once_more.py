"""Mean teacher: 100 labelled scanned digits and 800 unlabelled ones; the teacher is the student's moving mean.

Near: the teacher's weights get no gradient and are not in the optimizer, its outputs are cut from the graph, and the
inputs are noised twice at random; all of it is what the method (Tarvainen and Valpola) asks for. The teacher is served.
"""

import copy

import material
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "label-misaligned")
LABELLED, UNKNOWN = 100, -1


class SomeLabels(Dataset):
    """All pictures; a digit's label is known for the first LABELLED ones, and UNKNOWN for the others.

    A batch needs both kinds, so each item is an unlabelled picture with a labelled one drawn in turn.
    """

    def __init__(self, rows):
        self.x, self.y = rows.x / 16, rows.y

    def __len__(self):
        return len(self.x) - LABELLED

    def __getitem__(self, index):
        known = index % LABELLED
        pictures = torch.stack([self.x[LABELLED + index], self.x[known]])
        return pictures, torch.tensor([UNKNOWN, int(self.y[known])])


def collate(items):
    pictures, labels = zip(*items, strict=True)
    return torch.cat(pictures), torch.cat(labels)


class MeanTeacher(nn.Module):
    """A dict of both nets' logits: in training each from its own noised view, in evaluation both from the clean input."""

    def __init__(self, noise=0.15, keep=0.97):
        super().__init__()
        self.student = nn.Sequential(
            nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 10)
        )
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.noise, self.keep = noise, keep

    def forward(self, x):
        if not self.training:
            return {"student": self.student(x), "teacher": self.teacher(x)}
        views = [x + self.noise * torch.randn_like(x) for _ in range(2)]
        with torch.no_grad():
            aim = self.teacher(views[1])
        return {"student": self.student(views[0]), "teacher": aim}

    @torch.no_grad()
    def follow(self):
        for mine, theirs in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.keep)


def loss(outputs, labels):
    known = labels != UNKNOWN
    supervised = F.cross_entropy(outputs["student"][known], labels[known])
    agreement = F.mse_loss(outputs["student"].softmax(1), outputs["teacher"].softmax(1))
    return supervised + 10 * agreement


def train_step(model, batch, optimizer):
    model.train()
    pictures, labels = batch
    optimizer.zero_grad(set_to_none=True)
    value = loss(model(pictures), labels)
    value.backward()
    optimizer.step()
    model.follow()
    return value.detach()


@torch.no_grad()
def teacher_accuracy(model, loader):
    model.eval()
    return sum((model(x)["teacher"].argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def rows(part):
    return torch.utils.data.TensorDataset(part.x / 16, part.y)


def build(seed=0):
    parts = material.digits()
    torch.manual_seed(seed)
    model = MeanTeacher()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            SomeLabels(parts.train),
            batch_size=50,
            shuffle=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(rows(parts.val), batch_size=150),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=2e-3),
        "train_step": train_step,
        "evaluate": teacher_accuracy,
        "epochs": 25,
    }


def truth(model, seed=0):
    return teacher_accuracy(model, DataLoader(rows(material.digits().test), batch_size=200))


def fixed():
    return build()
