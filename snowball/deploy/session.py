"""An exported network on ONNX Runtime: everything that serving needs, from its file, or the files of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..finding import BadInput, brief
from ..recipe import Recipe, flatten
from ..registry import tasks
from ..schema import Schema
from ..task import Task

__all__ = ["METADATA_KEY", "WEIGHTS_KEY", "OnnxPredictor", "part_path"]

METADATA_KEY = "snowball"
WEIGHTS_KEY = "snowball_weights"  # of a further part: what the first part's metadata says too


class OnnxPredictor:
    """An ONNX file that Snowball exported. `task` encodes and decodes, `run` computes.

    `weights` is the SHA-256 of the model.safetensors that it was made from. Of a task in parts, `path` is the first
    part's file; the others stand beside it (`part_path`).
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        first = _Graph(path, threads)
        about = first.metadata.get(METADATA_KEY)
        if about is None:
            raise BadInput(f"{path}: was not exported by Snowball: its metadata has no {METADATA_KEY!r} entry")
        self.task, self.weights = _task(path, about)
        self._graph = first
        self.parts = _Parts(dict.fromkeys(self.task.parts[:1], first))
        for name in self.task.parts[1:]:
            part = _Graph(part_path(path, self.task, name), threads)
            if part.metadata.get(WEIGHTS_KEY) != self.weights:
                raise BadInput(f"{part.path}: is of other weights than {path}: export both anew")
            self.parts.graphs[name] = part

    def run(self, raw: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Finished outputs by name for raw inputs in the task's order, each (B, ...)."""
        return self._graph.run(dict(zip(self._graph.inputs, raw, strict=True)))

    def predict(self, encoded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Decoded answers for rows that `task.encode_given` encoded, as one batch."""
        batch = {role: self.task.kinds[role].collate([row[role] for row in encoded]) for role in self.task.given}
        if self.task.parts:
            outputs = self.task.predict(self.parts, batch)
            return self.task.decode({name: value.numpy() for name, value in outputs.items()})
        raw = [self.task.kinds[role].as_raw(value).numpy() for role, value in batch.items()]
        return self.task.decode(self.run(raw))

    def stream(self, given: Mapping[str, Any]) -> Iterator[str]:
        """The answer to one row's raw values, piece by piece."""
        return self.task.stream(self.parts, given)


class _Graph:
    """One ONNX file: its session, the names of what goes in and comes out, and its metadata."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        self.path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: all cores
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises types of its own for a missing or damaged file
            raise BadInput(f"{path}: not a readable ONNX file ({brief(error)})") from error
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._session.run(self._outputs, {name: inputs[name] for name in self.inputs})
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}


class _Parts:
    """Stands for the network in `predict` and `stream`: tensors in, tensors out, ONNX Runtime in between."""

    def __init__(self, graphs: dict[str, _Graph]) -> None:
        self.graphs = graphs

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        graph = self.graphs[name]

        def call(**inputs: Any) -> dict[str, Any]:
            import torch

            found = graph.run({name: tensor.numpy() for name, tensor in inputs.items()})
            return {name.removeprefix("next_"): torch.from_numpy(value) for name, value in found.items()}

        return call


def part_path(path: Path, task: Task | type[Task], part: str) -> Path:
    """Where a part's file stands: the first at `path`, `m.step.onnx` beside `m.onnx`."""
    return path if part == task.parts[0] else path.with_name(f"{path.stem}.{part}{path.suffix}")


def _task(path: Path, about: str) -> tuple[Task, str]:
    try:
        value = json.loads(about)
        task_type = tasks()[value["task"]]
        recipe = Recipe.build(value["task"], task_type.section_types(), flatten(value["recipe"]))
        return task_type(recipe, Schema.from_json(value["schema"])), str(value["weights"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its {METADATA_KEY!r} metadata is damaged ({error})") from error
