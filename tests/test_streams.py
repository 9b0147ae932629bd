"""A language model over HTTP: pieces as they are written, PyTorch's own text, and every refusal in one line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import snowball
from snowball.deploy.session import OnnxPredictor
from snowball.run import Run

from .served import served

KEYS = {
    "steps": 20,
    "preflight": False,
    "context": 16,
    "layers": 1,
    "width": 16,
    "heads": 2,
    "network.hidden": 16,
    "text.tokens": "byte",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "book.txt").write_text("Grüße aus Köln, sagte die Möwe.\n" * 200, encoding="utf-8")
    run = snowball.train(str(folder / "book.txt"), KEYS, output=folder / "run", quiet=True)
    run.export(run.path / "model.onnx")
    return run


@pytest.fixture(scope="module")
def client(run: Run) -> Iterator[httpx.Client]:
    """A real server on a free port, in a thread, and a client of it."""
    predictor = OnnxPredictor(run.path / "model.onnx", threads=1)
    about = {"name": "book", "task": predictor.task.name, "weights": "0123"}
    with served(predictor, about, max_concurrency=1, stream_s=5) as client:
        yield client


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


def test_the_pieces_are_the_text_that_pytorch_writes(client: httpx.Client, run: Run) -> None:
    options = {"tokens": 30, "seed": 3, "temperature": 1.0}
    response = client.post("/stream", json={"text": "Grüße", "options": options})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    *pieces, done = events(response)
    assert "".join(piece["text"] for piece in pieces) == "".join(run.stream("Grüße", **options))
    assert done["pieces"] == len(pieces)
    assert done["ended"] == "complete"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": "a", "options": {"tokns": 3}}, "nearest: tokens"),
        ({"text": "a", "options": {"tokens": -1}}, "predict.tokens"),
        ({"text": "a", "options": [1]}, "options is not an object"),
        ({"text": ""}, "empty text"),
        ({"txt": "a"}, "nearest: text"),
        ({"text": 3}, "not a string"),
        ([], "not a JSON object"),
    ],
)
def test_a_bad_request_gets_one_clear_line(client: httpx.Client, body: Any, said: str) -> None:
    response = client.post("/stream", json=body)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert "\n" not in response.json()["error"]


def test_what_is_too_long_is_ended_and_who_leaves_frees_the_place(client: httpx.Client) -> None:
    asked = {"text": "Köln", "options": {"tokens": 100_000}}
    with client.stream("POST", "/stream", json=asked) as response:
        assert response.status_code == 200
        next(response.iter_lines())
        busy = client.post("/stream", json=asked)
        assert busy.status_code == 503, "one more than max_concurrency"
    until = time.monotonic() + 10
    while (response := client.post("/stream", json=asked)).status_code == 503 and time.monotonic() < until:
        time.sleep(0.1)  # the server notices at its next piece that the reader has gone
    *_, done = events(response)
    assert done["ended"] == "stopped after 5 s"


def test_a_page_and_predict_are_there_too(client: httpx.Client) -> None:
    assert "written" in client.get("/").text
    answer = client.post("/predict", json={"text": "Grüße"}).json()["predictions"][0]
    assert answer["perplexity"] > 1


def test_predict_says_what_the_network_does_not_see(run: Run, tmp_path: Path) -> None:
    (answer,) = run.predict("Möwe " * 20, tokens=3)
    assert answer["notes"] == ["the text has 120 tokens, of which a continuation sees the last 16"]
    assert "Ã" not in answer["text"]
