"""Ranks the sixteen open work orders of a plant by how much down-time they spare (grades 0 to 3), listwise."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"

ORDERS, FEATURES, K = 16, 8, 5


def plants(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, ORDERS, FEATURES, generator=g)
    context = x[..., 0].mean(1, keepdim=True) * 4
    worth = x[..., 1] * x[..., 2] + torch.relu(x[..., 3]) - 0.8 * context * x[..., 4] + 0.5 * x[..., 5]
    worth = worth + 0.6 * torch.randn(worth.shape, generator=g)
    edges = torch.tensor([0.8, 1.8, 3.0])
    return TensorDataset(x, torch.bucketize(worth, edges).float())


class SetRanker(nn.Module):
    """Scores each order with what the whole list looks like beside it."""

    def __init__(self, width=64):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.score = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x):
        h = self.each(x)
        pooled = h.mean(1, keepdim=True).expand_as(h)
        return self.score(torch.cat([h, pooled], -1)).squeeze(-1)


def listwise(scores, grades):
    wanted = (2**grades - 1) + 1e-6
    wanted = wanted / wanted.sum(1, keepdim=True)
    return -(wanted * scores.log_softmax(1)).sum(1).mean()


def dcg(gains):
    return (gains / torch.log2(torch.arange(gains.shape[1]) + 2.0)).sum(1)


class NDCG:
    def __init__(self, whole_list):
        self.whole_list = whole_list

    @torch.no_grad()
    def __call__(self, model, loader):
        model.eval()
        found = []
        for x, grades in loader:
            gains = 2**grades - 1
            shown = gains.gather(1, model(x).topk(K, dim=1).indices)
            ideal = (gains if self.whole_list else shown).sort(1, descending=True).values[:, :K]
            best = dcg(ideal)
            found.append(torch.where(best > 0, dcg(shown) / best.clamp(min=1e-9), torch.ones_like(best)))
        return torch.cat(found).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = SetRanker()
    return {
        "model": model,
        "loss": listwise,
        "train": DataLoader(plants(1200, 1), batch_size=40, shuffle=True),
        "val": DataLoader(plants(400, 2), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02),
        "evaluate": NDCG(whole_list=not buggy),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return NDCG(whole_list=True)(model, DataLoader(plants(1500, 3), batch_size=500))
