"""Finds the eights among scanned digits (one in ten) by a CNN; a sampler draws eights as often as all the rest.

Near: the labels are imbalanced, rows are drawn more than once, and training batches hold more eights than validation
does; in use the score is shifted back to the true share by its log odds, and AUC needs no threshold."""

import torch
from material import digits
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "train-val-mismatch", "unshuffled", "output-bias")


def prepared(rows):
    return rows.x.reshape(-1, 1, 8, 8) / 8 - 1, (rows.y == 8).float()


class Spotter(nn.Module):
    """In evaluation the score is moved to the share of eights among all digits; in training the two are drawn alike."""

    def __init__(self, share):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(512, 1),
            nn.Flatten(0),
        )
        self.register_buffer("log_odds", torch.logit(share))

    def forward(self, x):
        score = self.layers(x)
        return score if self.training else score + self.log_odds


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    (x, y), held = prepared(parts.train), prepared(parts.val)
    share = y.mean()
    weights = torch.where(y > 0, 0.5 / share, 0.5 / (1 - share))
    draws = WeightedRandomSampler(weights, len(y), generator=torch.Generator().manual_seed(seed))
    model = Spotter(share)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(x, y), 32, sampler=draws),
        "val": DataLoader(TensorDataset(*held), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": auc,
        "epochs": 8,
    }


@torch.no_grad()
def auc(model, loader):
    model.eval()
    pairs = [(model(x), y) for x, y in loader]
    return float(roc_auc_score(torch.cat([y for _, y in pairs]), torch.cat([s for s, _ in pairs])))


def truth(model, seed=0):
    return auc(model, [prepared(digits().test)])


def fixed():
    return build()
