"""A state dict: names and tensors alone, of a network that timm knows by name. Shapes: B rows, C channels, H, W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput, Finding
from ...imported import Imported, ImportSection, LayerRow, Scores
from ...transfer import Source, load_weights, named_alike, read_source, timm_settings
from ..image import ImageShape, image_body
from ..torch_file import SUFFIXES
from . import Format

__all__ = ["Weights"]

TIMM = "timm:"


class Weights(Format):
    """PyTorch's state dicts: `model=` says what they are of."""

    key = "weights"
    suffixes = frozenset((".safetensors", *SUFFIXES))
    usage = "weights.safetensors model=resnet18"

    @classmethod
    def read(cls, files: Sequence[Path], section: ImportSection, asked: Mapping[str, Any]) -> Imported:
        path = cls.one_file(files)
        if "model.name" not in asked:
            raise BadInput(f"{path}: weights say nothing of their network: name it, as timm does: model=resnet18")
        name = str(asked["model.name"]).removeprefix(TIMM)
        config, heads = _known(name)
        channels, height, width = config.input_size
        size = asked.get("image.size", (height, width))
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise BadInput(f"image.size={size}: sides of 1 and more are possible")
        picture = asked.get("image.channels", channels), height, width
        tensors = dict(read_source(str(path)).tensors())
        description = {"format": cls.key, "name": name, "picture": list(picture)}
        first = cls.network({**description, "num_classes": config.num_classes})
        num_classes = _num_classes(first, heads, tensors, path)
        network = cls.network({**description, "num_classes": num_classes}).eval()
        found = load_weights(network, (), Source(path.name, lambda: tensors))
        shares = (_per_channel(own, picture[0]) for own in (config.mean, config.std))
        mean, std = section.standardisation(picture[0], *shares)
        scores = Scores(network, description, picture, num_classes, mean, std)
        findings = [_whole(found, path, name), *_assumed(section, name)]
        instead = f'timm.create_model("{name}")'
        return Imported(path.stem, _rows(network, picture), list(heads), scores, instead, findings)

    @classmethod
    def network(cls, description: Mapping[str, Any]) -> nn.Module:
        channels, height, width = description["picture"]
        shape = ImageShape(channels, height, width, int(description["num_classes"]), 0.0)
        return image_body(f"{TIMM}{description['name']}", shape)

    @staticmethod
    def for_pictures(description: Mapping[str, Any], picture: Sequence[int]) -> Mapping[str, Any]:
        return {**description, "picture": list(picture)}

    @staticmethod
    def with_outputs(description: Mapping[str, Any], old: int, new: int) -> Mapping[str, Any]:
        return {**description, "num_classes": new}


def _known(name: str) -> tuple[Any, tuple[str, ...]]:
    """timm's settings for a network, and the names of its modules that answer. Raises BadInput."""
    config = timm_settings(name, f"model={name}")
    if not config.classifier:
        raise BadInput(f"model={name}: no network of image classification")
    return config, (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier)


def _num_classes(network: nn.Module, heads: Sequence[str], tensors: Mapping[str, Tensor], path: Path) -> int:
    """For how many classes the file's last matrix is."""
    names = named_alike(network.state_dict(), tensors)
    weight = names.get(f"{heads[0]}.weight")
    if weight is None or tensors[weight].dim() < 2 or tensors[weight].shape[0] < 2:
        shown = ", ".join(list(tensors)[:5])
        raise BadInput(f"{path}: no matrix {heads[0]}.weight of the classes; it holds {len(tensors)} tensors: {shown}")
    return int(tensors[weight].shape[0])


def _per_channel(own: Sequence[float], channels: int) -> list[float]:
    """timm's shares of each channel, in 0..255."""
    shares = list(own) if len(own) == channels else [sum(own) / len(own)] * channels
    return [round(255 * share, 3) for share in shares]


def _whole(found: Finding, path: Path, name: str) -> Finding:
    """An error where anything of the network would be left as it was drawn."""
    lacking = [key for key in found.evidence["new"] if not key.endswith("num_batches_tracked")]
    if not lacking and not found.evidence["mismatched"]:
        return found
    return Finding("weights-missing", "error", found.message, found.evidence, f"is it {name} that {path.name} is of?")


def _assumed(section: ImportSection, name: str) -> list[Finding]:
    if section.says_pixels():
        return []
    message = f"pixels are prepared as timm prepares them for {name}, since neither mean= nor std= says otherwise"
    return [Finding("pixels-assumed", "note", message)]


@torch.no_grad()
def _rows(network: nn.Module, picture: Sequence[int]) -> list[LayerRow]:
    """Layers with weights, in the order in which they run."""
    rows: list[LayerRow] = []

    def note(name: str, module: nn.Module, made: Any) -> None:
        shapes = tuple(tuple(one.shape) for one in (made if isinstance(made, tuple) else (made,)) if one is not None)
        rows.append(LayerRow(name, type(module).__name__, shapes, sum(p.numel() for p in module.parameters())))

    hooks = [
        module.register_forward_hook(lambda module, _, made, name=name: note(name, module, made))
        for name, module in network.named_modules()
        if list(module.parameters(recurse=False)) and not list(module.children())
    ]
    try:
        network(torch.zeros(1, *picture))
    finally:
        for hook in hooks:
            hook.remove()
    return rows
