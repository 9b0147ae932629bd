"""Hugging Face Trainer with GPT2LMHeadModel of the same size as nanoGPT's CPU setting, evaluation outside the timing.

GPT-2's own biases and tanh GELU stay, as a user of GPT2Config gets them. Logged every 10 steps, progress bar off.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np
import torch
from peer_common import report
from text_common import (
    BATCH,
    BETAS,
    BLOCK,
    CLIP,
    DECAY,
    HEADS,
    LAYERS,
    LR,
    MIN_LR,
    VOCABULARY,
    WARMUP,
    WIDTH,
    Tokens,
    load_text,
    parser,
    val_blocks,
)
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)


class Blocks(Dataset[dict[str, Tensor]]):
    """Every window of T tokens; the Trainer's random sampler picks from them. The model shifts the labels itself."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = torch.from_numpy(tokens.astype(np.int64))

    def __len__(self) -> int:
        return len(self.tokens) - BLOCK

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        block = self.tokens[index : index + BLOCK]
        return {"input_ids": block, "labels": block}


class Clock(TrainerCallback):
    """Seconds per step, by chunks of steps."""

    def __init__(self, chunk: int) -> None:
        self.chunk = chunk
        self.seconds: list[float] = []
        self.begin = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begin = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.chunk == 0:
            now = time.perf_counter()
            self.seconds.append((now - self.begin) / self.chunk)
            self.begin = time.perf_counter()


def main() -> None:
    """Train, validate at the end, report."""
    args = parser(__doc__).parse_args()
    torch.set_num_threads(args.threads)
    text = load_text(args.data)
    torch.manual_seed(args.seed)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=BLOCK,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    model = GPT2LMHeadModel(config)
    clock = Clock(args.chunk)
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            max_steps=args.max_steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LR,
            weight_decay=DECAY,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            max_grad_norm=CLIP,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr": MIN_LR},
            warmup_steps=WARMUP,
            logging_steps=10,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=args.seed,
        )
        trainer = Trainer(
            model=model,
            args=options,
            train_dataset=Blocks(text.train),
            data_collator=default_data_collator,
            callbacks=[clock],
        )
        trainer.train()

    val_loss = None
    if not args.no_eval:
        model.eval()
        inputs, targets = (torch.from_numpy(part) for part in val_blocks(text.val))
        with torch.no_grad():
            total = sum(
                torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten()).item() * len(x)
                for x, y in zip(inputs.split(64), targets.split(64), strict=True)
            )
        val_loss = total / len(inputs)
    report(
        "hf-trainer",
        ["torch", "transformers", "accelerate", "numpy"],
        args,
        attention=model.config._attn_implementation,
        optimizer=str(options.optim),
        parameters=sum(p.numel() for p in model.parameters()),
        seconds_per_step=clock.seconds,
        val_loss=val_loss,
    )


if __name__ == "__main__":
    main()
