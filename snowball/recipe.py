"""Recipe: what you ask for. Frozen, typed, validated; every key documented; an unknown key names the nearest one.

A recipe is made of sections. The sections here belong to every task; a kind or a task declares its own beside its
code (`Kind.sections`, `Task.sections`), and `Recipe.build` puts them together. A key is written `section.field`;
the section may be left out where the field stands in one section only (`epochs=5`), and a section's own name stands
for its field `name` (`model=resnet18`). Sections may share a key, as the augmentations of two kinds do, where their
fields differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .finding import BadInput, nearest

__all__ = [
    "SHARED",
    "DataSection",
    "ModelSection",
    "OptimSection",
    "Recipe",
    "ScheduleSection",
    "Section",
    "TrainSection",
    "TransferSection",
    "parse_overrides",
    "resolve_key",
]


class Section(BaseModel):
    """A group of keys. Frozen; unknown keys are errors; the string under a field is its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)
    key: ClassVar[str]


class DataSection(Section):
    """Where the rows come from, which columns matter, and how they are split and cached."""

    key = "data"

    name: str = ""
    """What was given as DATA: a sample, a known data set, a path, or `hf:NAME`."""
    root: str | None = None
    """A folder that already holds the files of a known data set, so that nothing is downloaded."""
    given: str | None = None
    """The column the model sees. Default: the one column of the right kind."""
    inputs: str | None = None
    """Kinds of files that the model gets, of those there are: `audio`, `video` or `audio,video` of films. Default: all
    that the task of the columns takes."""
    answer: str | None = None
    """The column the model is to answer. Default: the one column of the right kind."""
    fold: str | None = None
    """Of a source that is a folder of folds, each of which holds train and test: the one to take."""
    group: str | None = None
    """Rows that share this column's value never stand on two sides of a split (a speaker, a patient, a session)."""
    hold_out: str | None = Field(None, pattern=r"^[^=]+=.+$")
    """`COLUMN=VALUE`, e.g. `speaker=anna`: the test rows are those with this value, whatever its split says."""
    split: Literal["random", "time"] = "random"
    """`time` takes the last rows for the test and those before them for validation: neighbours of a recording are
    near copies, and drawn at random they would stand on both sides."""
    val: float = Field(0.15, gt=0, lt=1)
    """The share of the training rows held out for validation, where the source gives no validation split."""
    test: float = Field(0.15, gt=0, lt=1)
    """The share of all rows held out for the test, where the source gives no test split."""
    max_bad: float = Field(0.01, ge=0, le=1)
    """Rows that cannot be read are set aside and named; above this share the run stops."""
    memory_gb: float = Field(2.0, gt=0)
    """Encoded rows are kept in memory up to this size; more than that stays in a file and is read batch by batch."""


class ModelSection(Section):
    """The network."""

    key = "model"

    name: str = "auto"
    """The network's name, or `timm:NAME` for any network of timm. `auto` lets the task choose; `imported` is the one
    that `snowball import` put into the run."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The share of the last hidden layer's features dropped while training."""


class TrainSection(Section):
    """The loop."""

    key = "train"

    epochs: int = Field(10, ge=1)
    """How many times every training row is seen."""
    steps: int | None = Field(None, ge=1)
    """Stop after this many steps of the optimiser, whatever `epochs` says; the schedule ends there too."""
    batch_size: int = Field(64, ge=1)
    """Rows in a step, before accumulation."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are averaged, weighted by their rows, into one step of the optimiser."""
    clip: float | None = Field(None, gt=0)
    """The largest gradient norm; longer gradients are scaled down to it."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, e.g. 0.999; the average is what is validated and kept."""
    patience: int = Field(0, ge=0)
    """Stop after this many epochs without a better validation metric. 0: never."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass. `auto` is bf16 on a GPU that has it, and fp32 on a CPU."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory layout of pictures. `auto` times a few steps of both on this machine, once."""
    compile: bool = False
    """Compile the training step with torch.compile. Pays on GPUs in long runs; measured slower for small CPU runs."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one."""
    seed: int = Field(0, ge=0, lt=2**62)
    """Fixes the split, the initial weights, the order of the data, the augmentation and the dropout."""
    preflight: bool = True
    """Check the task, the data and the network before step 0."""
    checkpoint_seconds: float = Field(15.0, ge=0)
    """At least this long between two checkpoints. 0: one after every step."""


class OptimSection(Section):
    """The optimiser."""

    key = "optim"

    name: Literal["sgd", "adam", "adamw", "muon"] = "adamw"
    """`muon` orthogonalises the updates of hidden matrices and uses AdamW for everything else."""
    lr: float | None = Field(None, gt=0)
    """Peak learning rate. Default: sgd 0.05, adam and adamw 0.001, muon 0.02 (its AdamW part a twentieth of that)."""
    weight_decay: float | None = Field(None, ge=0)
    """Decay of matrices and kernels: decoupled in adamw and muon, an L2 penalty in sgd and adam. Never of biases
    and normalisation. Default: adamw and muon 0.05, sgd and adam 0."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of sgd and muon."""
    nesterov: bool = True
    """Nesterov's form of that momentum."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's and AdamW's two averages."""


class ScheduleSection(Section):
    """How the learning rate moves, as a factor of its peak."""

    key = "schedule"

    name: Literal["constant", "step", "cosine", "onecycle", "plateau"] = "cosine"
    """`onecycle` rises for `warmup`, then falls by a cosine; `plateau` falls when the validation loss stalls."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Linear rise over this share of all steps. `onecycle` uses 0.3 where this is 0."""
    floor: float = Field(0.0, ge=0, le=1)
    """The factor that cosine and onecycle end at, and that step and plateau never go below."""
    every: int = Field(10, ge=1)
    """`step`: epochs between two falls."""
    patience: int = Field(3, ge=1)
    """`plateau`: epochs without a lower validation loss before a fall."""
    gamma: float = Field(0.1, gt=0, lt=1)
    """`step` and `plateau`: the factor of one fall."""


class TransferSection(Section):
    """Training on from weights that were trained elsewhere."""

    key = "transfer"

    name: Literal["finetune", "features", "adapters", "full"] = "finetune"
    """`finetune`: what is below the head learns more slowly. `features`: it rests, in evaluation mode, and what it
    makes of the rows is computed once where the head comes last, without augmentation. `adapters`: it rests, and
    low-rank additions to its matrices learn, which are added in when weights are kept. `full`: all learns alike."""
    init: str | None = None
    """A run folder, a file (.safetensors, .pt, .pth) or `timm:NAME`. A run's preprocessing comes with its weights."""
    lower: float = Field(0.1, gt=0, le=1)
    """`finetune`: the share of the learning rate at the network's first stage; it rises to 1 at the head."""
    unfreeze: float = Field(0.0, ge=0)
    """`finetune`: epochs after which the last stage below the head begins to learn; each earlier one as much later."""
    rank: int = Field(8, ge=1, le=4096)
    """`adapters`: the rank of the additions (LoRA's r); each learns rank x (rows + columns) numbers."""
    norm: Literal["train", "frozen"] = "train"
    """Whether BatchNorm below the head learns statistics of the new data, or keeps those it came with."""


SHARED: tuple[type[Section], ...] = (
    *(DataSection, ModelSection, TrainSection, OptimSection, ScheduleSection),
    TransferSection,
)
_OPTIM_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "sgd": {"lr": 0.05, "weight_decay": 0.0},
    "adam": {"lr": 1e-3, "weight_decay": 0.0},
    "adamw": {"lr": 1e-3, "weight_decay": 0.05},
    "muon": {"lr": 0.02, "weight_decay": 0.05},
}
S = TypeVar("S", bound=Section)


class Recipe:
    """Sections by type: `recipe.train.epochs`, `recipe[ImageAugment].rotate`. Made by `Recipe.build`.

    >>> Recipe.build("image-classification", SHARED, {"train.epochs": 3}).train.epochs
    3
    """

    def __init__(self, task: str, sections: Iterable[Section], waive: Mapping[str, str]) -> None:
        self.task = task
        self.waive = dict(waive)
        self._sections = {type(section): section for section in sections}

    def __getitem__(self, section: type[S]) -> S:
        found = self._sections[section]
        assert isinstance(found, section)
        return found

    @property
    def data(self) -> DataSection:
        return self[DataSection]

    @property
    def model(self) -> ModelSection:
        return self[ModelSection]

    @property
    def train(self) -> TrainSection:
        return self[TrainSection]

    @property
    def optim(self) -> OptimSection:
        return self[OptimSection]

    @property
    def schedule(self) -> ScheduleSection:
        return self[ScheduleSection]

    @property
    def transfer(self) -> TransferSection:
        return self[TransferSection]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # how Python spells "unhashable"

    def replace(self, values: Mapping[str, Any]) -> Recipe:
        """The same recipe with some dotted keys changed. The recipe itself never changes."""
        return Recipe.build(self.task, tuple(self._sections), flatten(self.to_dict()), values)

    def to_dict(self) -> dict[str, Any]:
        """Every value, nested by section, JSON-able. `Recipe.build(task, types, flatten(d))` gives it back."""
        nested: dict[str, Any] = {}
        for kind, part in self._sections.items():
            nested.setdefault(kind.key, {}).update(part.model_dump(mode="json"))
        return {"task": self.task, **nested, "waive": self.waive}

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def build(cls, task: str, types: Iterable[type[Section]], *layers: Mapping[str, Any]) -> Recipe:
        """Make a recipe from layers of dotted keys; a later layer wins.

        Raises BadInput, naming the key, for an unknown key or a value of the wrong type or range.
        """
        types = tuple(types)
        nested: dict[str, dict[str, Any]] = {section.key: {} for section in types}
        waive: dict[str, str] = {}
        for layer in layers:
            for written, value in layer.items():
                if written == "task":
                    continue
                if written.startswith("waive."):
                    waive[written.removeprefix("waive.")] = str(value)
                    continue
                section, field = resolve_key(written, types).split(".")
                nested[section][field] = value
        parts = [
            {f: value for f, value in nested[section.key].items() if f in section.model_fields} for section in types
        ]
        built = [_build_section(section, part) for section, part in zip(types, parts, strict=True)]
        return cls(task, [_with_optim_defaults(section) for section in built], waive)


def _with_optim_defaults(section: Section) -> Section:
    if not isinstance(section, OptimSection):
        return section
    defaults = _OPTIM_DEFAULTS[section.name]
    return section.model_copy(update={key: value for key, value in defaults.items() if getattr(section, key) is None})


def _build_section(section: type[S], values: dict[str, Any]) -> S:
    for field, value in values.items():
        is_tuple = get_origin(section.model_fields[field].annotation) is tuple
        if is_tuple and isinstance(value, str):  # betas=0.8,0.9
            values[field] = value.split(",")
    try:
        return section(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0])
        wanted = first["msg"][0].lower() + first["msg"][1:]
        raise BadInput(f"recipe key {section.key}.{field}: {values.get(field)!r}: {wanted}") from error


def resolve_key(written: str, types: Iterable[type[Section]]) -> str:
    """The full `section.field` of a key as a person writes it.

    >>> resolve_key("epochs", SHARED), resolve_key("model", SHARED)
    ('train.epochs', 'model.name')
    """
    types = tuple(types)
    fields = {f"{section.key}.{field}" for section in types for field in section.model_fields}
    if written in fields:
        return written
    if f"{written}.name" in fields:
        return f"{written}.name"
    owners = sorted(full for full in fields if full.split(".")[1] == written)
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise BadInput(f"recipe key {written!r} stands in more than one section: write {' or '.join(owners)}")
    known = fields | {full.split(".")[1] for full in fields} | {section.key for section in types}
    raise BadInput(f"unknown recipe key {written!r}{nearest(written, sorted(known))}; docs/recipe.md lists them all")


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """`{"train": {"epochs": 3}}` as `{"train.epochs": 3}`; values that are not sections stay as they are."""
    flat: dict[str, Any] = {}
    for section, values in nested.items():
        if isinstance(values, Mapping):
            flat.update({f"{section}.{field}": value for field, value in values.items()})
        else:
            flat[section] = values
    return flat


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """`["train.epochs=3", "optim.lr=1e-3"]` as dotted keys with YAML values.

    >>> parse_overrides(["train.epochs=3", "model=lenet"])
    {'train.epochs': 3, 'model': 'lenet'}
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise BadInput(f"{word!r} is not key=value, e.g. train.epochs=10")
        try:
            values[key] = yaml.safe_load(text) if text else None
        except yaml.YAMLError as error:
            raise BadInput(f"{key}: {text!r} is not a YAML value") from error
    return values


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe.yaml as dotted keys."""
    try:
        nested = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(nested, dict):
        raise BadInput(f"{path}: not a recipe: its top level is not a mapping")
    return flatten(nested)
