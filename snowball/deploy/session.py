"""An exported file on ONNX Runtime: everything that serving needs, from the one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..finding import BadInput
from ..recipe import Recipe, flatten
from ..task import Schema, Task, tasks

__all__ = ["METADATA_KEY", "OnnxPredictor"]

METADATA_KEY = "snowball"


class OnnxPredictor:
    """An ONNX file that Snowball exported. `task` encodes and decodes, `run` computes.

    `weights` is the SHA-256 of the model.safetensors that it was made from.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: all cores
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises types of its own for a missing or damaged file
            raise BadInput(f"{path}: not a readable ONNX file ({str(error).splitlines()[0]})") from error
        about = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if about is None:
            raise BadInput(f"{path}: was not exported by Snowball: its metadata has no {METADATA_KEY!r} entry")
        self.task, self.weights = _task(path, about)
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, raw: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Finished outputs by name for raw inputs in the task's order, each (B, ...)."""
        values = self._session.run(self._outputs, dict(zip(self._inputs, raw, strict=True)))
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}

    def predict(self, encoded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Decoded answers for rows that `task.encode_given` encoded, as one batch."""
        raw = [np.stack([row[role].numpy() for row in encoded]) for role in self.task.given]
        return self.task.decode(self.run(raw))


def _task(path: Path, about: str) -> tuple[Task, str]:
    try:
        value = json.loads(about)
        task_type = tasks()[value["task"]]
        recipe = Recipe.build(value["task"], task_type.section_types(), flatten(value["recipe"]))
        return task_type(recipe, Schema.from_json(value["schema"])), str(value["weights"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its {METADATA_KEY!r} metadata is damaged ({error})") from error
