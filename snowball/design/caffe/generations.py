"""Definitions of Caffe's first two generations (`layers { ... }`, before 2015) as those of the third.

Source: Caffe's own rules of upgrading (upgrade_proto). Blobs keep their order over all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...finding import BadInput, nearest
from .registry import Layer
from .schema import V0_TYPES, V1_TYPES

__all__ = ["merge_padding", "upgrade_layer"]

# Field of a layer of the first generation -> message and field of the third, by the layer's old type.
_V0_FIELDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "conv": (
        "convolution_param",
        {
            "num_output": "num_output",
            "biasterm": "bias_term",
            "weight_filler": "weight_filler",
            "bias_filler": "bias_filler",
            "pad": "pad",
            "kernelsize": "kernel_size",
            "group": "group",
            "stride": "stride",
        },
    ),
    "innerproduct": (
        "inner_product_param",
        {
            "num_output": "num_output",
            "biasterm": "bias_term",
            "weight_filler": "weight_filler",
            "bias_filler": "bias_filler",
        },
    ),
    "pool": ("pooling_param", {"pool": "pool", "pad": "pad", "kernelsize": "kernel_size", "stride": "stride"}),
    "dropout": ("dropout_param", {"dropout_ratio": "dropout_ratio"}),
    "lrn": ("lrn_param", {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}),
    "concat": ("concat_param", {"concat_dim": "concat_dim"}),
    "padding": ("padding", {"pad": "pad"}),
    **dict.fromkeys(
        ("data", "images", "window_data", "hdf5_data"),
        ("transform_param", {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}),
    ),
}
_REPEATED = ("pad", "kernel_size", "stride")  # of a convolution


def upgrade_layer(said: Mapping[str, Any], line: int, source: str) -> dict[str, Any]:
    """What a layer in `layers` says, in the words of one in `layer`."""
    names = [{"name": name} for name in said.get("param", ())]
    if "layer" in said:
        found = _upgrade_first(said["layer"], line, source)
        return {**found, "bottom": said.get("bottom", []), "top": said.get("top", [])}
    kind = str(said.get("type", ""))
    if kind not in V1_TYPES and kind not in V1_TYPES.values():
        raise BadInput(f"{source}, line {line}: layers of type {kind!r} are not known{nearest(kind, V1_TYPES)}")
    dropped = ("blob_share_mode", "blobs_lr", "weight_decay")
    rest = {name: value for name, value in said.items() if name not in dropped}
    return {**rest, "type": V1_TYPES.get(kind, kind), "param": names}


def _upgrade_first(said: Mapping[str, Any], line: int, source: str) -> dict[str, Any]:
    kind = str(said.get("type", ""))
    if kind not in V0_TYPES:
        raise BadInput(f"{source}, line {line}: layers of type {kind!r} are not known{nearest(kind, V0_TYPES)}")
    message, names = _V0_FIELDS.get(kind, ("", {}))
    own = {new: said[old] for old, new in names.items() if old in said}
    if message == "convolution_param":
        own = {name: [value] if name in _REPEATED else value for name, value in own.items()}
    found: dict[str, Any] = {"name": said.get("name", ""), "type": V0_TYPES[kind]}
    return {**found, **({message: own} if message else {})}


def merge_padding(layers: list[Layer]) -> list[Layer]:
    """Without the padding layers of the first generation: the convolutions behind them pad."""
    pads = {layer.tops[0]: layer for layer in layers if layer.type == "padding" and layer.tops and layer.bottoms}
    found = []
    for layer in layers:
        if layer.type == "padding":
            continue
        if layer.bottoms and layer.bottoms[0] in pads and layer.type in ("Convolution", "Pooling"):
            padding = pads[layer.bottoms[0]]
            pad = padding.parameters.get("padding", {}).get("pad", 0)
            name = "convolution_param" if layer.type == "Convolution" else "pooling_param"
            own = {**layer.parameters.get(name, {}), "pad": [pad] if layer.type == "Convolution" else pad}
            layer = replace(layer, bottoms=padding.bottoms[:1], parameters={**layer.parameters, name: own})
        found.append(layer)
    return found
