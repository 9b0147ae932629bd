"""Where a training begins: weights of a run, of a file or of timm, and the preprocessing that they were made for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .finding import BadInput, Finding, listed, nearest
from .registry import kinds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .schema import Schema
    from .task import Task

__all__ = ["BACKBONE", "Source", "load_weights", "named_alike", "read_source", "timm_settings", "within"]

BACKBONE = 0.9  # of a backbone's numbers that have to be loaded: less is a network of another make
TIMM = "timm:"


@dataclass(frozen=True)
class Source:
    """Weights by name, read when they are asked for, with what they need to be used as they were trained."""

    name: str
    tensors: Callable[[], Mapping[str, Tensor]]
    values: Mapping[str, Any] = field(default_factory=dict)
    """Recipe values that its network was built with, as dotted keys."""
    states: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """role -> kind and (part of) its state: sizes, statistics, vocabulary."""

    def defaults(self, task: type[Task]) -> dict[str, Any]:
        """Those of its recipe values that a recipe of this task has: what is asked goes before them."""
        known = {f"{section.key}.{field}" for section in task.section_types() for field in section.model_fields}
        return {key: value for key, value in self.values.items() if key in known}

    def onto(self, schema: Schema, task: type[Task], asked: Mapping[str, Any]) -> tuple[Schema, list[Finding]]:
        """The schema with the source's preprocessing, and a finding for each role whose own was asked for.

        What only the source's state holds, such as the description of an imported network, comes along in any case.
        """
        columns, findings = dict(schema.columns), []
        for role, key in task.given.items():
            kind, state = self.states.get(role, ("", {}))
            if kind != key:
                continue
            own = columns[role].state
            keys = {f"{part.key}.{name}" for part in kinds()[key].sections for name in part.model_fields}
            differing = {name: [own.get(name), value] for name, value in state.items() if own.get(name) != value}
            if wanted := sorted(name for name in keys & asked.keys() if self._differs(name, asked[name])):
                if differing:
                    message = f"{', '.join(wanted)}: {role} is encoded otherwise than for {self.name}"
                    fix = "leave these keys to init, whose preprocessing travels with its weights"
                    findings.append(Finding("preprocessing-mismatch", "warning", message, _brief(differing), fix))
                columns[role] = replace(columns[role], state={**state, **own})
                continue
            columns[role] = replace(columns[role], state={**own, **state})
        return replace(schema, columns=columns), findings

    def _differs(self, key: str, value: Any) -> bool:
        return not key.startswith("augment.") and self.values.get(key, value) != value


def _brief(differing: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Own and the source's values, of those that can be shown in a line."""
    return {name: both for name, both in differing.items() if len(str(both)) < 200} or {"differ": sorted(differing)}


def read_source(init: str) -> Source:
    """A run folder, `timm:NAME`, or a file of tensors. Raises BadInput where it is none."""
    if init.startswith(TIMM):
        return _timm_source(init)
    path = Path(init)
    if path.is_dir():
        return _run_source(path)
    if not path.is_file():
        raise BadInput(f"init={init}: no such run folder or file; timm:NAME takes timm's weights")
    if path.suffix == ".safetensors":
        return Source(str(path), lambda: _safe_tensors(path))
    from .design.torch_file import SUFFIXES, read_torch_file

    if path.suffix in SUFFIXES:
        return Source(str(path), lambda: read_torch_file(path))
    raise BadInput(f"init={init}: weights are read from .safetensors and {', '.join(sorted(SUFFIXES))} files")


def _run_source(path: Path) -> Source:
    from .recipe import flatten
    from .run import Run
    from .weights import read_weights

    run = Run(path)
    task = run.task_type
    given = [section for kind in task.given.values() for section in kinds()[kind].sections]
    keys = {section.key for section in (*given, *task.sections)} - {"augment"}
    values = flatten({name: part for name, part in run.recipe.to_dict().items() if name in keys | {"model"}})
    states = {role: (run.schema.columns[role].kind, run.schema.columns[role].state) for role in task.given}
    return Source(str(path), lambda: read_weights(path / "model.safetensors"), values, states)


def timm_settings(name: str, asked: str) -> Any:
    """timm's settings of one of its networks. Raises BadInput, which begins with what was `asked`."""
    import timm  # 4 to 10 s to import: only for its own networks

    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        close = nearest(name.partition(".")[0], timm.list_models())
        raise BadInput(f"{asked}: timm {timm.__version__} has no such network{close}")
    return config


def _timm_source(init: str) -> Source:
    name = init.removeprefix(TIMM)
    config = timm_settings(name, f"init={init}")

    def tensors() -> Mapping[str, Tensor]:
        import timm

        try:
            return dict(timm.create_model(name, pretrained=True).state_dict())
        except Exception as error:  # whatever the hub's client raises without a network, or without such weights
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(f"init={init}: its weights cannot be had ({reason})") from error

    channels, height, width = config.input_size
    state = {
        "channels": channels,
        "mean": [round(255 * share, 3) for share in config.mean],
        "std": [round(255 * share, 3) for share in config.std],
    }
    values = {"model.name": init, "image.size": (height, width), "image.channels": channels}
    return Source(init, tensors, values, {"image": ("image", state)})


def _safe_tensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a safetensors file, or a damaged one ({error})") from error


def load_weights(model: nn.Module, head: Sequence[str], source: Source) -> Finding:
    """Load what fits by name and shape; says what was loaded, what is new, and what is of another shape.

    The finding is an error below BACKBONE of the numbers outside the modules `head`. A whole prefix may differ,
    such as the `module.` of a network that was trained on several GPUs, or the name under which a backbone stands here.
    """
    own, theirs = model.state_dict(), dict(source.tensors())
    renamed = named_alike(own, theirs)
    loaded = {name: theirs[other] for name, other in renamed.items() if theirs[other].shape == own[name].shape}
    for name, value in loaded.items():
        if value.is_floating_point() and bool(value.isnan().any()):
            raise BadInput(f"{source.name}: {renamed[name]!r} holds what is no number: damaged?")
    model.load_state_dict(loaded, strict=False)
    mismatched = {name: [list(own[name].shape), list(theirs[renamed[name]].shape)] for name in renamed.keys() - loaded}
    new = sorted(own.keys() - renamed.keys())
    backbone = {name: value.numel() for name, value in own.items() if not within(name, head)}
    share = sum(backbone[name] for name in loaded if name in backbone) / max(1, sum(backbone.values()))
    message = f"{source.name}: {share:.1%} of the backbone's numbers are loaded ({len(loaded)} tensors)"
    unused = sorted(theirs.keys() - set(renamed.values()))
    for words, names in (("new", new), ("of another shape", sorted(mismatched)), ("not taken up", unused)):
        message += f"; {words}: {listed(names)}" if names else ""
    evidence = {"share": share, "loaded": sorted(loaded), "new": new, "mismatched": mismatched, "unused": unused}
    if share < BACKBONE:
        fix = "name the network that these weights are of: model=NAME"
        return Finding("weights-missing", "error", message, evidence, fix)
    return Finding("weights-loaded", "note", message, evidence)


def within(name: str, parts: Sequence[str]) -> bool:
    """Whether a module or a tensor is one of these modules or stands in one.

    >>> within("head.1.weight", ["head"]), within("header", ["head"])
    (True, False)
    """
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def named_alike(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """Own name -> their name, under the change of prefix by which the most tensors fit."""
    best: dict[str, str] = {}
    most = -1
    for added in _prefixes(own):
        for dropped in _prefixes(theirs):
            pairs = {
                name: dropped + name.removeprefix(added)
                for name in own
                if name.startswith(added) and dropped + name.removeprefix(added) in theirs
            }
            fitting = sum(own[name].shape == theirs[other].shape for name, other in pairs.items())
            if fitting > most:
                best, most = pairs, fitting
    return best


def _prefixes(names: Iterable[str]) -> list[str]:
    """`""`, and the names of modules up to two deep, each with its dot; the shortest first."""
    parts = [name.split(".") for name in names]
    found = {".".join(part[:depth]) + "." for part in parts for depth in (1, 2) if len(part) > depth}
    return sorted({"", *found}, key=lambda prefix: (len(prefix), prefix))
