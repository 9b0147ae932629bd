"""Detectors of Hugging Face's transformers that answer a set of boxes: D-FINE and the RT-DETR family.

Shapes: B pictures, C channels, H, W; Q queries, S steps of the decoder, K classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..finding import BadInput
from .hf import FromHub, hub_network

__all__ = ["HFDetector"]

STRIDE = 32  # sides are padded to whole multiples of it


class HFDetector(FromHub):
    """`model(image=x)`: (B, 3, H, W) in 0..255 to `logits` (B, Q, K) and `boxes` (B, Q, 4), x1, y1, x2, y2 in shares.

    In training also what each step of the decoder says, `step_logits` (B, S, Q, K) and `step_boxes` (B, S, Q, 4).
    """

    KIND = "AutoModelForObjectDetection"

    def __init__(self, config: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        labels = {number: str(number) for number in range(num_classes)}
        named = {"id2label": labels, "label2id": {label: number for number, label in labels.items()}}
        self.network: nn.Module = hub_network(self.KIND, {**config, **named, "num_denoising": 0}, "eager")
        if not hasattr(self.network, "model") or not hasattr(self.network.config, "num_queries"):
            raise BadInput(f"a {config.get('model_type')} is no detector of sets: D-FINE, RT-DETR and its heirs are")

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[2:]
        pad_x, pad_y = -width % STRIDE, -height % STRIDE
        pixels = F.pad(image / 255, (0, pad_x, 0, pad_y))
        with _traceable(self.network):
            found = self.network(pixel_values=pixels)
        grown = torch.tensor([1 + pad_x / width, 1 + pad_y / height] * 2, device=image.device)
        outputs = {"logits": found.logits, "boxes": _corners(found.pred_boxes) * grown}
        if self.training:
            steps = [found.intermediate_logits, found.enc_topk_logits[:, None]]
            boxes = [found.intermediate_reference_points, found.enc_topk_bboxes[:, None]]
            outputs |= {"step_logits": torch.cat(steps, 1), "step_boxes": _corners(torch.cat(boxes, 1)) * grown}
        return outputs


def _corners(boxes: Tensor) -> Tensor:
    """Centre and size (..., 4) to x1, y1, x2, y2."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


@contextmanager
def _traceable(network: nn.Module) -> Iterator[None]:
    """While a network is traced for export, replace what the tracer cannot follow in the library's module.

    It checks shapes by an operator that ONNX has not, and takes `len` of a batch, which would make its size a constant.
    """
    module: Any = sys.modules[type(network).__module__]
    if not torch.compiler.is_exporting():
        yield
        return
    check = getattr(module, "torch_compilable_check", None)
    module.torch_compilable_check = lambda *arguments, **keys: None
    module.len = lambda value: value.shape[0] if isinstance(value, Tensor) else len(value)
    try:
        yield
    finally:
        del module.len
        if check is not None:
            module.torch_compilable_check = check
