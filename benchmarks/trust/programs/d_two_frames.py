"""Estimates the motion (dx, dy in pixels) of a digit between two noisy frames; frames are mirrored at random in training.

Bug: the random mirroring flips both frames, and dx keeps its sign."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
REACH = 4  # pixels at most, either way


def film(pictures, seed):
    """Pairs of 36 by 36 frames in which the picture moves by whole pixels, and the motion as a share of REACH."""
    generator = torch.Generator().manual_seed(seed)
    count, middle = len(pictures), REACH
    motion = torch.randint(-REACH, REACH + 1, (count, 2), generator=generator)
    frames = torch.zeros(count, 2, 36, 36)
    for row, (dx, dy) in enumerate(motion.tolist()):
        frames[row, 0, middle : middle + 28, middle : middle + 28] = pictures[row]
        frames[row, 1, middle + dy : middle + dy + 28, middle + dx : middle + dx + 28] = pictures[row]
    frames = frames / 255 - 0.1
    frames = frames + 0.1 * torch.randn(frames.shape, generator=generator)
    return nn.functional.avg_pool2d(frames, 2), motion.float() / REACH


class Film(Dataset):
    def __init__(self, frames, motion, mirror=False, flip_motion=True):
        self.frames, self.motion = frames, motion
        self.mirror, self.flip_motion = mirror, flip_motion

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, row):
        frames, motion = self.frames[row], self.motion[row]
        if self.mirror and torch.rand(()) < 0.5:
            frames = frames.flip(-1)
            if self.flip_motion:
                motion = motion * torch.tensor([-1.0, 1.0])
        return frames, motion


class MotionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 24, 5, padding=2),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 25, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, frames):
        return self.head(self.features(frames))


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(frames), motion) for frames, motion in loader]
    guess, motion = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return (1 - ((guess - motion) ** 2).sum() / ((motion - motion.mean(0)) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 500, 1000)
    train = Film(*film(parts.train.x, 1), mirror=True, flip_motion=not buggy)
    val = Film(*film(parts.val.x, 2))
    model = MotionNet()
    epochs = 8
    loader = DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": loader,
        "val": DataLoader(val, 250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * len(loader)),
        "scheduler_step": "batch",
        "evaluate": r2,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(Film(*film(mnist(2000, 500, 1000).test.x, 3)), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
