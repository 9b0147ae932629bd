"""Names the circle of each member of simulated networks of friends with two graph convolutions (dense, whole graphs).

Bug: F.dropout is called without training=self.training, so it goes on dropping when the model is used."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"
MEMBERS, CIRCLES, TRAITS = 60, 4, 12


class Networks(Dataset):
    """Each item: ((traits (60, 12), normalised adjacency (60, 60)), circles (60,))."""

    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        own = torch.randn(CIRCLES, TRAITS, generator=torch.Generator().manual_seed(0))
        self.rows = []
        for _ in range(count):
            y = torch.randint(CIRCLES, (MEMBERS,), generator=g)
            x = 0.75 * own[y] + 1.5 * torch.randn(MEMBERS, TRAITS, generator=g)
            chance = torch.where(y.unsqueeze(1) == y, 0.22, 0.05)
            upper = (torch.rand(MEMBERS, MEMBERS, generator=g) < chance).triu(1).float()
            links = upper + upper.T + torch.eye(MEMBERS)
            root = links.sum(1).rsqrt()
            self.rows.append(((x, root.unsqueeze(1) * links * root), y))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class GCN(nn.Module):
    def __init__(self, buggy, width=32):
        super().__init__()
        self.buggy = buggy
        self.first, self.second = nn.Linear(TRAITS, width), nn.Linear(width, CIRCLES)

    def forward(self, x, links):
        x = F.relu(links @ self.first(x))
        x = F.dropout(x, p=0.5) if self.buggy else F.dropout(x, p=0.5, training=self.training)
        return links @ self.second(x)


def collate(graphs):
    inputs, circles = zip(*graphs, strict=True)
    x, links = (torch.stack(part) for part in zip(*inputs, strict=True))
    return (x, links), torch.stack(circles)


def loss(scores, circles):
    return F.cross_entropy(scores.flatten(0, 1), circles.flatten())


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(*inputs).argmax(2) == circles for inputs, circles in loader]
    return torch.cat(hits).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = GCN(buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(Networks(400, 1), batch_size=6, shuffle=True, collate_fn=collate),
        "val": DataLoader(Networks(30, 2), batch_size=10, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Networks(60, 3), batch_size=20, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
