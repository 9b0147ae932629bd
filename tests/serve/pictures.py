"""Pictures of 8 x 8 pixels to ask about, and what the session itself says of them."""

from __future__ import annotations

import base64
import io
import re
import time
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from snowball.deploy.session import OnnxPredictor

ABOUT = {"name": "digits-001", "task": "image-classification", "weights": "0123"}
JSON, PICTURE = {"Content-Type": "application/json"}, {"Content-Type": "image/png"}


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(seed)).save(file, "PNG")
    return file.getvalue()


def text(seed: int) -> str:
    return base64.b64encode(png(seed)).decode()


def right(predictor: OnnxPredictor, *seeds: int) -> list[Any]:
    """The answers of the session itself, each picture alone."""
    rows = [predictor.task.decode(predictor.run([pixels(seed)[None, None]]))[0] for seed in seeds]
    return [
        {**row, "confidence": pytest.approx(row["confidence"]), "probabilities": pytest.approx(row["probabilities"])}
        for row in rows
    ]


def slow(predictor: OnnxPredictor, seconds: float) -> Any:
    def predict(rows: Any) -> Any:
        time.sleep(seconds)
        return predictor.predict(rows)

    return SimpleNamespace(task=predictor.task, predict=predict)


def metric(client: httpx.Client, sample: str) -> float:
    found = re.search(rf"^snowball_{re.escape(sample)} (\S+)$", client.get("/metrics").text, re.M)
    assert found is not None, sample
    return float(found[1])
