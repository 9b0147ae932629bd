"""An untrained classifier of small pictures, its ONNX file, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import torch

from snowball.deploy.export import _to_onnx, _WholeModel
from snowball.deploy.session import OnnxPredictor
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.run import Run
from snowball.schema import ColumnSchema, Schema
from snowball.storage import file_digest

from ..served import served
from .pictures import ABOUT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An untrained run of 8 x 8 pictures with its ONNX file."""
    torch.manual_seed(0)
    task_type = tasks()["image-classification"]
    recipe = Recipe.build(task_type.name, task_type.section_types(), {"model.name": "linear"})
    image = {"height": 8, "width": 8, "channels": 1, "mean": [80.0], "std": [70.0]}
    label = {"labels": [str(i) for i in range(10)], "counts": [10] * 10}
    columns = {"image": ColumnSchema("image", "image", image), "label": ColumnSchema("label", "label", label)}
    run = Run.create(tmp_path_factory.mktemp("serve") / "digits-001", recipe, Schema(task_type.name, columns), {})
    model = run.task().model().eval()
    run.save_model(model.state_dict())
    example = (torch.zeros(1, 1, 8, 8, dtype=torch.uint8),)
    weights = file_digest(run.path / "model.safetensors")
    (run.path / "model.onnx").write_bytes(_to_onnx(run.task(), _WholeModel(run.task(), model).eval(), example, weights))
    return run


@pytest.fixture(scope="module")
def predictor(run: Run) -> OnnxPredictor:
    return OnnxPredictor(run.path / "model.onnx", threads=1)


@pytest.fixture(scope="module")
def client(predictor: OnnxPredictor) -> Iterator[httpx.Client]:
    with served(predictor, ABOUT, max_upload_mb=0.2, max_inputs=8) as client:
        yield client
