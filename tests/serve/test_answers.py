"""Every form of a request gets the session's own answers, alone and in batches."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from snowball.deploy.session import OnnxPredictor
from snowball.kinds.image import ImageKind

from ..served import served
from .pictures import ABOUT, PICTURE, metric, pixels, png, right, slow, text

FORMS: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
    "upload": (1, lambda: {"files": {"image": ("0.png", png(0))}}),
    "several uploads": (3, lambda: {"files": [("image", (f"{i}.png", png(i))) for i in range(3)]}),
    "base64 field of a form": (1, lambda: {"files": {"image": (None, text(0))}}),
    "json": (1, lambda: {"json": {"image": text(0)}}),
    "json data url": (1, lambda: {"json": {"image": f"data:image/png;base64,{text(0)}"}}),
    "several in json": (3, lambda: {"json": {"inputs": [{"image": text(i)} for i in range(3)]}}),
    "raw body": (1, lambda: {"content": png(0), "headers": PICTURE}),
    "chunked body": (1, lambda: {"content": iter([png(0)[:50], png(0)[50:]]), "headers": PICTURE}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_request_gives_the_answers_of_the_session(
    form: str, client: httpx.Client, predictor: OnnxPredictor
) -> None:
    count, request = FORMS[form]
    response = client.post("/predict", **request())
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == right(predictor, *range(count))
    assert response.json()["model"] == ABOUT
    assert response.json()["ms"] > 0


def test_pictures_of_another_size_are_encoded_as_in_training(client: httpx.Client, predictor: OnnxPredictor) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels(1)).resize((31, 17)).convert("RGB").save(file, "PNG")
    encoded = predictor.task.encode_given({"image": ImageKind.read(file.getvalue())})
    assert client.post("/predict", files={"image": file.getvalue()}).json()["predictions"] == predictor.predict(
        [encoded]
    )


def test_a_hundred_at_once_get_their_own_answers_in_batches(predictor: OnnxPredictor) -> None:
    with served(slow(predictor, 0.02), ABOUT, max_concurrency=100, max_batch=16) as client:

        async def ask_all() -> list[httpx.Response]:
            limits = httpx.Limits(max_connections=100)
            async with httpx.AsyncClient(base_url=client.base_url, limits=limits, timeout=20) as many:
                return await asyncio.gather(*(many.post("/predict", files={"image": png(i)}) for i in range(100)))

        for seed, response in enumerate(asyncio.run(ask_all())):
            assert response.json()["predictions"] == right(predictor, seed)
        assert metric(client, "batch_rows_sum") == 100
        assert 100 / 16 <= metric(client, "batch_rows_count") < 50
        assert metric(client, 'batch_rows_bucket{le="16"}') == metric(client, "batch_rows_count")
        assert metric(client, 'batch_rows_bucket{le="8"}') < metric(client, "batch_rows_count")
        assert metric(client, "predictions_in_progress") == metric(client, "queue_rows") == 0


def test_a_request_that_is_read_joins_the_next_batch(predictor: OnnxPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ImageKind.read

    def slowly(cell: Any) -> np.ndarray:
        time.sleep(0.2 if cell == png(1) else 0.0)
        return read(cell)

    monkeypatch.setattr(ImageKind, "read", staticmethod(slowly))
    with served(predictor, ABOUT, max_wait_ms=2000) as client:

        async def later(seconds: float, seed: int) -> httpx.Response:
            await asyncio.sleep(seconds)
            async with httpx.AsyncClient(base_url=client.base_url) as one:
                return await one.post("/predict", files={"image": png(seed)})

        async def both() -> tuple[httpx.Response, httpx.Response]:
            return await asyncio.gather(later(0, 1), later(0.1, 2))

        assert [answer.json()["predictions"] for answer in asyncio.run(both())] == [
            right(predictor, 1),
            right(predictor, 2),
        ]
        assert metric(client, "batch_rows_count") == 1


def test_an_answer_leaves_at_once(client: httpx.Client) -> None:
    """40 ms is what an acknowledgement is delayed by where a socket waits for one before it sends the rest."""
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        client.post("/predict", json={"image": text(0)}).raise_for_status()
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[4] < 0.035
