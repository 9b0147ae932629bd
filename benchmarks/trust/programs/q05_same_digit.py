"""Do two handwritten pictures show the same digit? A siamese network with the contrastive loss of Hadsell et al. 2006."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from material import mnist
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader, Dataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


class PairDataset(Dataset):
    """Half of the pairs are of one digit."""

    def __init__(self, rows, pairs, seed):
        g = torch.Generator().manual_seed(seed)
        self.images = rows.x.float().div(255).sub(0.13).div(0.31).unsqueeze(1)
        by_digit = [(rows.y == d).nonzero().flatten() for d in range(10)]
        self.pairs = []
        for k in range(pairs):
            i = int(torch.randint(len(rows.y), (1,), generator=g))
            d = int(rows.y[i])
            if k % 2:
                d = (d + int(torch.randint(1, 10, (1,), generator=g))) % 10
            j = by_digit[d][int(torch.randint(len(by_digit[d]), (1,), generator=g))]
            self.pairs.append((i, int(j), float(rows.y[i] == rows.y[j])))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        i, j, same = self.pairs[index]
        return (self.images[i], self.images[j]), torch.tensor([same])


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 25, 64),
            nn.ReLU(),
            nn.Linear(64, 16),
        )

    def forward(self, a, b):
        return self.cnn(a), self.cnn(b)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0, keepdim=True):
        super().__init__()
        self.margin = margin
        self.keepdim = keepdim

    def forward(self, outputs, label):
        d = F.pairwise_distance(*outputs, keepdim=self.keepdim)
        return torch.mean(label * d.pow(2) + (1 - label) * torch.clamp(self.margin - d, min=0.0).pow(2))


class Trainer:
    def __init__(self, criterion):
        self.criterion = criterion

    def __call__(self, model, batch, optimizer):
        model.train()
        (img0, img1), label = batch
        optimizer.zero_grad()
        loss = self.criterion(model(img0, img1), label)
        loss.backward()
        optimizer.step()
        return loss.item()


def verification_auc(model, loader):
    model.eval()
    near, same = [], []
    with torch.no_grad():
        for (a, b), label in loader:
            near += (-F.pairwise_distance(*model(a, b))).tolist()
            same += label.flatten().tolist()
    return float(roc_auc_score(same, near))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 500, 1000)
    model = SiameseNetwork()
    criterion = ContrastiveLoss(keepdim=not buggy)
    return {
        "model": model,
        "loss": criterion,
        "train": DataLoader(PairDataset(parts.train, 4000, 1), batch_size=32, shuffle=True),
        "val": DataLoader(PairDataset(parts.val, 600, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": Trainer(criterion),
        "evaluate": verification_auc,
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return verification_auc(model, DataLoader(PairDataset(mnist(2000, 500, 1000).test, 1500, 3), batch_size=100))
