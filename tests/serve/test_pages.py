"""What a server says of itself, and its pages, whatever the task."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import httpx

from snowball.deploy.session import OnnxPredictor
from snowball.kind import Kind

from ..served import served
from .pictures import ABOUT, metric, text


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
        uneven: Any = {
            "data": {"question": ["a", "b"], "context": "c"},
            "files": {"context": (None, "d"), "question": (None, "e")},
        }
        assert "as many of one as of another" in client.post("/predict", **uneven).json()["error"]
        assert client.post("/predict", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        assert client.get("/").text.count("<textarea") == 2
        for path in ("/", "/docs"):
            assert not re.search("<i>|<b>yes", client.get(path).text)
            assert "&lt;i&gt;why" in client.get(path).text
        assert_whole_in_itself(client.get("/"))
        assert_whole_in_itself(client.get("/docs"))
