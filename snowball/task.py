"""Task: which kinds are given and which is the answer, and the network between them.

A task is one file in `tasks/`, found by folder scan. Everything but `model` is put together from the kinds; a task
overrides what it does differently. Every capability is written against this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .answer import Answer
from .comparison import Condition, Control
from .finding import BadInput, Finding, nearest
from .kind import Absent, Batch, Block, Kind, Metric, Unreadable
from .recipe import SHARED, Recipe, Section
from .registry import kinds
from .roles import columns_of_roles
from .rows import Rows, readable
from .schema import ColumnSchema, Schema
from .table import Column, Table

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor, nn

    from .imported import Scores
    from .rng import SampleRandom

__all__ = ["Task"]


class Task(ABC):
    """A task bound to a recipe and to what the data taught; with a table it can also give its rows.

    given / answer     raw values of one row          inputs / targets   tensors by role
    outputs            what the model returns: a dict of tensors with B rows
    """

    name: ClassVar[str]
    given: ClassVar[Mapping[str, str]]
    """role -> kind of what the model sees."""
    answer: ClassVar[tuple[str, str]]
    """The role and the kind of what it is to answer."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """Given roles that a row can do without, as long as it has another."""
    sources: ClassVar[Mapping[str, str]] = {}
    """Role -> the role whose cell it is read from too: a film is one file for sound and picture."""
    sections: ClassVar[tuple[type[Section], ...]] = ()
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of recipe values: `preset=fast`."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Short words for keys of other sections, e.g. `source` for `data.given`."""
    causal: ClassVar[str | None] = None
    """The role whose entry t the outputs before t must not depend on, where there is one."""
    options_type: ClassVar[type[Section] | None] = None
    """What may be asked for at prediction time, such as how many tokens; never part of the recipe."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Methods of the network that `predict` calls, each a graph of its own when exported. None: one call is all."""
    streams: ClassVar[bool] = False
    """Whether `stream` gives an answer piece by piece."""
    sample: ClassVar[str]
    """The embedded sample that shows this task without a network."""
    quick: ClassVar[Mapping[str, Any]] = {"train.epochs": 3}
    """Recipe values with which a training on the sample takes seconds, and still learns: for the conformance suite."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Check of the conformance suite -> why this task fails it, see testing.py."""

    def __init__(
        self, recipe: Recipe, schema: Schema, table: Table | None = None, options: Section | None = None
    ) -> None:
        self.options = options or (self.options_type() if self.options_type else None)
        self.recipe = recipe
        self.schema = schema
        self.table = table
        self.rows_by_split: Mapping[str, Sequence[int]] = {}
        known = kinds()
        self.kinds: dict[str, Kind] = {
            role: known[column.kind](recipe, column.state) for role, column in schema.columns.items()
        }
        self.answer_role = self.answer[0]
        answer_kind = self.kinds[self.answer_role]
        assert isinstance(answer_kind, Answer)
        self.answer_kind: Answer = answer_kind
        answer_kind.options = self.options

    @classmethod
    def section_types(cls) -> tuple[type[Section], ...]:
        """Every section that a recipe of this task has."""
        own = [section for kind in (*cls.given.values(), cls.answer[1]) for section in kinds()[kind].sections]
        return (*SHARED, *dict.fromkeys(own), *cls.sections)

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Recipe values this task is best served by on such data, as dotted keys; `asked` (full keys) goes before."""
        return {}

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        """Values for the keys that were left to the task (`auto`), now that the data is known."""
        return {}

    @classmethod
    def networks(cls) -> dict[str, str]:
        """Name and one line of every network that `model=` takes; `hf:NAME` stands for all that begin with hf:."""
        return {}

    @classmethod
    def network_name(cls, asked: Mapping[str, Any], default: str) -> str:
        """The one of `networks` that is asked for. Raises BadInput, naming the nearest."""
        name = str(asked.get("model.name", "auto"))
        if name == "auto":
            return default
        networks = cls.networks()
        family, colon, _ = name.partition(":")
        if name not in networks and f"{family}{colon}NAME" not in networks:
            raise BadInput(f"model={name}: not one of {', '.join(networks)}{nearest(name, networks)}")
        return name

    @classmethod
    def build_options(cls, values: Mapping[str, Any]) -> Section | None:
        """What is asked of an answer, checked against what the task has. Raises BadInput, naming the key."""
        if cls.options_type is None:
            if values:
                raise BadInput(f"{cls.name} has no option {next(iter(values))!r}: its answers take none")
            return None
        return Recipe.build("", (cls.options_type,), values)[cls.options_type]

    @classmethod
    def adopt(cls, scores: Scores, asked: Mapping[str, Any], labels: Sequence[str]) -> tuple[Recipe, Schema] | None:
        """The recipe and the schema of a run whose network was trained elsewhere; None where it is not this task's.

        `model()` of a task that is made from them takes the imported network's weights.
        """
        return None

    @classmethod
    def arrange(cls, table: Table, recipe: Recipe) -> Table:
        """The table with the rows this task learns from, where they are not the rows of the source.

        Variants of rows, see Table.origins, stand behind the rows of the source.
        """
        return table

    @classmethod
    def choose_rows(cls, table: Table, recipe: Recipe, train_rows: Sequence[int]) -> Sequence[int]:
        """The rows that are learned from, sorted: training rows, or fewer, and variants of them."""
        return train_rows

    @classmethod
    def pick_columns(cls, table: Table, recipe: Recipe) -> dict[str, Column]:
        """role -> column: the one the recipe names, else the first of the right kind."""
        return columns_of_roles(cls.given, cls.answer, cls.name, table, recipe.data)

    @classmethod
    def fit(cls, table: Table, recipe: Recipe, train_rows: Sequence[int]) -> Schema:
        """Learn each column's state from training rows."""
        columns: dict[str, ColumnSchema] = {}
        for role, column in cls.pick_columns(table, recipe).items():
            kind = kinds()[column.kind if role in cls.given else cls.answer[1]]
            every = 1
            if kind.fit_rows is not None and role != cls.answer[0]:
                every = max(1, -(-len(train_rows) // kind.fit_rows))
            state = kind.fit(readable(kind, column, train_rows[::every]), recipe)
            columns[role] = ColumnSchema(column.name, kind.key, state)
        return Schema(cls.name, columns, origin=table.name)

    @property
    def metric(self) -> Metric:
        return self.answer_kind.metric

    @property
    def headline(self) -> Metric:
        """What an evaluation leads with."""
        return self.answer_kind.headline or self.metric

    def data(self, split: str) -> Rows:
        """The readable rows of a split as a sequence of (given, answer)."""
        if self.table is None:
            raise BadInput(f"the data of this {self.name} run is not at hand; give it: snowball evaluate RUN DATA")
        return Rows(self, self.table, self.rows_by_split[split])

    @classmethod
    def asked(cls) -> tuple[str, ...]:
        """The given roles that a person hands something over for."""
        return tuple(role for role in cls.given if role not in cls.sources)

    def read_given(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Raw values by role from a row's cells; None where one that is optional is absent. Raises Unreadable."""
        given: dict[str, Any] = {}
        missing: list[str] = []
        for role in self.given:
            try:
                given[role] = self.kinds[role].read(cells[role if role in cells else self.sources[role]])
            except Unreadable as reason:
                if not isinstance(reason, Absent) or role not in self.optional:
                    reason.role = self.sources.get(role, role)
                    raise
                given[role] = None
                missing.append(str(reason))
        if len(missing) == len(given):
            raise Absent(" and ".join(dict.fromkeys(missing)))
        return given

    def encode_given(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            role: self.kinds[role].nothing() if given[role] is None else self.kinds[role].encode(given[role])
            for role in self.given
        }

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One row as tensors. Pure and deterministic, so it is cached, and serving reuses it as it is."""
        return self.encode_given(given), {self.answer_role: self.answer_kind.encode(answer)}

    def augment(self, batch: Batch, rng: SampleRandom) -> Batch:
        """A random variant of a training batch; each given kind in turn may change inputs and targets."""
        for role in self.given:
            batch = self.kinds[role].augment(role, batch, rng, self)
        return batch

    def blend(self, targets: dict[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
        """Targets of samples that were mixed, see Follow."""
        return {role: self.answer_kind.blend(target, keep) for role, target in targets.items()}

    def warp(self, targets: dict[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        """Targets of pictures that were moved, see Follow."""
        return {role: self.answer_kind.warp(target, theta) for role, target in targets.items()}

    @abstractmethod
    def model(self) -> nn.Module:
        """A new network: tensors in, a dict of tensors out."""

    conditions_label: ClassVar[str] = ""
    """What the conditions' x is, in a few words."""
    conditions_note: ClassVar[str] = ""
    """What else there is to know of it."""

    def conditions(self) -> Sequence[Condition]:
        """Circumstances under which an evaluation scores the rows once more, each group over the same x."""
        return ()

    def control(self) -> Control | None:
        """A new network for the same inputs that is denied what the task is about.

        It is trained after the task's own, by the same loop and recipe, and evaluated on the same rows: where it does
        as well, what it was denied was not needed.
        """
        return None

    def begin(self, model: nn.Module) -> list[Finding]:
        """Give a new network weights from elsewhere, where the recipe says so; what is to be said of that."""
        return []

    def head(self, model: nn.Module) -> Sequence[str]:
        """Names of the modules that make answers of features, which are new where other answers are learned.

        Without a word of the task's own it is the last module with weights, not counting normalisation.
        """
        weighted: list[str] = [name for name, module in model.named_modules() if _has_matrix(module)]
        return weighted[-1:]

    @property
    def ordered(self) -> bool:
        """Whether the rows follow one another as in a recording, where neighbours are near copies."""
        return False

    @property
    def window(self) -> int | None:
        """Rows longer than this many entries are trained in windows, each of which begins where the last one ends."""
        return None

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Outputs for a batch. A task whose network sees the answer so far while it is trained overrides this."""
        outputs: dict[str, Tensor] = model(**batch.inputs)
        return outputs

    def loss(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """A scalar, the mean over what `count` counts."""
        return self.answer_kind.loss(outputs, batch.targets[self.answer_role])

    def focus(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """How much the outputs speak for the batch's targets: what an explanation is of."""
        return self.answer_kind.focus(outputs, batch.targets[self.answer_role])

    def count(self, batch: Batch) -> int | Tensor:
        """What the loss is the mean over: rows, or tokens. Losses that are put together are weighted with it."""
        return self.answer_kind.count(batch.targets[self.answer_role])

    def measure(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, tuple[Tensor, int | Tensor]]:
        """name -> (sum, count), additive over batches, processes and clients."""
        return self.answer_kind.measure(outputs, batch.targets[self.answer_role])

    def derive(self, means: dict[str, Any]) -> dict[str, float]:
        """Means of `measure` and of the loss with the metrics that follow from them added."""
        return self.answer_kind.derive(means)

    def predict(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `decode` reads, from encoded inputs.

        A task that generates step by step overrides this; it then calls nothing of the network but its `parts`, which
        an exported model has too.
        """
        return self.answer_kind.finish(model(**inputs))

    def explained(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        """Those inputs of a row that an explanation takes apart: all, unless a network sees only so many at once."""
        return self.encode_given(given)

    def own_targets(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the network itself answered, from what `predict` gave, as targets of B rows."""
        return {self.answer_role: self.answer_kind.as_target(outputs)}

    def without(self, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Targets of B rows of whose inputs something was hidden: what cannot be asked of them any more is left out."""
        return targets

    def stream(self, model: Any, given: Mapping[str, Any]) -> Iterator[str]:
        """The answer to one row's raw values, piece by piece, for a task that `streams`."""
        raise TypeError(f"{self.name} does not stream")

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Finished outputs as JSON-able answers."""
        return self.answer_kind.decode(outputs)

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        """Metrics of decoded predictions against raw answers."""
        return self.answer_kind.score(predictions, answers)

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> dict[str, tuple[float, float]]:
        """95 % intervals of those scores that need a way of their own."""
        return self.answer_kind.intervals(predictions, answers)

    def baseline(self) -> dict[str, Any]:
        """The best prediction that ignores the input: what a network has to beat."""
        return self.answer_kind.baseline()

    def constant_scores(self, answers: Sequence[Any]) -> dict[str, float]:
        """Each score as a constant answer reaches it; where no one constant is best by all, by the best for each."""
        return self.score([self.baseline()] * len(answers), answers)

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        """How wrong a prediction is: 0 when right, larger for worse."""
        return self.answer_kind.fault(prediction, answer)

    def caption(self, prediction: Mapping[str, Any]) -> str:
        """A decoded prediction in a few words."""
        return self.answer_kind.predicted_caption(prediction)

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        """Tables and plots for the report."""
        return self.answer_kind.blocks(predictions, answers)

    def playable(self, given: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """What a page can play of a row: a media type, and the file's bytes."""
        held = [(role, value) for role, value in given.items() if value is not None]
        return next((found for role, value in held if (found := self.kinds[role].playable(value))), None)

    def notes(self, given: Mapping[str, Any]) -> list[str]:
        """What a person should know of a row that is to be answered, such as what the network cannot see of it."""
        held = [(role, value) for role, value in given.items() if value is not None]
        return [note for role, value in held for note in self.kinds[role].notes(value)]

    def facts(self, given: Mapping[str, Any], answer: Any) -> dict[str, dict[str, Any]]:
        """role -> what an audit counts about a row; nothing of what is absent."""
        held = {role: value for role, value in {**given, self.answer_role: answer}.items() if value is not None}
        return {role: self.kinds[role].facts(value) for role, value in held.items()}

    def audit(self, facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
        """Findings on the facts of all readable rows, by role; what lies between roles is a task's to look for."""
        return [finding for role, kind in self.kinds.items() for finding in kind.audit(facts[role])]

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A decoded answer in terms of what a person gave, e.g. in pixels of that very picture."""
        return answer

    def draw(
        self, given: Mapping[str, Any], answer: Any = None, prediction: Mapping[str, Any] | None = None
    ) -> Image.Image | str:
        """A row as a report shows it: the first thing given, with the answer and the prediction drawn in."""
        role = next(role for role in self.given if given[role] is not None)
        shown = self.kinds[role].draw(given[role])
        return shown if isinstance(shown, str) else self.answer_kind.draw_on(shown, answer, prediction)


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
