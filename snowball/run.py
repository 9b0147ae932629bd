"""Run: what you get. A folder, and the only object that passes between verbs; it is understood from itself alone.

recipe.yaml  schema.json  environment.json     written before step 0
metrics.jsonl  findings.json  last/            written while it trains
control/                                       the same of the network that this one has to beat, where there is one
model.safetensors  evaluation.json  report.html  card.md
manifest.json                                  SHA-256 of every file and tensor; written last
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .comparison import Control
from .finding import BadInput, Finding, GateFailed, verdict, worst_first
from .kind import Block
from .recipe import Recipe, read_recipe
from .registry import tasks
from .schema import Schema
from .storage import file_digest, read_json, read_tensors, tensor_digests, write_bytes, write_json
from .task import Task
from .weights import Form, read_weights, write_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .deploy.export import Export
    from .evaluate import Evaluation
    from .evaluate.explain import Explanation

__all__ = ["CONTROL", "Run"]

CONTROL = "control"  # the folder of the network that a task's own is compared with

_VERIFIED = ("recipe.yaml", "schema.json", "model.safetensors")  # what every later verb builds on
_UNSEALED = ("manifest.json", "metrics.jsonl")


class Run:
    """A run folder. `Run(path)` opens one and refuses what is missing, truncated or altered, by name.

    >>> import snowball
    >>> run = snowball.train("digits", epochs=1, output="runs/first")  # doctest: +SKIP
    >>> run.predict("7.png")  # doctest: +SKIP
    [{'input': '7.png', 'label': '7', 'confidence': 0.99, ...}]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BadInput(f"{self.path}: no such run folder")
        if not (self.path / "recipe.yaml").is_file() or not (self.path / "schema.json").is_file():
            raise BadInput(f"{self.path}: not a run folder: recipe.yaml and schema.json are not both there")
        self._verify()
        self.schema = _read_schema(self.path / "schema.json")
        if self.schema.task not in tasks():
            raise BadInput(f"{self.path}/schema.json: task {self.schema.task!r} is not one of {', '.join(tasks())}")
        self.task_type = tasks()[self.schema.task]
        values = read_recipe(self.path / "recipe.yaml")
        self.recipe = Recipe.build(self.task_type.name, self.task_type.section_types(), values)

    @classmethod
    def create(cls, path: Path | None, recipe: Recipe, schema: Schema, environment: Mapping[str, str]) -> Run:
        """Make the folder and write what was asked and learned, before anything is trained."""
        path = path or _next_path(schema.origin)
        made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            made.mkdir(parents=True)
            write_bytes(made / "recipe.yaml", recipe.to_yaml().encode())
            write_json(made / "schema.json", schema.to_json())
            write_json(made / "environment.json", dict(environment))
            made.rename(path)  # all of it or none: a run that was killed here can be begun anew
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            if path.exists():
                raise BadInput(f"{path}: exists already; name another with -o, or go on with resume={path}") from None
            raise BadInput(f"{path}: cannot be made: {error.strerror}") from error
        return cls(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def finished(self) -> bool:
        """Whether the training went to its end: the manifest is written last."""
        return (self.path / "manifest.json").is_file()

    @property
    def has_data(self) -> bool:
        """Whether it knows the data it was trained on; an imported run does not."""
        return bool(self.recipe.data.name)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on held-out data, by the field's names."""
        evaluation = read_json(self.path / "evaluation.json")
        return {name: score["value"] for name, score in evaluation["metrics"].items()}

    def task(self, options: Mapping[str, Any] | None = None) -> Task:
        """The task without data: enough to encode, predict and decode; `options` are asked of its answers."""
        return self.task_type(self.recipe, self.schema, options=self.task_type.build_options(options or {}))

    def model(self) -> nn.Module:
        """The network with its best weights, in evaluation mode, on the CPU."""
        tensors = read_weights(self.path / "model.safetensors")
        model = self.task().model()
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise BadInput(f"{self.path}/model.safetensors: does not fit the recipe's network: {error}") from error
        return model.eval()

    def control(self) -> Control | None:
        """The network that was trained beside it, with its best weights; None where there is none."""
        path = self.path / CONTROL / "model.safetensors"
        control = self.task().control() if path.is_file() else None
        if control is not None:
            control.network.load_state_dict(read_weights(path))
            control.network.eval()
        return control

    def keep_recipe(self, recipe: Recipe) -> None:
        """Take another recipe in place of its own, such as one that waives a finding."""
        self.recipe = recipe
        write_bytes(self.path / "recipe.yaml", recipe.to_yaml().encode())

    def keep_schema(self, schema: Schema) -> None:
        """Take another schema in place of its own: one whose answers were calibrated."""
        self.schema = schema
        write_json(self.path / "schema.json", schema.to_json())

    def save_model(self, weights: Mapping[str, Tensor], folder: Path | None = None) -> None:
        """Keep the best weights, by the names of `model()`'s, in the run's own folder or in one of its folders."""
        write_weights((folder or self.path) / "model.safetensors", weights)

    def log(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]  # what follows the last line end was being written

    def findings(self, stage: str | None = None) -> list[Finding]:
        """What every stage found, or one: `audit`, `preflight`, `training`, `evaluation`, `repeats`, `export`."""
        path = self.path / "findings.json"
        rows = read_json(path) if path.is_file() else {}
        return worst_first(Finding(**row) for name, found in rows.items() for row in found if stage in (None, name))

    def record(self, stage: str, findings: Iterable[Finding]) -> None:
        """Keep a stage's findings in place of those it had before."""
        path = self.path / "findings.json"
        rows = read_json(path) if path.is_file() else {}
        write_json(path, {**rows, stage: [finding.to_json() for finding in findings]})

    def blocks(self) -> list[Block]:
        """What other verbs have to say in the report, beside the evaluation's own blocks."""
        path = self.path / "blocks.json"
        rows = read_json(path) if path.is_file() else {}
        return [Block(**row) for found in rows.values() for row in found]

    def record_blocks(self, stage: str, blocks: Iterable[Block]) -> None:
        """Keep a stage's blocks for the report, in place of those it had before."""
        path = self.path / "blocks.json"
        rows = read_json(path) if path.is_file() else {}
        write_json(path, {**rows, stage: [asdict(block) for block in blocks]})

    def gate(self, stage: str, findings: Sequence[Finding]) -> None:
        """Keep the findings, and stop if one is an error that the recipe does not waive by name."""
        self.record(stage, findings)
        errors = [f for f in findings if f.severity == "error" and f.check not in self.recipe.waive]
        if errors:
            raise GateFailed(
                f"{stage} stopped the run ({self.path}): {errors[0].check}: {errors[0].message};"
                f' go on in spite of it with waive.{errors[0].check}="your reason"',
                findings,
            )

    @property
    def waived(self) -> dict[str, str]:
        """What was found and is waived, and the reason of each."""
        found = {finding.check for finding in self.findings()}
        return {check: reason for check, reason in self.recipe.waive.items() if check in found}

    @property
    def verdict(self) -> str:
        """`fail` if a stage found an error that is not waived, else `pass`."""
        return verdict(finding for finding in self.findings() if finding.check not in self.recipe.waive)

    def seal(self) -> None:
        """Write the manifest: the SHA-256 of every file, and of every tensor of the model."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file() and not p.name.startswith("."))
        digests = {str(p.relative_to(self.path)): file_digest(p) for p in files if p.name not in _UNSEALED}
        tensors, _ = read_tensors(self.path / "model.safetensors")
        manifest = {"files": digests, "tensors": tensor_digests(tensors)}
        write_json(self.path / "manifest.json", manifest)

    def _verify(self) -> None:
        if not self.finished:
            return
        manifest = read_json(self.path / "manifest.json")
        for name in _VERIFIED:
            path = self.path / name
            if not path.is_file():
                raise BadInput(f"{path}: missing, though manifest.json lists it")
            if file_digest(path) != manifest.get("files", {}).get(name):
                raise BadInput(f"{path}: SHA-256 differs from manifest.json: truncated or altered{self._offer()}")

    def _offer(self) -> str:
        kept = sorted((self.path / "last").glob("step-*.safetensors"))
        return f"; the last checkpoint is {kept[-1]}" if kept else ""

    # The verbs. Their modules are imported when they are used: opening a run stays quick.

    def evaluate(self, data: str | None = None, seeds: int = 1, shuffled: int = 0) -> Evaluation:
        """Metrics and a report, on the run's own test split or on other data.

        `seeds` and `shuffled` train as often once more: from other seeds, and on shuffled answers.
        """
        from .evaluate import evaluate_run
        from .evaluate.repeat import RepeatSection

        asked = Recipe.build("", (RepeatSection,), {"repeat.seeds": seeds, "repeat.shuffled": shuffled})
        return evaluate_run(self, data, repeats=asked[RepeatSection])

    def predict(self, *inputs: Any, **options: Any) -> list[dict[str, Any]]:
        """Answers for files, folders of files, texts, bytes or arrays; `options` are the task's own, e.g. `beams=1`."""
        from .evaluate.predict import predict_each

        return list(predict_each(self, inputs, options))

    def stream(self, value: Any, **options: Any) -> Iterator[str]:
        """The answer of a task that streams, such as a language model, piece by piece."""
        task = self.task(options)
        (role,) = task.asked()
        return task.stream(self.model(), {role: task.kinds[role].read(value)})

    def explain(self, *inputs: Any, rows: int = 12) -> list[Explanation]:
        """What the answers to inputs hang on, or to so many test rows; a page is written to explanation.html."""
        from .evaluate.explain import explain_run

        return explain_run(self, inputs, rows)[0]

    def shrink(self, quantize: Form = "int8", path: str | os.PathLike[str] | None = None) -> Run:
        """A smaller run beside this one; what that costs on held-out rows is in its `findings("shrink")`."""
        from .deploy.shrink import ShrinkSection, shrink_run

        asked = Recipe.build("", (ShrinkSection,), {"shrink.quantize": quantize})[ShrinkSection]
        return shrink_run(self, asked, Path(path) if path else None)[0]

    def export(self, path: str | os.PathLike[str]) -> Export:
        """An ONNX file whose answers were compared with this run's; raises GateFailed where they differ."""
        from .deploy.export import export_run

        return export_run(self, Path(path))

    def serve(self, host: str = "127.0.0.1", port: int = 8000) -> None:
        """Answer over HTTP until interrupted."""
        from .deploy.serve import ServeSection, serve_run

        serve_run(self, ServeSection(host=host, port=port))


def _read_schema(path: Path) -> Schema:
    try:
        return Schema.from_json(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a schema ({error})") from error


def _next_path(origin: str) -> Path:
    """`runs/digits-001`, the first number that is free."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", origin).strip("-.") or "run"
    root = Path("runs")
    taken = [
        int(match[1]) for p in root.glob(f"{name}-*") if (match := re.fullmatch(rf"{re.escape(name)}-(\d+)", p.name))
    ]
    return root / f"{name}-{max(taken, default=0) + 1:03d}"
