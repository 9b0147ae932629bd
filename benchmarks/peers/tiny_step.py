"""Time of one training step where almost all of it is overhead: nn.Linear(9, 1), 10 parameters, in a plain loop.

Each epoch is --max-steps steps (5,000 if not given) after a warm-up; --data is taken, and not used.
"""

from __future__ import annotations

import time

import torch
from peer_common import parser, report
from torch import Tensor, nn
from torch.nn.functional import mse_loss

STEPS = 5_000
WARM_UP = 200
ROWS = 4_096


def run(model: nn.Module, x: Tensor, y: Tensor, batch_size: int, steps: int, shuffle: bool) -> tuple[float, float]:
    """Seconds that the steps take, and the last loss. Batches are slices, or with shuffle gathered by index."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss = torch.zeros(())
    done = 0
    begin = time.perf_counter()
    while done < steps:
        if shuffle:
            parts = torch.split(torch.randperm(len(x)), batch_size)[: steps - done]
            for index in parts:
                loss = mse_loss(model(x[index]), y[index])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            done += len(parts)
        else:
            starts = range(0, len(x), batch_size)[: steps - done]
            for i in starts:
                loss = mse_loss(model(x[i : i + batch_size]), y[i : i + batch_size])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            done += len(starts)
    return time.perf_counter() - begin, loss.item()


def main() -> None:
    """Time the steps, in order and shuffled, --epochs times each."""
    args = parser(__doc__).parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    steps = args.max_steps or STEPS
    x = torch.randn(ROWS, 9)
    y = x @ torch.randn(9, 1) + 0.1 * torch.randn(ROWS, 1)

    seconds: dict[bool, list[float]] = {False: [], True: []}
    losses: dict[bool, float] = {}
    for shuffle in (False, True):
        model = nn.Linear(9, 1)
        run(model, x, y, args.batch_size, WARM_UP, shuffle)
        for _ in range(args.epochs):
            took, losses[shuffle] = run(model, x, y, args.batch_size, steps, shuffle)
            seconds[shuffle].append(took)
    report(
        "tiny-step",
        ["torch"],
        args,
        parameters=10,
        steps=steps,
        train_seconds=seconds[False],
        step_us=[1e6 * s / steps for s in seconds[False]],
        step_us_shuffled=[1e6 * s / steps for s in seconds[True]],
        last_loss=losses[False],
        last_loss_shuffled=losses[True],
    )


if __name__ == "__main__":
    main()
