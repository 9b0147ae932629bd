"""Keras: model.fit on in-memory arrays with its default progress bar. KERAS_BACKEND chooses the backend.

Run once per backend, each in its own process:
KERAS_BACKEND=tensorflow|jax|torch python keras_mnist.py --data DIR --batch-size B --epochs E --seed S
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from peer_common import EVAL_BATCH, check_parameters, load_mnist, parser, report

# By backend: its package, steps_per_execution (torch only has 1, jax gains nothing), its fastest image format.
DEFAULTS = {
    "tensorflow": ("tensorflow-cpu", 10, "channels_last"),
    "jax": ("jax", 1, "channels_last"),
    "torch": ("torch", 1, "channels_first"),
}
JIT: dict[str, str | bool] = {"auto": "auto", "on": True, "off": False}


class Clock(keras.callbacks.Callback):
    """Training and validation time of each epoch. No per-batch hook, so that fit is not slowed down."""

    def __init__(self) -> None:
        super().__init__()
        self.train: list[float] = []
        self.val: list[float] = []
        self.begin = 0.0
        self.first_begin: float | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.begin = time.perf_counter()
        self.first_begin = self.first_begin or self.begin

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        keras.ops.convert_to_numpy(self.model.trainable_variables[0])  # waits for the last step where it is async
        now = time.perf_counter()
        self.train.append(now - self.begin)
        self.begin = now

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self.val.append(time.perf_counter() - self.begin)


def main() -> None:
    """Train, validate after each epoch, report."""
    backend = keras.backend.backend()
    package, steps_per_execution, data_format = DEFAULTS[backend]
    p = parser(__doc__)
    p.add_argument("--jit", choices=sorted(JIT), default="auto", help="compile's jit_compile")
    p.add_argument("--steps-per-execution", type=int, default=steps_per_execution, help="compile's own")
    p.add_argument("--data-format", choices=["channels_first", "channels_last"], default=data_format)
    args = p.parse_args()
    if backend == "torch":
        import torch

        torch.set_num_threads(args.threads)
    keras.utils.set_random_seed(args.seed)
    keras.config.set_image_data_format(args.data_format)
    channel = 1 if args.data_format == "channels_first" else 3

    data = load_mnist(args)
    train_x = np.expand_dims(data.train_x, channel).astype("float32") / 255
    test_x = np.expand_dims(data.test_x, channel).astype("float32") / 255
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(train_x.shape[1:]),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    check_parameters(model.count_params())
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=JIT[args.jit],
        steps_per_execution=args.steps_per_execution,
    )
    clock = Clock()
    start = time.perf_counter()
    history = model.fit(
        train_x,
        data.train_y,
        batch_size=args.batch_size,
        epochs=args.epochs,
        validation_data=(test_x, data.test_y),
        validation_batch_size=EVAL_BATCH,
        callbacks=[clock],
    ).history
    end = time.perf_counter()
    report(
        f"keras-{backend}",
        ["keras", package, "numpy"],
        args,
        jit_compile=model.jit_compile,
        steps_per_execution=args.steps_per_execution,
        data_format=args.data_format,
        train_seconds=clock.train,
        val_seconds=clock.val,
        setup_seconds=(clock.first_begin or end) - start,
        fit_seconds=end - start,
        train_accuracy=history["accuracy"],
        test_accuracy=history["val_accuracy"],
    )


if __name__ == "__main__":
    main()
