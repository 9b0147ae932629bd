"""From DATA and what was asked to a task with its rows read, split and encoded: what every verb on data begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..display import Display
from ..finding import BadInput, Finding, worst_first
from ..kind import Unreadable
from ..recipe import SHARED, DataSection, Recipe, Section, resolve_key
from ..registry import choose_task, kinds, tasks
from ..run import Run
from ..table import Column, Table
from ..task import Task
from ..transfer import Source, read_source
from .audit import audit
from .encode import Encoded, encode_table, split_fingerprints
from .read import read_table
from .split import split_rows

__all__ = ["Prepared", "audit_prepared", "full_key", "prepare", "prepare_other_data", "prepare_run"]


@dataclass(frozen=True)
class Prepared:
    """A task bound to its table, the rows of each split, and all of them encoded."""

    task: Task
    table: Table
    splits: dict[str, np.ndarray]
    encoded: Encoded
    notes: list[Finding]
    """What the reader of the data passed over."""


def prepare(source: str, asked: Mapping[str, Any], display: Display, *, sketches: bool = False) -> Prepared:
    """Read, choose the task, resolve the recipe, split, fit and encode. `asked` holds keys as a person writes them.

    With `sketches` all rows are looked through for near copies, however many there are.
    """
    _check_keys(asked)
    values = {key: value for key, value in asked.items() if key not in ("task", "preset")}
    data = _data_section(source, values)
    notes: list[Finding] = []
    table = read_table(data, notes.append)
    task_type = _task_type(asked.get("task") or _task_of_words(asked), table)
    types = task_type.section_types()
    values = _unaliased(values, task_type)
    wanted = {key if key.startswith("waive.") else resolve_key(key, types): value for key, value in values.items()}
    preset = _preset(task_type, asked.get("preset"))
    weights = _source_of_weights(wanted)
    brought = weights.defaults(task_type) if weights else {}
    served = {key: value for key, value in table.defaults.items() if _has(types, key)}
    layers = task_type.defaults(table, {**brought, **preset, **wanted}), served, brought, preset, wanted
    recipe = Recipe.build(task_type.name, types, *layers, {"data.name": data.name})
    table = task_type.arrange(table, recipe)
    columns = task_type.pick_columns(table, recipe)
    splits = _split(task_type, table, columns, recipe)
    schema = task_type.fit(table, recipe, splits["train"].tolist())
    if weights:
        schema, found = weights.onto(schema, task_type, wanted)
        notes += found
    recipe = recipe.replace(task_type.resolve(recipe, schema))
    splits = _chosen(task_type, table, recipe, splits)
    return _encoded(task_type(recipe, schema, table), table, splits, notes, display, sketches)


def prepare_run(run: Run, display: Display) -> Prepared:
    """The data a run was trained on, read again. Data that has changed since is refused: its splits would differ."""
    if not run.has_data:
        raise BadInput(
            f"{run.path}: was imported, and has no data of its own: name it: snowball evaluate {run.path} DATA"
        )
    notes: list[Finding] = []
    table = run.task_type.arrange(read_table(run.recipe.data, notes.append), run.recipe)
    task = run.task_type(run.recipe, run.schema, table)
    columns = run.task_type.pick_columns(table, run.recipe)
    splits = _chosen(run.task_type, table, run.recipe, _split(run.task_type, table, columns, run.recipe))
    prepared = _encoded(task, table, splits, notes, display)
    found = prepared.task.schema.splits
    for name, expected in run.schema.splits.items():
        if found[name] != expected:
            raise BadInput(
                f"{run.recipe.data.name}: its {name} split ({found[name]['rows']} rows) is not the one"
                f" that {run.path} was trained with ({expected['rows']} rows): the data has changed since"
            )
    return prepared


def prepare_other_data(run: Run, source: str, display: Display) -> Prepared:
    """Other data for a trained task: its own test split, since the others may have been learned from, else all rows."""
    asked = run.recipe.data
    notes: list[Finding] = []
    table = read_table(
        asked.model_copy(update={"name": _source(source), "root": None, "fold": None, "group": None, "hold_out": None}),
        notes.append,
    )
    run.task_type.pick_columns(table, run.recipe)
    table = run.task_type.arrange(table, run.recipe)
    task = run.task_type(run.recipe, run.schema, table)
    own = [row for row in range(len(table)) if table.is_own(row)]
    test = [row for row in own if table.split[row] == "test"] or own
    if len(test) < len(own):
        display.line(f"{table.name}: the {len(test):,} rows of its own test split, of {len(own):,}")
    none = np.array([], dtype=np.int64)
    splits = {"train": none, "val": none, "test": np.array(test)}
    return _encoded(task, table, splits, notes, display)


def audit_prepared(prepared: Prepared) -> list[Finding]:
    """What the reader passed over, and what is wrong with the rows, worst first."""
    found = audit(prepared.task, prepared.table, prepared.encoded, prepared.task.rows_by_split)
    return worst_first([*prepared.notes, *found])


def _encoded(
    task: Task,
    table: Table,
    splits: Mapping[str, np.ndarray],
    notes: list[Finding],
    display: Display,
    sketches: bool = False,
) -> Prepared:
    display.start("reading", len(table))

    def progress(done: int, total: int) -> None:
        display.advance(done - display.done)

    try:
        encoded = encode_table(task, table, progress=progress, sketches=sketches)
    finally:
        display.stop()
    bad = np.array(sorted(encoded.bad), dtype=np.int64)
    readable = {name: np.setdiff1d(rows, bad) for name, rows in splits.items()}
    task.schema = replace(task.schema, splits=split_fingerprints(encoded, readable))
    task.rows_by_split = {name: rows.tolist() for name, rows in readable.items()}
    return Prepared(task, table, readable, encoded, notes)


def _split(task_type: type[Task], table: Table, columns: Mapping[str, Column], recipe: Recipe) -> dict[str, np.ndarray]:
    answer = columns[task_type.answer[0]]
    kind = kinds()[task_type.answer[1]]
    data = recipe.data
    strata = _strata(kind, answer.cells)
    by_time = data.split == "time"
    return split_rows(
        table,
        strata,
        val=data.val,
        test=data.test,
        seed=recipe.train.seed,
        group=data.group,
        by_time=by_time,
        hold_out=data.hold_out,
    )


def _chosen(
    task_type: type[Task], table: Table, recipe: Recipe, splits: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The splits with those training rows that the task learns from."""
    rows = task_type.choose_rows(table, recipe, splits["train"].tolist())
    return {**splits, "train": np.asarray(rows, dtype=np.int64)}


def _strata(kind: Any, cells: Sequence[Any]) -> list[str | None]:
    def stratum(cell: Any) -> str | None:
        try:
            found: str | None = kind.stratum(kind.read(cell))
        except Unreadable:
            return None
        return found

    return [stratum(cell) for cell in cells]


def _check_keys(asked: Mapping[str, Any]) -> None:
    """Refuse a key that no task knows before anything is read or downloaded."""
    aliases = {alias for task in tasks().values() for alias in task.aliases}
    for key in asked:
        if key not in ("task", "preset", *aliases) and not key.startswith("waive."):
            full_key(key)


def full_key(key: str) -> str:
    """The full key, as the first task that knows it has it: what is short for one key there may be for two over all."""
    for task in tasks().values():
        with suppress(BadInput):
            return resolve_key(key, task.section_types())
    return resolve_key(key, dict.fromkeys(chain(SHARED, *(task.section_types() for task in tasks().values()))))


def _has(types: Sequence[type[Section]], key: str) -> bool:
    """Whether a recipe of these sections has the key: of a sample that serves several tasks, each has some."""
    section, _, field = key.partition(".")
    return any(one.key == section and field in one.model_fields for one in types)


def _unaliased(values: Mapping[str, Any], *task_types: type[Task]) -> dict[str, Any]:
    """The same values with the tasks' short words written out."""
    aliases = {alias: key for task in task_types for alias, key in task.aliases.items()}
    return {aliases.get(key, key): value for key, value in values.items()}


def _data_section(source: str, values: Mapping[str, Any]) -> DataSection:
    values = _unaliased(values, *tasks().values())
    full = {full_key(key): value for key, value in values.items() if not key.startswith("waive.")}
    data = {key: value for key, value in full.items() if key.startswith("data.")}
    return Recipe.build("", (DataSection,), data, {"data.name": _source(source)}).data


def _source_of_weights(wanted: dict[str, Any]) -> Source | None:
    """What `init` names, which becomes absolute where it is a path, so that a run finds it from any folder."""
    init = wanted.get("transfer.init")
    if init is None:
        if "transfer.name" in wanted:
            raise BadInput(f"transfer={wanted['transfer.name']}: from what? Name a run, a file or timm:NAME with init=")
        return None
    wanted["transfer.init"] = _source(str(init))
    return read_source(wanted["transfer.init"])


def _source(source: str) -> str:
    """Paths become absolute, so that a run finds its data from any folder; names stay names."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def _task_of_words(asked: Mapping[str, Any]) -> str | None:
    """The task whose own short words were used, such as `source` and `target`: whoever says them means it."""
    return next((name for name, task in tasks().items() if not task.aliases.keys().isdisjoint(asked)), None)


def _task_type(asked: Any, table: Table) -> type[Task]:
    if asked is None:
        return choose_task(table)
    if asked not in tasks():
        raise BadInput(f"task={asked}: not one of {', '.join(tasks())}")
    return tasks()[asked]


def _preset(task_type: type[Task], name: Any) -> Mapping[str, Any]:
    if name is None:
        return {}
    if name not in task_type.presets:
        raise BadInput(f"preset={name}: {task_type.name} has the presets {', '.join(task_type.presets) or 'none'}")
    return task_type.presets[name]
