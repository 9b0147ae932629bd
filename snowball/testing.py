"""The conformance suite: what every task must do, as named checks that anyone can run on a task of their own.

>>> from snowball.testing import check_task
>>> results = check_task("image-classification")  # doctest: +SKIP
>>> [result.name for result in results if not result.passed]  # doctest: +SKIP
[]

`grid` turns the results into the README's table of tasks and capabilities. A task lists what it is known to fail in
`known_failures`, with the reason; such a check passing is a failure too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bench import ROWS, Bench
from .collect.prepare import prepare, prepare_run
from .display import Display
from .finding import BadInput, Finding
from .kind import Batch
from .recipe import Recipe, flatten
from .registry import tasks
from .schema import Schema
from .task import Task
from .training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from .training.loop import Trainer, seed_everything
from .training.preflight import preflight
from .training.transfer import begin
from .transfer import within

__all__ = ["CAPABILITIES", "CHECKS", "Check", "Result", "check_task", "grid"]

CAPABILITIES = (
    "audit",
    "check",
    "train",
    "resume",
    "evaluate",
    "predict",
    "export",
    "serve",
    "explain",
    "shrink",
    "tune",
    "federate",
)
PLANNED = ("tune", "federate")  # no check yet: the grid shows them as not there


@dataclass(frozen=True)
class Check:
    """A named check of one capability; `run` raises AssertionError with what it saw."""

    name: str
    capability: str
    run: Callable[[Bench], None]


@dataclass(frozen=True)
class Result:
    """A check's outcome on a task. `known` is the reason where the task lists it as a known failure."""

    task: str
    name: str
    capability: str
    passed: bool
    reason: str = ""
    known: str = ""

    @property
    def expected(self) -> bool:
        """Strict: a known failure that passes is as wrong as a check that fails."""
        return self.passed != bool(self.known)


CHECKS: list[Check] = []


def _check(capability: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    def register(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        CHECKS.append(Check(run.__name__.strip("_").replace("_", "-"), capability, run))
        return run

    return register


def check_task(
    task: str | type[Task], source: str | None = None, keys: Mapping[str, Any] | None = None, checks: Iterable[str] = ()
) -> list[Result]:
    """Run the checks (all, or those named) on a task with its own sample or `source`; one result a check.

    `keys` are recipe keys that make the training short and still long enough to learn something.
    """
    if isinstance(task, str) and task not in tasks():
        raise BadInput(f"task {task!r} is not one of {', '.join(tasks())}")
    task_type = tasks()[task] if isinstance(task, str) else task
    wanted = set(checks)
    if unknown := wanted - {check.name for check in CHECKS}:
        raise BadInput(f"no check {', '.join(sorted(unknown))}; the checks are {', '.join(c.name for c in CHECKS)}")
    with tempfile.TemporaryDirectory(prefix="snowball-check-") as folder:
        bench = Bench(task_type, source or task_type.sample, keys or {}, Path(folder))
        return [_result(check, bench) for check in CHECKS if not wanted or check.name in wanted]


def _result(check: Check, bench: Bench) -> Result:
    known = bench.task_type.known_failures.get(check.name, "")
    try:
        check.run(bench)
    except Exception as error:  # whatever a task raises is this check's failure, not the suite's
        return Result(
            bench.task_type.name, check.name, check.capability, False, f"{type(error).__name__}: {error}", known
        )
    return Result(bench.task_type.name, check.name, check.capability, True, "", known)


def grid(results: Sequence[Result]) -> str:
    """A Markdown table: tasks down, capabilities across. `yes`, `no: which checks`, or `-` for not there yet."""
    lines = ["| task | " + " | ".join(CAPABILITIES) + " |", "| --- |" + " --- |" * len(CAPABILITIES)]
    for task in dict.fromkeys(result.task for result in results):
        cells = []
        for capability in CAPABILITIES:
            own = [result for result in results if result.task == task and result.capability == capability]
            failed = [result.name for result in own if not result.passed]
            cells.append("no: " + ", ".join(failed) if failed else "yes" if own else "-")
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@_check("audit")
def _splits_disjoint(bench: Bench) -> None:
    splits = {name: set(rows.tolist()) for name, rows in bench.prepared.splits.items()}
    assert all(splits.values()), f"an empty split: { {name: len(rows) for name, rows in splits.items()} }"
    assert sum(map(len, splits.values())) == len(set().union(*splits.values())), "a row stands in two splits"


@_check("audit")
def _data_stable(bench: Bench) -> None:
    again = prepare(bench.source, bench.keys, Display(quiet=True)).task.schema
    assert again == bench.task.schema, "reading the same data twice gave another schema or other splits"


@_check("audit")
def _encode_deterministic(bench: Bench) -> None:
    for given, answer in bench.rows():
        for first, second in zip(bench.task.encode(given, answer), bench.task.encode(given, answer), strict=True):
            for role, tensor in first.items():
                assert torch.equal(tensor, second[role]), f"{role}: encoding the same row twice gave other tensors"


@_check("check")
def _recipe_round_trips(bench: Bench) -> None:
    import yaml

    recipe = bench.task.recipe
    again = Recipe.build(recipe.task, bench.task_type.section_types(), flatten(yaml.safe_load(recipe.to_yaml())))
    assert again == recipe, "the recipe read back from its YAML differs"
    schema = bench.task.schema
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema, "the schema read back differs"


@_check("check")
def _loss_is_a_mean(bench: Bench) -> None:
    with torch.no_grad():
        outputs = bench.task.forward(bench.model.eval(), bench.batch)
        whole = float(bench.task.loss(outputs, bench.batch))
        rows = [_part_batch(bench.batch, i) for i in range(len(bench.batch))]
        counts = [float(bench.task.count(row)) for row in rows]
        singles = [float(bench.task.loss(_part(outputs, i), row)) for i, row in enumerate(rows)]
    mean = sum(loss * count for loss, count in zip(singles, counts, strict=True)) / sum(counts)
    assert abs(whole - mean) <= 1e-4 * max(1.0, abs(mean)), f"loss of the batch {whole}, mean over its parts {mean}"


@_check("check")
def _every_parameter_gets_a_gradient(bench: Bench) -> None:
    bench.model.train().zero_grad()
    torch.autograd.backward(bench.task.loss(bench.task.forward(bench.model, bench.batch), bench.batch))
    without = [
        name for name, p in bench.model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not without, f"no gradient reaches {', '.join(without)}"


@_check("check")
def _passes_its_own_preflight(bench: Bench) -> None:
    encoded, rows = bench.training
    errors = [f for f in preflight(bench.task, bench.model, encoded, rows["train"]) if f.severity == "error"]
    assert not errors, "; ".join(map(str, errors))


@_check("train")
def _learns(bench: Bench) -> None:
    evaluation = json.loads((bench.run.path / "evaluation.json").read_text())
    metric = bench.task.headline
    value, constant = evaluation["metrics"][metric.name]["value"], evaluation["baseline"][metric.name]
    assert metric.better(value, constant), f"{metric.name} {value} is not better than a constant answer's {constant}"


@_check("train")
def _augment_is_counted(bench: Bench) -> None:
    from .rng import SampleRandom

    batch = bench.batch
    first = bench.task.augment(batch, SampleRandom(0, 1, batch.index))
    again = bench.task.augment(batch, SampleRandom(0, 1, batch.index))
    for role, tensor in first.inputs.items():
        assert torch.equal(tensor, again.inputs[role]), (
            f"{role}: augmenting twice with the same numbers gave other tensors"
        )


@_check("resume")
def _resumes_bit_exactly(bench: Bench) -> None:
    """Two epochs of three steps, whole, and stopped in the second one and taken up again from the file."""
    assert prepare_run(bench.run, Display(quiet=True)).task.schema == bench.run.schema, "the data reads otherwise"
    asked = {"train.epochs": 2, "train.steps": None, "train.patience": 0}
    task = bench.task_type(bench.task.recipe.replace(asked), bench.task.schema, bench.task.table)
    encoded, splits = bench.training
    size = task.recipe.train.batch_size * task.recipe.train.accumulate
    few = {"train": splits["train"][: 3 * size], "val": splits["val"][:ROWS]}

    def fresh() -> Trainer:
        seed_everything(task.recipe.train.seed)
        return Trainer(task, task.model(), encoded, few)

    whole = fresh()
    whole.run(_Listener())
    stopped = fresh()
    stopped.run(_Listener(until=whole.steps_per_epoch + 1))
    assert stopped.step < whole.step, "the training was not interrupted"
    save_checkpoint(bench.folder / "stopped", stopped)
    checkpoint = newest_checkpoint(bench.folder / "stopped")
    assert checkpoint is not None
    resumed = fresh()
    resumed.load(*load_checkpoint(checkpoint))
    resumed.run(_Listener())
    ours, theirs = resumed.tensors(), whole.tensors()
    assert ours.keys() == theirs.keys(), "other tensors"
    differing = [key for key, tensor in theirs.items() if not torch.equal(tensor, ours[key])]
    assert not differing, f"{len(differing)} tensors differ after a resume, e.g. {differing[0]}"


@_check("train")
def _trains_on_from_a_run(bench: Bench) -> None:
    """With its own run as the beginning and the backbone at rest, all fits, and the head alone is changed."""
    asked = {"transfer.init": str(bench.run.path), "transfer.name": "features", "train.epochs": 1, "train.steps": 2}
    task = bench.task_type(bench.task.recipe.replace(asked), bench.task.schema, bench.task.table)
    model = task.model()
    loaded = begin(task, model)[-1]
    assert loaded.check == "weights-loaded", loaded.message
    assert not loaded.evidence["new"] and not loaded.evidence["mismatched"], loaded.message
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Trainer(task, model, *bench.training).run(_Listener())
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed, "nothing was learned"
    rested = [name for name in changed if not within(name, task.head(model))]
    assert not rested, f"{rested[0]} was to rest"


@_check("evaluate")
def _measure_additive(bench: Bench) -> None:
    with torch.no_grad():
        outputs = bench.task.forward(bench.model.eval(), bench.batch)
        whole = bench.task.measure(outputs, bench.batch)
        parts = [bench.task.measure(_part(outputs, i), _part_batch(bench.batch, i)) for i in range(len(bench.batch))]
    for name, (value, count) in whole.items():
        counted = sum(float(part[name][1]) for part in parts)
        assert counted == float(count), f"{name}: {count} counted whole, {counted} by rows"
        summed = torch.stack([part[name][0].double() for part in parts]).sum(0)
        apart = float((value.double() - summed).abs().max() / summed.abs().max().clamp(min=1.0))
        assert apart <= 1e-5, f"{name}: {value} whole, {summed} by rows"


@_check("evaluate")
def _measure_equals_score(bench: Bench) -> None:
    wrong = [finding for finding in bench.run.findings("evaluation") if finding.check == "metric-wrong"]
    assert not wrong, "; ".join(map(str, wrong))


@_check("predict")
def _batch_equals_singles(bench: Bench) -> None:
    with torch.no_grad():
        whole = bench.task.predict(bench.model.eval(), bench.batch.inputs)
        for i in range(len(bench.batch)):
            single = bench.task.predict(bench.model, _part_batch(bench.batch, i).inputs)
            for name, value in single.items():
                within = whole[name][i : i + 1]
                if value.dim() > 1 and value.shape[1] < within.shape[1]:  # answers of unequal length are padded
                    assert not within[:, value.shape[1] :].any(), f"{name}: row {i} goes on in its batch"
                    within = within[:, : value.shape[1]]
                assert torch.allclose(value, within, rtol=1e-4, atol=1e-5), f"{name}: row {i} depends on its batch"


@_check("predict")
def _serves_from_given_alone(bench: Bench) -> None:
    task, model = bench.run.task(), bench.run.model()
    for given, _ in bench.rows():
        encoded = {role: tensor[None] for role, tensor in task.encode_given(given).items()}
        with torch.no_grad():
            outputs = task.predict(model, encoded)
        json.dumps(task.decode({name: value.numpy() for name, value in outputs.items()}), allow_nan=False)
        if task.streams:
            pieces = list(task.stream(model, given))
            assert pieces, "the stream ended before it began"
            assert pieces == list(task.stream(model, given)), "the same question was answered otherwise the second time"


@_check("explain")
def _explains_every_input(bench: Bench) -> None:
    """The same weights twice, of every input; and the heaviest pieces matter more than others."""
    from .evaluate.explain import explain_row

    task, model = bench.run.task(), bench.run.model()
    heaviest = others = 0.0
    for given, _ in bench.rows():
        found, again = (explain_row(task, model, given, "", None) for _ in range(2))
        for role, weights in found.weights.items():
            assert np.isfinite(weights).all(), f"{role}: a weight is not a number"
            assert np.array_equal(weights, again.weights[role]), f"{role}: explaining twice gave other weights"
            assert abs(found.without[role]) > 0, f"hiding all of {role} changes nothing"
            task.kinds[role].draw_pieces(given[role], weights)
        heaviest, others = heaviest + found.heaviest, others + found.others
    assert heaviest > others, f"hiding the heaviest pieces costs {heaviest}, hiding others {others}"


@_check("shrink")
def _shrinks(bench: Bench) -> None:
    """The weights of matrices take a byte each, beside what names them, and the metric stays within its interval."""
    made = bench.run.shrink(path=bench.folder / "small")
    before, after = (run.path / "model.safetensors" for run in (bench.run, made))
    sizes = [path.stat().st_size for path in (before, after)]
    assert sizes[1] < 0.6 * sizes[0], f"{sizes[1]} bytes of {sizes[0]}"
    worse = [finding for finding in made.findings("shrink") if finding.severity == "error"]
    assert not worse, worse[0].message
    pairs = zip(*(run.model().parameters() for run in (bench.run, made)), strict=True)
    same = [torch.equal(one, other) for one, other in pairs]
    assert not all(same), "nothing was rounded"


@_check("export")
def _exports(bench: Bench) -> None:
    assert bench.onnx.task.schema == bench.run.schema, "the exported file carries another schema"


@_check("serve")
def _served_equals_batched(bench: Bench) -> None:
    encoded = [bench.onnx.task.encode_given(given) for given, _ in bench.rows()]
    whole = bench.onnx.predict(encoded)
    singles = [bench.onnx.predict([row])[0] for row in encoded]
    shown = [bench.task.caption(answer) for answer in whole]
    assert shown == [bench.task.caption(answer) for answer in singles], "answers depend on the batch"
    if bench.task.streams:
        given, _ = bench.rows()[0]
        written = "".join(bench.run.task().stream(bench.run.model(), given))
        assert written == "".join(bench.onnx.stream(given)), "ONNX Runtime writes another text than PyTorch"


class _Listener:
    """Stops a training after so many steps, or lets it run to its end."""

    def __init__(self, until: int | None = None) -> None:
        self._until, self._step = until, 0

    def stepped(self, trainer: Trainer, rows: int) -> None:
        self._step = trainer.step

    def logged(self, row: Mapping[str, Any]) -> None: ...
    def found(self, trainer: Trainer, finding: Finding) -> None: ...
    def improved(self, trainer: Trainer) -> None: ...

    def stopping(self) -> bool:
        return self._until is not None and self._step >= self._until


def _part(outputs: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    return {name: value[row : row + 1] for name, value in outputs.items()}


def _part_batch(batch: Batch, row: int) -> Batch:
    return Batch(_part(batch.inputs, row), _part(batch.targets, row), batch.index[row : row + 1])
