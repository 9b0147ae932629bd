"""fastai: Learner.fit over PyTorch DataLoaders of in-memory tensors, with its default progress bar and recorder."""

from __future__ import annotations

import time
from argparse import BooleanOptionalAction
from functools import partial

import torch
from fastai.callback.core import Callback
from fastai.callback.progress import ProgressCallback  # noqa: F401 - registers the default progress bar
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.optimizer import Adam, OptimWrapper
from peer_common import EVAL_BATCH, load_mnist, parser, report
from torch import nn
from torch_common import simple_cnn, tensor_loader


class Clock(Callback):
    """Training and validation time, and validation accuracy, of each epoch."""

    def __init__(self) -> None:
        self.train_s: list[float] = []
        self.val_s: list[float] = []
        self.begin = 0.0
        self.first_begin: float | None = None

    def before_train(self) -> None:
        self.begin = time.perf_counter()
        self.first_begin = self.first_begin or self.begin

    def after_train(self) -> None:
        self.train_s.append(time.perf_counter() - self.begin)

    def before_validate(self) -> None:
        self.begin = time.perf_counter()

    def after_validate(self) -> None:
        self.val_s.append(time.perf_counter() - self.begin)


def main() -> None:
    """Train, validate after each epoch, report."""
    p = parser(__doc__)
    p.add_argument("--loader", choices=["bulk", "items"], default="bulk", help="how the DataLoader makes a batch")
    p.add_argument("--optimizer", choices=["torch", "fastai"], default="torch", help="whose Adam")
    p.add_argument("--channels-last", action=BooleanOptionalAction, default=True, help="the model's memory format")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    data = load_mnist(args)
    bulk = args.loader == "bulk"
    loaders = DataLoaders(
        tensor_loader(data.train_x, data.train_y, args.batch_size, shuffle=True, bulk=bulk),
        tensor_loader(data.test_x, data.test_y, EVAL_BATCH, shuffle=False, bulk=bulk),
    )
    optimizers = {
        "torch": partial(OptimWrapper, opt=partial(torch.optim.Adam, fused=True)),
        "fastai": partial(Adam, mom=0.9, sqr_mom=0.999, eps=1e-8, wd=0.0),
    }
    model = simple_cnn()
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    clock = Clock()
    learner = Learner(
        loaders,
        model,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=optimizers[args.optimizer],
        metrics=accuracy,
        cbs=[clock],
    )
    start = time.perf_counter()
    learner.fit(args.epochs, lr=1e-3)
    end = time.perf_counter()
    report(
        "fastai",
        ["fastai", "torch", "numpy"],
        args,
        loader=args.loader,
        optimizer=args.optimizer,
        channels_last=args.channels_last,
        train_seconds=clock.train_s,
        val_seconds=clock.val_s,
        setup_seconds=(clock.first_begin or end) - start,
        fit_seconds=end - start,
        test_accuracy=[float(row[-1]) for row in learner.recorder.values],
    )


if __name__ == "__main__":
    main()
