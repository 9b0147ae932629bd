"""Attention of several heads (Vaswani et al., 2017). N rows, T queries, S keys, D width, H heads, K width of a key."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import KerasModule, Variable

__all__ = ["multi_head_attention"]


class _Product(KerasModule):
    """A product with a matrix of three sides, as Keras's EinsumDense keeps it."""

    kernel: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, shape: tuple[int, ...], made: int, biased: bool) -> None:
        super().__init__()
        self._made = made
        self.add_variables([Variable("kernel", shape)])
        if biased:
            self.add_variables([Variable("bias", shape[-made:])])

    def forward(self, x: Tensor) -> Tensor:
        taken = self.kernel.dim() - self._made
        found: Tensor = torch.tensordot(x, self.kernel, taken)
        return found if self.bias is None else found + self.bias


class _MultiHeadAttention(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1, 3)
        spec.dims(3)
        shapes = dict(zip(("query", "value", "key"), spec.shapes, strict=False))
        shapes |= {name: shape for name, shape in spec.options.items() if shape is not None}  # as Keras 2 calls it
        heads, width = spec.integer("num_heads"), spec.integer("key_dim")
        value_width = spec.integer("value_dim", width)
        biased = spec.flag("use_bias", True)
        said = spec.said("output_shape")
        if said is not None and (not isinstance(said, list | int) or (isinstance(said, list) and len(said) != 1)):
            raise spec.layer.wrong(f"output_shape is {str(said)[:80]}")
        for name in ("query", "value", "key"):
            spec.said(f"{name}_shape")  # which Keras 2 writes down beside what is known of the tensors
        if spec.said("attention_axes") not in (None, [1], [-2]):
            raise spec.layer.wrong(f"attention_axes is {str(spec.said('attention_axes'))[:80]}")
        made = shapes["query"][-1] if said is None else int(prod(said) if isinstance(said, list) else said)
        value = shapes.get("value", shapes["query"])
        self.query = _Product((shapes["query"][-1], heads, width), 2, biased)
        self.key = _Product((shapes.get("key", value)[-1], heads, width), 2, biased)
        self.value = _Product((value[-1], heads, value_width), 2, biased)
        self.output = _Product((heads, value_width, made), 1, biased)
        self._prefix = "_" if spec.version < 3 else ""  # of their places in a .keras file
        self._dropout = spec.real("dropout", 0.0)
        if not 0 <= self._dropout <= 1:
            raise spec.layer.wrong(f"dropout is {self._dropout}")

    def parts(self) -> list[tuple[str, KerasModule]]:
        return [(f"{self._prefix}{name}_dense", getattr(self, name)) for name in ("query", "key", "value", "output")]

    def forward(
        self, query: Tensor, value: Tensor | None = None, key: Tensor | None = None, use_causal_mask: bool = False
    ) -> Tensor:
        value = query if value is None else value
        heads = (self.query(query), self.key(value if key is None else key), self.value(value))
        q, k, v = (part.transpose(1, 2) for part in heads)  # (N, H, T, K)
        dropout = self._dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=use_causal_mask)
        answer: Tensor = self.output(found.transpose(1, 2))
        return answer


@register("MultiHeadAttention", options=("value", "key", "use_causal_mask"))
def multi_head_attention(spec: Spec) -> KerasModule:
    """(N, T, D), and values and keys (N, S, D), to (N, T, D)."""
    return _MultiHeadAttention(spec)
