"""Recurrent networks that read one way or both, and the attention of a recurrent decoder.

Shapes: B rows, T tokens, D width; S source tokens. A state is one tensor (B, parts, layers, D): rows first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attend", "Recurrent", "TwoWay", "reverse_rows"]

_CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """Layers of Elman, LSTM or GRU cells (`rnn`, `lstm` or `gru`): (B, T, D) -> (B, T, hidden)."""

    def __init__(self, cell: str, width: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.parts = 2 if cell == "lstm" else 1
        self.hidden, self.layers = hidden, layers
        between = dropout if layers > 1 else 0.0
        self.cells = _CELLS[cell](width, hidden, layers, batch_first=True, dropout=between)

    def empty_state(self, rows: Tensor) -> Tensor:
        """(B, parts, layers, hidden): nothing read so far, for as many rows as the tensor has."""
        weight: Tensor = self.cells.weight_hh_l0
        return rows.new_zeros((rows.shape[0], self.parts, self.layers, self.hidden), dtype=weight.dtype)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        held = state.permute(1, 2, 0, 3).contiguous()  # (parts, layers, B, hidden)
        if self.parts == 2:
            out, (last, memory) = self.cells(x, (held[0], held[1]))
            return out, torch.stack([last, memory]).permute(2, 0, 1, 3)
        out, last = self.cells(x, held[0])
        return out, last[None].permute(2, 0, 1, 3)


def reverse_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D) with each row's first `lengths[b]` entries in reverse order; its padding stays at the end."""
    steps = torch.arange(x.shape[1], device=x.device)
    back = lengths[:, None] - 1 - steps
    return x.gather(1, torch.where(back >= 0, back, steps)[:, :, None].expand_as(x))


class TwoWay(nn.Module):
    """Layers that read forwards and backwards, (B, T, D) -> (B, T, 2 x hidden): what a row says never depends on how
    much padding follows it, since the backward reading begins at the row's own end.
    """

    def __init__(self, cell: str, width: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [width, *([2 * hidden] * (layers - 1))][:layers]
        self.forwards = nn.ModuleList(Recurrent(cell, size, hidden, 1, 0.0) for size in sizes)
        self.backwards = nn.ModuleList(Recurrent(cell, size, hidden, 1, 0.0) for size in sizes)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        for number, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            x = self.drop(x) if number else x
            read, _ = ahead(x, ahead.empty_state(x))  # type: ignore[operator] # ModuleList tells no type of its members
            read_back, _ = back(reverse_rows(x, lengths), back.empty_state(x))  # type: ignore[operator] # ModuleList tells no type of its members
            x = torch.cat([read, reverse_rows(read_back, lengths)], 2)
        return x


class Attend(nn.Module):
    """Multiplicative attention and the layer that joins it with the state (Luong et al., 2015, equations 5 and 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, D), memory (B, S, D), mask (B, S) true where there is something: (B, T, D)"""
        held = memory[:, None]  # one head: exporters want the dimension
        seen = F.scaled_dot_product_attention(x[:, None], held, held, mask[:, None, None]).squeeze(1)
        return torch.tanh(self.join(torch.cat([seen, x], 2)))
