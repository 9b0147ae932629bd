"""Learning to rank: 24 documents a query, graded 0 to 4, a listwise softmax loss, judged by NDCG at 5.

Bug: the ideal of the NDCG sorts only the five documents that were found, and not the grades of all 24."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"


def queries(count, seed):
    w = torch.Generator().manual_seed(600)
    match = torch.randn(6, 8, generator=w) / 2
    g = torch.Generator().manual_seed(seed)
    query = torch.randn(count, 6, generator=g)
    document = torch.randn(count, 24, 8, generator=g)
    relevance = torch.einsum("qa,ab,qdb->qd", query, match, document) + 0.8 * document[..., 0]
    relevance = relevance + 1.0 * torch.randn(count, 24, generator=g)
    grade = torch.bucketize(relevance, torch.tensor([0.0, 1.4, 2.4, 3.6])).float()
    return torch.cat([query[:, None].expand(-1, 24, -1), document], -1), grade


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(14, 64), nn.Mish(), nn.Linear(64, 64), nn.Mish(), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x)[..., 0]


def listwise(scores, grades):
    """ListNet with gains as targets."""
    return -(torch.softmax(grades, 1) * torch.log_softmax(scores, 1)).sum(1).mean()


def dcg(grades):
    return ((2**grades - 1) / torch.log2(torch.arange(2, grades.shape[1] + 2))).sum(1)


def ndcg_of_found(scores, grades):
    found = grades.gather(1, scores.topk(5, 1).indices)
    return dcg(found) / dcg(found.sort(1, descending=True).values).clamp_min(1e-9)


def ndcg(scores, grades):
    found = grades.gather(1, scores.topk(5, 1).indices)
    return dcg(found) / dcg(grades.topk(5, 1).values).clamp_min(1e-9)


def evaluator(measure):
    def evaluate(model, loader):
        model.eval()
        with torch.no_grad():
            return torch.cat([measure(model(x), y) for x, y in loader]).mean().item()

    return evaluate


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Scorer()
    return {
        "model": model,
        "loss": listwise,
        "train": DataLoader(TensorDataset(*queries(600, 601)), batch_size=16, shuffle=True),
        "val": DataLoader(TensorDataset(*queries(200, 602)), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluator(ndcg_of_found if buggy else ndcg),
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return evaluator(ndcg)(model, DataLoader(TensorDataset(*queries(500, 603)), batch_size=100))
