"""The hand-optimised loop, the floor to measure against: uint8 tensors in memory, batches by index, channels_last,
fused Adam, no DataLoader, nothing read back in a step, glibc told to keep its memory. Pure torch, eager.
"""

from __future__ import annotations

import ctypes
import sys
import time

import torch
from peer_common import EVAL_BATCH, load_mnist, parser, report
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch_common import simple_cnn

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep_memory(limit: int = 1 << 30) -> dict[str, bool]:
    """Have glibc's malloc reuse freed memory instead of returning it at once. Call it before torch allocates."""
    done = {"mmap": False, "trim": False}
    if not sys.platform.startswith("linux"):
        return done
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return done
    done["mmap"] = libc.mallopt(M_MMAP_THRESHOLD, limit) == 1
    done["trim"] = libc.mallopt(M_TRIM_THRESHOLD, limit) == 1
    return done


def images(x: Tensor) -> Tensor:
    """uint8 (n, 28, 28, 1) to float (n, 1, 28, 28) in 0..1, whose memory order is channels_last as stored."""
    return (x / 255).permute(0, 3, 1, 2)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, batch_size: int, order: torch.Generator
) -> None:
    """One epoch."""
    model.train()
    for index in torch.split(torch.randperm(len(x), generator=order), batch_size):
        loss = cross_entropy(model(images(x.index_select(0, index))), y.index_select(0, index))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@torch.inference_mode()
def test(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Accuracy on all of x."""
    model.eval()
    correct = torch.zeros((), dtype=torch.int64)
    for xb, yb in zip(torch.split(x, EVAL_BATCH), torch.split(y, EVAL_BATCH), strict=True):
        correct += (model(images(xb)).argmax(1) == yb).sum()
    return int(correct) / len(x)


def main() -> None:
    """Train, test after each epoch, report."""
    p = parser(__doc__)
    p.add_argument("--no-mallopt", action="store_true", help="leave glibc's malloc as it is")
    args = p.parse_args()
    malloc = {"mmap": False, "trim": False} if args.no_mallopt else keep_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    data = load_mnist(args)
    train_x, train_y = torch.from_numpy(data.train_x)[..., None], torch.from_numpy(data.train_y).long()
    test_x, test_y = torch.from_numpy(data.test_x)[..., None], torch.from_numpy(data.test_y).long()
    model = simple_cnn().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.Generator().manual_seed(args.seed)

    train_s: list[float] = []
    val_s: list[float] = []
    accuracy: list[float] = []
    start = time.perf_counter()
    for _ in range(args.epochs):
        begin = time.perf_counter()
        train(model, optimizer, train_x, train_y, args.batch_size, order)
        middle = time.perf_counter()
        accuracy.append(test(model, test_x, test_y))
        train_s.append(middle - begin)
        val_s.append(time.perf_counter() - middle)
    report(
        "hand-loop",
        ["torch", "numpy"],
        args,
        mallopt=malloc,
        train_seconds=train_s,
        val_seconds=val_s,
        fit_seconds=time.perf_counter() - start,
        test_accuracy=accuracy,
    )


if __name__ == "__main__":
    main()
