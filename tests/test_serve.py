"""The server, spoken to over real sockets: right answers in every form, every refusal, and its way out."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from snowball.deploy import serve
from snowball.deploy.batcher import Batcher, QueueFull
from snowball.deploy.export import _to_onnx, _WholeModel
from snowball.deploy.serve import ServeSection, build_app, serve_run
from snowball.deploy.session import OnnxPredictor
from snowball.display import Display
from snowball.finding import BadInput
from snowball.kind import Kind
from snowball.kinds.image import ImageKind
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.run import Run
from snowball.schema import ColumnSchema, Schema
from snowball.storage import file_digest

from .served import served

ABOUT = {"name": "digits-001", "task": "image-classification", "weights": "0123"}


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
    return float(re.search(rf"^snowball_{re.escape(sample)} (\S+)$", client.get("/metrics").text, re.M)[1])  # type: ignore[index]


JSON, PICTURE = {"Content-Type": "application/json"}, {"Content-Type": "image/png"}
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


BAD: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no picture": (400, "image: not a picture", {"files": {"image": b"hello"}}),
    "truncated picture": (400, "image: damaged", {"files": {"image": png(0)[:60]}}),
    "empty file": (400, "image: zero bytes", {"files": {"image": b""}}),
    "one bad of several": (400, "input 2 of 2: image: not", {"files": [("image", png(0)), ("image", b"hello")]}),
    "bad base64": (400, "not a base64", {"json": {"image": "!"}}),
    "a path": (400, "not a base64", {"json": {"image": "/tmp/7.png"}}),
    "a path that is base64": (400, "not a picture", {"json": {"image": "/etc/issue/aa"[:12]}}),
    "a file url": (400, "not a base64", {"json": {"image": "file:///etc/passwd"}}),
    "a stored picture's path": (400, "image: not a string", {"json": {"image": {"path": "/tmp/7.png"}}}),
    "a number": (400, "image: not a string", {"json": {"image": 7}}),
    "no json": (400, "not JSON", {"content": b"{", "headers": JSON}),
    "no utf-8": (400, "not JSON", {"content": b'"\xff"', "headers": JSON}),
    "deep json": (400, "not JSON", {"content": b"[" * 90_000, "headers": JSON}),
    "a list": (400, "an input is an object", {"json": [1]}),
    "no inputs": (400, "1 to 8", {"json": {"inputs": []}}),
    "too many inputs": (400, "1 to 8", {"json": {"inputs": [{"image": ""}] * 9}}),
    "too many files": (400, "8", {"files": [("image", b"x")] * 9}),
    "too many files and fields": (400, "1 to 8", {"files": [("image", b"x")] * 5, "data": {"image": ["x"] * 5}}),
    "no field": (400, "the fields are image", {"json": {}}),
    "mistyped field": (400, "'imgae' (nearest: image); the fields are image", {"files": {"imgae": png(0)}}),
    "an unprintable field": (400, "unknown field", {"content": json.dumps({"\ud800\n" * 99: "x"}), "headers": JSON}),
    "beside inputs": (400, "no other field", {"json": {"inputs": [{"image": text(0)}], "model": "x"}}),
    "no boundary": (400, "boundary", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
    "other type": (415, "image/*", {"content": png(0), "headers": {"Content-Type": "application/zip"}}),
    "no type": (415, "multipart/form-data", {"content": png(0)}),
    "too large": (413, "200,000 bytes", {"files": {"image": b"x" * 200_000}}),
    "too large in chunks": (413, "200,000 bytes", {"content": (b"x" * 20_000 for _ in range(11)), "headers": PICTURE}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_one_clear_line(case: str, client: httpx.Client) -> None:
    status, words, request = BAD[case]
    response = client.post("/predict", **request)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert words in response.json()["error"]
    assert "\n" not in response.json()["error"]
    assert len(response.json()["error"]) <= 300
    assert client.post("/predict", json={"image": text(0)}).status_code == 200  # and the next is answered


def test_a_large_body_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=5) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 200001\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_other_paths_and_methods_are_refused_in_the_same_form(client: httpx.Client) -> None:
    for method, path, status in (
        ("GET", "/predict", 405),
        ("GET", "/static/../serve.py", 404),
        ("DELETE", "/health", 405),
    ):
        response = client.request(method, path)
        assert (response.status_code, list(response.json())) == (status, ["error"])
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_kind_that_lives_in_files_never_sees_a_text(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Even where a kind forgets to turn a request's text into bytes, no path of a request is opened."""
    (tmp_path / "7.png").write_bytes(png(0))
    monkeypatch.setattr(ImageKind, "from_request", classmethod(lambda cls, value: value))
    assert ImageKind.read(str(tmp_path / "7.png")) is not None
    response = client.post("/predict", json={"image": str(tmp_path / "7.png")})
    assert (response.status_code, response.json()) == (400, {"error": "image: not the bytes of a file"})


def test_a_bug_shows_no_traceback(predictor: OnnxPredictor) -> None:
    def predict(rows: Any) -> Any:
        raise RuntimeError("secret detail")

    with served(SimpleNamespace(task=predictor.task, predict=predict), ABOUT) as client:
        response = client.post("/predict", json={"image": text(0)})
        assert (response.status_code, response.json()) == (500, {"error": "internal error"})
        assert response.headers["Cache-Control"] == "no-store"
        assert metric(client, 'requests_total{path="/predict",status="500"}') == 1


def test_over_its_limits_a_server_refuses_and_recovers(predictor: OnnxPredictor) -> None:
    with served(slow(predictor, 0.5), ABOUT, max_concurrency=1) as client:

        async def two() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=client.base_url) as many:
                return await asyncio.gather(*(many.post("/predict", json={"image": text(0)}) for _ in range(2)))

        good, busy = sorted(asyncio.run(two()), key=lambda response: response.status_code)
        assert (good.status_code, busy.status_code, busy.headers["Retry-After"]) == (200, 503, "1")
    with served(slow(predictor, 0.4), ABOUT, timeout_s=0.2) as client:
        assert client.post("/predict", json={"image": text(0)}).status_code == 504
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as dripping:
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n"
            dripping.sendall(head + b"x" * 9)
            assert dripping.recv(12) == b"HTTP/1.1 504"
        assert metric(client, "predictions_in_progress") == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:9"}, 200),  # a forwarded port
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "192.168.1.7"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_only_pages_and_names_of_its_own_may_use_it(headers: dict[str, str], status: int, client: httpx.Client) -> None:
    response = client.post("/predict", json={"image": text(0)}, headers=headers)
    assert response.status_code == status, response.text
    assert "access-control-allow-origin" not in response.headers
    if "Origin" not in headers:
        assert client.get("/health", headers=headers).status_code == status


def test_off_loopback_a_token_is_asked_on_every_path_and_method(predictor: OnnxPredictor) -> None:
    with pytest.raises(BadInput, match=r"serve.host=0.0.0.0 .* needs serve.token"):
        build_app(predictor, ServeSection(host="0.0.0.0"), ABOUT)
    with served(predictor, ABOUT, host="0.0.0.0", token="right-token", hosts=("model.example",)) as client:
        for path in ("/", "/docs", "/predict", "/health", "/metrics", "/openapi.json", "/nothing"):
            for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE"):
                for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic right-token"}):
                    assert client.request(method, path, headers=headers).status_code == 401, (method, path)
        good = {"Authorization": "Bearer right-token"}
        assert client.post("/predict", json={"image": text(0)}, headers=good).status_code == 200
        assert client.get("/health?token=right-token").status_code == 401  # only pages take it in their address
        assert client.get("/?token=wrong").status_code == 401
        assert "digits-001" in client.get("/?token=right-token").text
        assert 'name="token"' in client.get("/").text
        assert "digits-001" not in client.get("/").text
        for host, status in (
            ("model.example", 200),
            ("192.168.1.7:8000", 200),
            ("evil.example", 421),
            ("1.2.3.4.nip.io", 421),
        ):
            assert client.get("/health", headers={**good, "Host": host}).status_code == status


def test_health_metrics_and_openapi_tell_what_runs(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert (health["status"], health["model"]) == ("ok", ABOUT)
    assert health["uptime_s"] >= 0
    client.post("/predict", json={"image": text(0)})
    assert metric(client, 'requests_total{path="/predict",status="200"}') >= 1
    assert metric(client, 'predict_seconds_bucket{le="+Inf"}') == metric(client, "predict_seconds_count")
    body = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert list(body) == ["multipart/form-data", "application/json", "image/*"]
    assert body["application/json"]["schema"]["oneOf"][0]["required"] == ["image"]


def assert_whole_in_itself(response: httpx.Response) -> None:
    """The page names nothing outside, and its policy would not let it."""
    policy = response.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", policy)
    assert nonce is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert set(re.findall(r"<(?:script|style)([^>]*)>", response.text)) == {f' nonce="{nonce[1]}"'}
    assert not re.search(r"\son\w+=|\sstyle=|@import|url\(|src=", response.text)
    assert all(re.match(r"data:|docs$|\./$", link) for link in re.findall(r'href="([^"]*)"', response.text))


def test_pages_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        first, second = client.get(path), client.get(path)
        assert_whole_in_itself(first)
        assert first.headers["Content-Security-Policy"] != second.headers["Content-Security-Policy"]
    assert 'accept="image/*"' in client.get("/").text
    assert f"-F image=@FILE http://{client.base_url.host}:{client.base_url.port}/predict" in client.get("/docs").text


class Words(Kind):
    key = "words"

    @classmethod
    def read(cls, cell: Any) -> Any:
        return cell if isinstance(cell, str) else cell.decode()

    def encode(self, value: Any) -> Any:
        return value


def test_other_kinds_and_several_roles_need_no_new_code(predictor: OnnxPredictor) -> None:
    """A made-up task: a text and a question to a text; markup in a name stays text."""
    task = SimpleNamespace(
        name="asking",
        given={"question": "words", "context": "words"},
        kinds={"question": Words(predictor.task.recipe, {}), "context": Words(predictor.task.recipe, {})},
        baseline=lambda: {"text": "<b>yes</b>"},
        streams=False,
        asked=lambda: ("question", "context"),
        read_given=lambda cells: {role: Words.read(cell) for role, cell in cells.items()},
        encode_given=lambda given: given,
        present=lambda answer, given: answer,
    )
    joined = SimpleNamespace(task=task, predict=lambda rows: [{"text": "|".join(row.values())} for row in rows])
    with served(joined, {"name": "<i>why</i>", "task": "asking"}) as client:
        pair = {"question": "why?", "context": "so"}
        for request in ({"json": pair}, {"files": {name: (None, value) for name, value in pair.items()}}):
            assert client.post("/predict", **request).json()["predictions"] == [{"text": "why?|so"}]
        assert (
            client.post("/predict", json={"question": "why?"}).json()["error"].startswith("field 'context' is missing")
        )
        uneven = {
            "data": {"question": ["a", "b"], "context": "c"},
            "files": {"context": (None, "d"), "question": (None, "e")},
        }
        assert "as many of one as of another" in client.post("/predict", **uneven).json()["error"]  # type: ignore[arg-type]
        assert client.post("/predict", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        assert client.get("/").text.count("<textarea") == 2
        for path in ("/", "/docs"):
            assert not re.search("<i>|<b>yes", client.get(path).text)
            assert "&lt;i&gt;why" in client.get(path).text
        assert_whole_in_itself(client.get("/"))
        assert_whole_in_itself(client.get("/docs"))


def test_an_answer_leaves_at_once(client: httpx.Client) -> None:
    """40 ms is what an acknowledgement is delayed by where a socket waits for one before it sends the rest."""
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        client.post("/predict", json={"image": text(0)}).raise_for_status()
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[4] < 0.035


def test_a_bad_row_fails_alone_and_who_gave_up_is_skipped() -> None:
    calls: list[list[int]] = []

    def halve(rows: Sequence[int]) -> list[int]:
        calls.append(list(rows))
        time.sleep(0.08)
        if any(row % 2 for row in rows):
            raise ValueError(f"odd: {rows}")
        return [row // 2 for row in rows]

    async def scenario() -> list[Any]:
        async with Batcher(halve, max_batch=4, max_wait_s=0.0, max_queue=6) as batcher:
            first = asyncio.create_task(batcher.submit([100]))
            await asyncio.sleep(0.02)  # runs: the others gather behind it
            others = [asyncio.create_task(batcher.submit(rows)) for rows in ([2], [3], [8, 6], [44])]
            await asyncio.sleep(0.02)
            others.pop().cancel()
            with pytest.raises(QueueFull):
                await batcher.submit([0, 0])
            answers = [await first, *await asyncio.gather(*others, return_exceptions=True)]
            return [*answers, await batcher.submit([10])]

    first, second, third, fourth, last = asyncio.run(scenario())
    assert (first, second, fourth, last) == ([50], [1], [4, 3], [5])
    assert str(third) == "odd: [3]"
    assert calls == [[100], [2, 3, 8, 6], [2], [3], [8], [6], [10]]


def test_a_batch_waits_for_rows_on_their_way_and_for_nobody_else() -> None:
    sizes: list[int] = []

    def halved(rows: Sequence[int]) -> list[int]:
        return [row // 2 for row in rows]

    async def scenario() -> float:
        async with Batcher(halved, max_batch=8, max_wait_s=0.3, max_queue=9, observe=sizes.append) as batcher:
            started = time.perf_counter()
            await batcher.submit([1])
            alone = time.perf_counter() - started
            with batcher.arriving():
                early = asyncio.create_task(batcher.submit([2]))
                await asyncio.sleep(0.02)
            await asyncio.gather(early, batcher.submit([3]))
            return alone

    assert asyncio.run(scenario()) < 0.2
    assert sizes == [1, 2]


def test_stopping_lets_go_of_who_waits() -> None:
    def sleep(rows: Sequence[int]) -> Sequence[int]:
        time.sleep(0.2)
        return rows

    async def scenario() -> None:
        async with Batcher(sleep, max_batch=1, max_wait_s=0.0, max_queue=9) as batcher:
            waiting = [asyncio.create_task(batcher.submit([row])) for row in range(3)]
            await asyncio.sleep(0.05)
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 0.1)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(scenario())


def test_a_port_in_use_is_one_clear_line(run: Run) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BadInput, match=r"already in use.*port=0 takes"),
    ):
        serve_run(run, ServeSection(port=taken.getsockname()[1]), Display(quiet=True))


def test_the_onnx_file_is_made_anew_for_other_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    path, weights = run.path / "model.onnx", run.path / "model.safetensors"
    whole, kept = path.read_bytes(), weights.read_bytes()

    def export(run: Run, path: Path, display: Display) -> None:
        path.write_bytes(whole)
        made.append(path.name)

    def times_made() -> int:
        serve._current(run, 1, Display(quiet=True))
        return len(made)

    monkeypatch.setattr(serve, "export_run", export)
    assert times_made() == 0
    os.utime(path, (1, 1))
    assert times_made() == 0  # older than the weights, but of them: a copied folder
    weights.write_bytes(kept + b"x")
    assert times_made() == 1
    weights.write_bytes(kept)
    path.unlink()
    assert times_made() == 2


@pytest.mark.parametrize(("sent", "host"), [(signal.SIGTERM, "127.0.0.1"), (signal.SIGINT, "0.0.0.0")])
def test_the_command_serves_and_ends_quickly_with_0(sent: signal.Signals, host: str, run: Run) -> None:
    command = [sys.executable, "-m", "snowball", "serve", str(run.path), "port=0", f"host={host}", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "Ctrl+C" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            port = re.search(r"is served on http://[^:]+:(\d+)", said)
            token = re.search(r"Authorization: Bearer (\S{32})'", said)
            assert port is not None
            assert (token is not None) == (host == "0.0.0.0"), said
            headers = {"Authorization": f"Bearer {token[1]}"} if token else {}
            client = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", headers=headers, timeout=20)
            assert client.post("/predict", files={"image": png(0)}).status_code == 200
            idle, dripping = (socket.create_connection(("127.0.0.1", int(port[1]))) for _ in range(2))
            begun = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n"
            for name, value in headers.items():
                begun += f"{name}: {value}\r\n"
            dripping.sendall(f"{begun}\r\nx".encode())
            time.sleep(0.2)
            process.send_signal(sent)
            assert process.wait(10) == 0, "neither connection is waited for"
            assert process.stdout is not None
            assert json.loads(process.stdout.read())["run"] == str(run.path)
            assert "Traceback" not in process.stderr.read()
            assert dripping.recv(12) == b"HTTP/1.1 503"
            for connection in (idle, dripping, client):
                connection.close()
        finally:
            process.kill()
