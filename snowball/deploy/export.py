"""Export: an ONNX file with preprocessing and labels inside, and the proof that it answers as the network does.

The file takes raw inputs (a uint8 picture of any size), resizes and standardises them itself, and carries the schema
and the recipe in its metadata, so that it can be served without the run. The export fails where ONNX Runtime's
outputs differ from PyTorch's, at two shapes, or where the metric changes on real rows.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..answer import largest_difference
from ..collect.prepare import prepare_other_data, prepare_run
from ..display import Display
from ..evaluate import as_array
from ..finding import BadInput, Finding
from ..rows import Rows
from ..run import Run
from ..storage import file_digest, write_bytes
from ..task import Task
from .parts import PartModule, Recorder, export_arguments, output_name
from .session import METADATA_KEY, WEIGHTS_KEY, OnnxPredictor, part_path

__all__ = ["Export", "MadeUp", "export_run"]

LONGEST = 1 << 26  # of a dimension that varies: pixels of a side, or samples of ten minutes
MADE_UP = 16  # rows where a run has no data of its own
ROWS = 500  # real rows that are compared
RECORDED = 5  # rows whose calls show which dimensions of a part vary
BATCH = 64  # rows that a task in parts answers at once
SAME = 1e-4  # of the metric: less than one of ROWS answered otherwise, more than float32 sums in another order
CLOSE = 1e-3  # of an output's largest value: rounding of float32 sums in another order stays far below (1e-5 seen)
CLOSE_RESIZED = 0.05  # where pictures are resized: about one pixel in a hundred differs by a grey level
SAME_RESIZED = 5e-3  # of a graded metric there


@dataclass(frozen=True)
class Export:
    """The file, and the proof: largest differences and the metrics of both runtimes on the same rows."""

    path: str
    files: list[str]
    bytes: int
    rows: int
    differences: dict[str, float]
    metrics: dict[str, float]
    metrics_onnx: dict[str, float]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _WholeModel(nn.Module):
    """Raw inputs in, finished outputs out: what is exported."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.preprocess = nn.ModuleDict({role: task.kinds[role].preprocess() for role in task.given})
        self.model = model
        self._task = task

    def forward(self, *raw: Tensor) -> dict[str, Tensor]:
        inputs = {role: self.preprocess[role](value) for role, value in zip(self._task.given, raw, strict=True)}
        return self._task.predict(self.model, inputs)


def export_run(run: Run, path: Path, data: str | None = None, display: Display | None = None) -> Export:
    """Write `path` and prove it. Raises GateFailed, and leaves no file, where ONNX Runtime answers otherwise."""
    display = display or Display(quiet=True)
    started = time.perf_counter()
    if not path.parent.is_dir():
        raise BadInput(f"{path}: its folder does not exist")
    model = run.model()
    rows = _rows(run, data, display)
    task = rows.task
    weights = file_digest(run.path / "model.safetensors")
    display.line(f"exporting {run.path} to ONNX")
    paths = [part_path(path, task, part) for part in task.parts] or [path]
    folder = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        folder.mkdir()
        made = (_export_parts if task.parts else _export_whole)(task, model, rows, weights, folder / path.name)
        run.gate("export", made.findings)
        for final in paths:
            os.replace(folder / final.name, final)
    except OSError as error:
        raise BadInput(f"{path}: could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = sum(final.stat().st_size for final in paths)
    seconds = time.perf_counter() - started
    files = [str(final) for final in paths]
    exported = Export(str(path), files, size, len(rows), made.differences, made.before, made.after, seconds)
    display.line(
        f"{', '.join(files)}: {size:,} bytes; ONNX Runtime and PyTorch agree on {len(rows)} rows: {_shown(exported)}"
    )
    return exported


class MadeUp(Sequence[tuple[dict[str, Any], Any]]):
    """Rows that nobody recorded, for a run that knows no data: what was given, and no answers to hold it against."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.numbers: Sequence[int] = range(MADE_UP)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: Any) -> Any:
        return self.given(self.numbers[position]), None

    def given(self, row: int) -> dict[str, Any]:
        return {role: self.task.kinds[role].made_up(row) for role in self.task.given}


def _rows(run: Run, data: str | None, display: Display) -> Rows | MadeUp:
    """The rows that both runtimes are to answer alike."""
    if data is None and not run.has_data:
        return MadeUp(run.task())
    prepared = prepare_run(run, display) if data is None else prepare_other_data(run, data, display)
    task = prepared.task
    assert task.table is not None
    test_rows = prepared.splits["test"]
    return Rows(task, task.table, test_rows[:: max(1, len(test_rows) // ROWS)][:ROWS].tolist())


@dataclass(frozen=True)
class _Proof:
    """Largest differences, the metrics of both runtimes on the same rows, and what is wrong with them."""

    differences: dict[str, float]
    before: dict[str, float]
    after: dict[str, float]
    findings: list[Finding]


def _export_whole(task: Task, model: nn.Module, rows: Rows | MadeUp, weights: str, path: Path) -> _Proof:
    """A task that answers in one call: raw inputs to finished outputs as one graph."""
    raw = [_raw_tensors(task, rows.given(row)) for row in rows.numbers]
    whole = _WholeModel(task, model).eval()
    longest = max(raw, key=lambda parts: sum(part.numel() for part in parts))
    write_bytes(path, _to_onnx(task, whole, longest, weights))
    predictor = OnnxPredictor(path)
    differences = _compare_shapes(task, whole, predictor, raw)
    encoded = [task.encode_given(rows.given(row)) for row in rows.numbers]
    resized = _resized(raw, encoded)
    torch_answers, onnx_answers, apart = _answers(task, whole, predictor, encoded, raw, resized=resized)
    differences |= apart
    return _proof(task, rows, differences, torch_answers, onnx_answers, resized=resized)


def _export_parts(task: Task, model: nn.Module, rows: Rows | MadeUp, weights: str, path: Path) -> _Proof:
    """A task that answers step by step: a graph for each part of its network, and the same loop over both runtimes."""
    recorder = Recorder(task, model)
    spread = [rows.given(row) for row in rows.numbers[:: max(1, len(rows) // RECORDED)][:RECORDED]]
    recorder.record(task, spread)
    for part, calls in recorder.calls.items():
        example, dynamic = export_arguments(calls)
        outputs = [output_name(name, list(example)) for name in calls[0][1]]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
            program = torch.onnx.export(
                PartModule(model, part).eval(),
                kwargs=example,
                dynamo=True,
                external_data=False,
                input_names=list(example),
                output_names=outputs,
                dynamic_shapes={"inputs": dynamic},
                verbose=False,
            )
        about = _about(task, weights) if part == task.parts[0] else {WEIGHTS_KEY: weights}
        write_bytes(part_path(path, task, part), _with_metadata(program, about))
    predictor = OnnxPredictor(path)
    differences = {
        part: max(_call_difference(task, getattr(predictor.parts, part), call) for call in calls)
        for part, calls in recorder.calls.items()
    }
    given = [rows.given(row) for row in rows.numbers]
    answers: list[list[dict[str, Any]]] = []
    for answering in (model, predictor.parts):
        found: list[dict[str, Any]] = []
        for start in range(0, len(given), BATCH):
            encoded = [task.encode_given(row) for row in given[start : start + BATCH]]
            batch = {role: task.kinds[role].collate([row[role] for row in encoded]) for role in task.given}
            with torch.no_grad():
                found += task.decode(_arrays(task.predict(answering, batch)))
        answers.append(found)
    return _proof(task, rows, differences, *answers, resized=False)


def _call_difference(
    task: Task, part: Callable[..., dict[str, Tensor]], call: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> float:
    inputs, outputs = call
    found = {name: value.numpy() for name, value in part(**inputs).items()}
    return task.answer_kind.difference({name: value.numpy() for name, value in outputs.items()}, found)


def _shown(made: Export) -> str:
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in made.metrics_onnx.items())
    metrics = metrics or "made up, since the run has no data"
    return f"{metrics}; largest difference of an output {max(made.differences.values()):.1e}"


def _raw_tensors(task: Task, given: Mapping[str, Any]) -> tuple[Tensor, ...]:
    held = {role: (task.kinds[role], given[role]) for role in task.given}
    return tuple((kind.nothing() if value is None else kind.raw_tensor(value))[None] for kind, value in held.values())


def _to_onnx(task: Task, whole: nn.Module, raw: tuple[Tensor, ...], weights: str) -> bytes:
    """The file's bytes. `weights` is the digest of the weights it was made from, so that a server knows its own."""
    example = tuple(torch.cat([tensor, tensor]) for tensor in raw)  # a batch of one would become a constant
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = [
        {
            0: batch,
            **{
                axis: torch.export.Dim(name, min=1, max=LONGEST) for axis, name in task.kinds[role].input_axes().items()
            },
        }
        for role in task.given
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
        names = list(whole(*example))
        program = torch.onnx.export(
            whole,
            example,
            dynamo=True,
            external_data=False,
            input_names=list(task.given),
            output_names=names,
            dynamic_shapes=(tuple(shapes),),
            verbose=False,
        )
    return _with_metadata(program, _about(task, weights))


def _about(task: Task, weights: str) -> dict[str, str]:
    """What a file says of itself: enough to encode and decode, and the labels on their own for other programs."""
    about = {"task": task.name, "recipe": task.recipe.to_dict(), "schema": task.schema.to_json(), "weights": weights}
    labels = {role: kind.state["labels"] for role, kind in task.kinds.items() if "labels" in kind.state}
    return {key: json.dumps(value, ensure_ascii=False) for key, value in {METADATA_KEY: about, **labels}.items()}


def _with_metadata(program: Any, about: Mapping[str, str]) -> bytes:
    import onnx

    assert program is not None
    proto = program.model_proto
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _compare_shapes(
    task: Task, whole: nn.Module, predictor: OnnxPredictor, raw: list[tuple[Tensor, ...]]
) -> dict[str, float]:
    """Largest difference, relative to the output's largest value, for a single row and for a batch of another size."""
    single = raw[0]
    larger = tuple(
        _enlarged(torch.cat([raw[-1][number]] * 3), task.kinds[role].input_axes())
        if task.kinds[role].padding is None
        else task.kinds[role].collate([parts[number][0] for parts in raw[-3:]])
        for number, role in enumerate(task.given)
    )
    differences = {}
    for name, example in {"single": single, "batch": larger}.items():
        with torch.no_grad():
            expected = {key: value.numpy() for key, value in whole(*example).items()}
        differences[name] = task.answer_kind.difference(expected, predictor.run([part.numpy() for part in example]))
    return differences


def _enlarged(part: Tensor, axes: Iterable[int]) -> Tensor:
    """The input at twice its size along the axes that vary, such as a picture's height and width."""
    for axis in axes:
        part = part.repeat_interleave(2, axis)
    return part


def _answers(
    task: Task,
    whole: _WholeModel,
    predictor: OnnxPredictor,
    encoded: list[dict[str, Tensor]],
    raw: list[tuple[Tensor, ...]],
    *,
    resized: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, float]]:
    """Every row through PyTorch after `encode`, and raw through ONNX Runtime: both answers, and how far they differ.

    `rows`: the two runtimes, given the same numbers. Where the graph resizes rows unlike `encode`, `resizing` is
    how far that moves what the network says before anything is decided: which of two boxes as likely as each other is
    suppressed may hang on a single grey level.
    """
    torch_answers: list[dict[str, Any]] = []
    onnx_answers: list[dict[str, Any]] = []
    apart = dict.fromkeys(("rows", "resizing") if resized else ("rows",), 0.0)
    for row, tensors in zip(encoded, raw, strict=True):
        found = predictor.run([tensor.numpy() for tensor in tensors])
        with torch.no_grad():
            said = whole.model(**{role: value[None] for role, value in row.items()})
            answered = expected = _arrays(task.answer_kind.finish(said))
            if resized:
                made = {role: whole.preprocess[role](value) for role, value in zip(row, tensors, strict=True)}
                said_of_made = whole.model(**made)
                expected = _arrays(task.answer_kind.finish(said_of_made))
                moved = largest_difference(_arrays(said), _arrays(said_of_made))
                apart["resizing"] = max(apart["resizing"], moved)
        apart["rows"] = max(apart["rows"], task.answer_kind.difference(expected, found))
        torch_answers += task.decode(answered)
        onnx_answers += task.decode(found)
    return torch_answers, onnx_answers, apart


def _arrays(outputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: as_array(value) for name, value in outputs.items()}


def _resized(raw: list[tuple[Tensor, ...]], encoded: list[dict[str, Tensor]]) -> bool:
    """Whether encoding changed any row: a picture may be cut and resized to the very shape it had."""
    return any(
        part.shape[1:] != value.shape or not bool((part[0] == value).all())
        for parts, row in zip(raw, encoded, strict=True)
        for part, value in zip(parts, row.values(), strict=True)
    )


def _proof(
    task: Task,
    rows: Rows | MadeUp,
    differences: dict[str, float],
    torch_answers: list[dict[str, Any]],
    onnx_answers: list[dict[str, Any]],
    *,
    resized: bool,
) -> _Proof:
    findings = []
    for name, value in differences.items():
        allowed = CLOSE_RESIZED if name == "resizing" or (name == "rows" and resized) else CLOSE
        if not value <= allowed:
            who = "the network's outputs move" if name == "resizing" else "ONNX Runtime's outputs differ from PyTorch's"
            message = f"{who} by {value:.2g} ({name}); {allowed:g} is allowed"
            evidence = {"difference": value, "allowed": allowed, "where": name}
            findings.append(Finding("export-parity", "error", message, evidence, "report it with the run folder"))
    if isinstance(rows, MadeUp):
        return _Proof(differences, {}, {}, findings)
    answers = [rows.answer(row) for row in rows.numbers]
    before, after = task.score(torch_answers, answers), task.score(onnx_answers, answers)
    metric = task.headline.name
    same = SAME_RESIZED if resized and task.answer_kind.graded else SAME
    if abs(before[metric] - after[metric]) > max(same * abs(before[metric]), task.answer_kind.order):
        message = (
            f"{metric} is {before[metric]:.4f} in PyTorch and {after[metric]:.4f} in ONNX Runtime on the same rows"
        )
        evidence = {"pytorch": before[metric], "onnx": after[metric]}
        findings.append(Finding("export-metric", "error", message, evidence, "report it with the run folder"))
    return _Proof(differences, before, after, findings)
