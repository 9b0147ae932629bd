"""Lightning: Trainer.fit over in-memory tensors, progress bar on, logger and checkpoints off."""

from __future__ import annotations

import time
from argparse import BooleanOptionalAction
from typing import Any

import lightning
import torch
from peer_common import EVAL_BATCH, load_mnist, parser, report
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch_common import simple_cnn, tensor_loader

Batch = tuple[Tensor, Tensor]


class Classifier(lightning.LightningModule):
    """simple_cnn with cross-entropy and fused Adam."""

    def __init__(self) -> None:
        super().__init__()
        self.net = simple_cnn()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        return cross_entropy(self(x), y)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)


class Clock(lightning.Callback):
    """Training and validation time, and validation accuracy, of each epoch."""

    def __init__(self) -> None:
        self.train: list[float] = []
        self.val: list[float] = []
        self.accuracy: list[float] = []
        self.begin = 0.0
        self.first_begin: float | None = None

    def on_train_epoch_start(self, *_: Any) -> None:
        self.begin = time.perf_counter()
        self.first_begin = self.first_begin or self.begin

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking:
            now = time.perf_counter()
            self.train.append(now - self.begin)
            self.begin = now

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.val.append(time.perf_counter() - self.begin)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.accuracy.append(float(trainer.callback_metrics["val_acc"]))


def main() -> None:
    """Train, validate after each epoch, report."""
    p = parser(__doc__)
    p.add_argument("--loader", choices=["bulk", "items"], default="bulk", help="how the DataLoader makes a batch")
    p.add_argument("--channels-last", action=BooleanOptionalAction, default=True, help="the model's memory format")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    lightning.seed_everything(args.seed)

    data = load_mnist(args)
    bulk = args.loader == "bulk"
    train = tensor_loader(data.train_x, data.train_y, args.batch_size, shuffle=True, bulk=bulk)
    test = tensor_loader(data.test_x, data.test_y, EVAL_BATCH, shuffle=False, bulk=bulk)
    model = Classifier()
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    clock = Clock()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=args.epochs,
        logger=False,
        enable_checkpointing=False,
        callbacks=[clock],
    )
    start = time.perf_counter()
    trainer.fit(model, train, test)
    end = time.perf_counter()
    report(
        "lightning",
        ["lightning", "torch", "numpy"],
        args,
        loader=args.loader,
        channels_last=args.channels_last,
        train_seconds=clock.train,
        val_seconds=clock.val,
        setup_seconds=(clock.first_begin or end) - start,
        fit_seconds=end - start,
        test_accuracy=clock.accuracy,
    )


if __name__ == "__main__":
    main()
