"""A plain PyTorch loop in the style of PyTorch's MNIST example: torchvision's dataset and transforms, a DataLoader,
a loss printed every 10 batches. The network, the optimizer and the batch size are those of every peer.

On CPU that example loads in the main process (0 workers); --workers 1 is what it does on a GPU.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from peer_common import EVAL_BATCH, parser, report
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Subset
from torch_common import simple_cnn
from torchvision import datasets, transforms

LOG_EVERY = 10


def unpack(source: Path, root: Path) -> None:
    """Lay the idx files out as torchvision's MNIST wants them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in sorted(source.glob("*-ubyte.gz")):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))


def train(model: nn.Module, loader: DataLoader[Any], optimizer: torch.optim.Optimizer, epoch: int) -> None:
    """One epoch."""
    model.train()
    seen = 0
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if step % LOG_EVERY == 0:
            print(f"epoch {epoch} example {seen} ({step / len(loader):.0%}) loss {loss.item():.6f}")
        seen += len(x)


def test(model: nn.Module, loader: DataLoader[Any]) -> float:
    """Accuracy on the loader's examples."""
    model.eval()
    loss, correct, total = 0.0, 0, 0
    with torch.no_grad():
        for x, y in loader:
            logits = model(x)
            loss += cross_entropy(logits, y, reduction="sum").item()
            correct += int((logits.argmax(1) == y).sum().item())
            total += len(y)
    print(f"test loss {loss / total:.4f} accuracy {correct}/{total}")
    return correct / total


def main() -> None:
    """Train, test after each epoch, report."""
    p = parser(__doc__)
    p.add_argument("--workers", type=int, default=0, help="DataLoader worker processes for training and testing")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    with tempfile.TemporaryDirectory() as folder:
        unpack(args.data, Path(folder))
        train_set: Dataset[Any] = datasets.MNIST(folder, train=True, transform=transform)
        test_set: Dataset[Any] = datasets.MNIST(folder, train=False, transform=transform)
    if args.max_steps is not None:
        train_set = Subset(train_set, range(args.max_steps * args.batch_size))
    workers: dict[str, Any] = {"num_workers": args.workers, "persistent_workers": args.workers > 0}
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, **workers)
    test_loader = DataLoader(test_set, batch_size=EVAL_BATCH, **workers)
    model = simple_cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    train_s: list[float] = []
    val_s: list[float] = []
    accuracy: list[float] = []
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        begin = time.perf_counter()
        train(model, train_loader, optimizer, epoch)
        middle = time.perf_counter()
        accuracy.append(test(model, test_loader))
        train_s.append(middle - begin)
        val_s.append(time.perf_counter() - middle)
    report(
        "pytorch-example",
        ["torch", "torchvision", "numpy"],
        args,
        workers=args.workers,
        train_seconds=train_s,
        val_seconds=val_s,
        fit_seconds=time.perf_counter() - start,
        test_accuracy=accuracy,
    )


if __name__ == "__main__":
    main()
