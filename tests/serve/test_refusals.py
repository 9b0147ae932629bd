"""What a server refuses: bad requests, strangers, and what is too much."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from snowball.deploy.serve import ServeSection, build_app
from snowball.deploy.session import OnnxPredictor
from snowball.finding import BadInput
from snowball.kinds.image import ImageKind

from ..served import served
from .pictures import ABOUT, JSON, PICTURE, metric, png, slow, text

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
