"""A loop and a network in the style of karpathy/nanoGPT (train.py, model.py) in its README's CPU setting.

Eager unless --compile. The loss is read every 10 iterations; evaluation is outside what is timed.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
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
    VOCABULARY,
    WIDTH,
    load_text,
    lr_at,
    parser,
    val_blocks,
)
from torch import Tensor
from torch.nn import functional as F

LOG_INTERVAL = 10
DROPOUT = 0.0


class LayerNorm(nn.Module):
    """LayerNorm with an optional bias."""

    def __init__(self, ndim: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(ndim))
        self.bias = nn.Parameter(torch.zeros(ndim)) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.weight.shape, self.weight, self.bias, 1e-5)


class CausalSelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.c_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.resid_dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(WIDTH, dim=2)
        k = k.view(B, T, HEADS, C // HEADS).transpose(1, 2)  # (B, nh, T, hs)
        q = q.view(B, T, HEADS, C // HEADS).transpose(1, 2)
        v = v.view(B, T, HEADS, C // HEADS).transpose(1, 2)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None, dropout_p=DROPOUT if self.training else 0, is_causal=True
        )
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        out: Tensor = self.resid_dropout(self.c_proj(y))
        return out


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH, bias=False)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.gelu(self.c_fc(x))
        out: Tensor = self.dropout(self.c_proj(hidden))
        return out


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(WIDTH, bias=False)
        self.attn = CausalSelfAttention()
        self.ln_2 = LayerNorm(WIDTH, bias=False)
        self.mlp = MLP()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(VOCABULARY, WIDTH),
                "wpe": nn.Embedding(BLOCK, WIDTH),
                "drop": nn.Dropout(DROPOUT),
                "h": nn.ModuleList([Block() for _ in range(LAYERS)]),
                "ln_f": LayerNorm(WIDTH, bias=False),
            }
        )
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self._init_weights)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * LAYERS))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device)
        tok_emb = self.transformer.wte(idx)
        pos_emb = self.transformer.wpe(pos)
        x = self.transformer.drop(tok_emb + pos_emb)
        for block in self.transformer.h:
            x = block(x)
        x = self.transformer.ln_f(x)
        logits = self.lm_head(x)
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss

    def configure_optimizers(self) -> torch.optim.AdamW:
        params = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in params if p.dim() >= 2], "weight_decay": DECAY},
            {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=LR, betas=BETAS)  # nanoGPT asks for fused=True on CUDA only


def get_batch(path: Path) -> tuple[Tensor, Tensor]:
    """Random slices; the memory map is opened anew every time, as nanoGPT does against a leak."""
    data = np.memmap(path, dtype=np.uint16, mode="r")
    ix = torch.randint(len(data) - BLOCK, (BATCH,))
    x = torch.stack([torch.from_numpy(data[i : i + BLOCK].astype(np.int64)) for i in ix])
    y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + BLOCK].astype(np.int64)) for i in ix])
    return x, y


def main() -> None:
    """Train, validate at the end, report."""
    p = parser(__doc__)
    p.add_argument("--compile", action="store_true", help="torch.compile the network, as nanoGPT's compile=True")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1337 + args.seed)
    text = load_text(args.data)
    model: nn.Module = GPT()
    optimizer = model.configure_optimizers()
    raw_model = model
    if args.compile:
        model = torch.compile(model)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.bin")
        text.train.tofile(path)
        X, Y = get_batch(path)
        begin = time.perf_counter()
        for step in range(args.max_steps):
            lr = lr_at(step, args.max_steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            _, loss = model(X, Y)
            X, Y = get_batch(path)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if step % LOG_INTERVAL == 0:
                lossf = loss.item()
            if (step + 1) % args.chunk == 0:
                now = time.perf_counter()
                seconds.append((now - begin) / args.chunk)
                begin = time.perf_counter()

    val_loss = None
    if not args.no_eval:
        raw_model.eval()
        inputs, targets = (torch.from_numpy(part) for part in val_blocks(text.val))
        with torch.no_grad():
            total = sum(
                raw_model(x, y)[1].item() * len(x) for x, y in zip(inputs.split(64), targets.split(64), strict=True)
            )
        val_loss = total / len(inputs)
    report(
        "nanogpt-style",
        ["torch", "numpy"],
        args,
        compile=args.compile,
        parameters=sum(p.numel() for p in raw_model.parameters()),
        seconds_per_step=seconds,
        train_loss=lossf,
        val_loss=val_loss,
    )


if __name__ == "__main__":
    main()
