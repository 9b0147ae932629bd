"""Competition kernel: Fashion-MNIST, a small ResNet, mixup, residuals that begin at zero, SGD with a one-cycle rate up to 0.2."""

import torch
from material import fashion
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise", "lr-too-high", "constant-init", "schedule", "batch-mixing")


class CFG:
    n_train = 2500
    batch_size = 64
    epochs = 8
    max_lr = 0.2
    mixup = 0.2
    smoothing = 0.05
    weight_decay = 5e-4


class Residual(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        nn.init.zeros_(self.bn2.weight)
        self.short = nn.Identity() if stride == 1 and c_in == c_out else nn.Conv2d(c_in, c_out, 1, stride, bias=False)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.short(x) + self.bn2(self.conv2(h)))


class ResNet(nn.Module):
    def __init__(self, width=12, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            Residual(width, width, 1), Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2)
        )
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


criterion = nn.CrossEntropyLoss(label_smoothing=CFG.smoothing)


def mixup_step(model, batch, optimizer):
    model.train()
    x, y = batch
    lam = float(torch.distributions.Beta(CFG.mixup, CFG.mixup).sample())
    other = torch.randperm(len(x))
    logits = model(lam * x + (1 - lam) * x[other])
    loss = lam * criterion(logits, y) + (1 - lam) * criterion(logits, y[other])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def score(model, loader):
    model.eval()
    preds, labels = [], []
    with torch.inference_mode():
        for x, y in loader:
            preds.append(((model(x) + model(x.flip(-1))) / 2).argmax(1))
            labels.append(y)
    return (torch.cat(preds) == torch.cat(labels)).float().mean().item()


def dataset(rows):
    return TensorDataset((rows.x.unsqueeze(1).float() / 255 - 0.286) / 0.353, rows.y)


def build(seed=0):
    torch.manual_seed(seed)
    data = fashion(CFG.n_train, 500, 1000)
    train = DataLoader(dataset(data.train), CFG.batch_size, shuffle=True, drop_last=True)
    model = ResNet()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=CFG.weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, CFG.max_lr, total_steps=CFG.epochs * len(train))
    return {
        "model": model,
        "loss": criterion,
        "train": train,
        "val": DataLoader(dataset(data.val), 250),
        "optimizer": optimizer,
        "scheduler": scheduler,
        "scheduler_step": "batch",
        "train_step": mixup_step,
        "evaluate": score,
        "epochs": CFG.epochs,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return score(model, DataLoader(dataset(fashion(CFG.n_train, 500, 1000).test), 250))
