"""Serve: answers over HTTP, and a page to try them on.

Every request is checked before its body is read; no path and no URL that it names is ever opened. No task is named.
"""

from __future__ import annotations

import gc
import hmac
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from errno import EADDRINUSE
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..display import Display
from ..finding import BadInput
from ..recipe import Section
from ..run import Run
from ..storage import file_digest, read_json, write_json
from .batcher import Batcher, Metrics, Predictions, accepted
from .export import export_run
from .session import OnnxPredictor
from .templates import page, render

__all__ = ["ServeSection", "build_app", "serve_run"]

NUMERIC = re.compile(r"\d+(\.\d+)*|\[[0-9a-f:.]+\]")  # an address in a URL, which no name can look like
EVERY = ("0.0.0.0", "::")  # hosts that stand for every interface
PAGES = ("/", "/docs")  # a browser opens these by address, so they take ?token= as well
PATHS = frozenset((*PAGES, "/predict", "/health", "/metrics", "/openapi.json"))
HEADERS = {  # of every response; pages bring their own Content-Security-Policy
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ServeSection(Section):
    """The server."""

    key = "serve"

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback (`0.0.0.0` is every interface) needs a token."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on. 0: any free one, which is then printed."""
    token: str | None = Field(None, pattern=r"^[!-~]+$", repr=False)
    """Asked of every request as `Authorization: Bearer TOKEN`. Default: none on loopback, else made up and printed."""
    hosts: tuple[str, ...] = ()
    """Further names the server is reached by, e.g. behind a proxy. Requests for any other Host are refused."""
    max_upload_mb: float = Field(10, gt=0)
    """The largest request body, in megabytes (1,000,000 bytes)."""
    max_inputs: int = Field(64, ge=1)
    """Inputs in one request."""
    max_batch: int = Field(32, ge=1)
    """Rows in one call of the session."""
    max_wait_ms: float = Field(2.0, ge=0)
    """How long a batch that is not full waits for requests that are already being read. A lone request never waits."""
    max_concurrency: int = Field(64, ge=1)
    """Predictions in progress; more are refused with 503 and Retry-After."""
    timeout_s: float = Field(10, gt=0)
    """Seconds a prediction may take, its upload included."""
    threads: int = Field(0, ge=0)
    """Threads of the session. 0: all cores but one, which is left to the requests."""


class _Guard:
    """Every request passes here: Host, Origin, token, body size; every response gets its headers and is counted."""

    def __init__(self, app: ASGIApp, section: ServeSection, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.limit = int(section.max_upload_mb * 1e6)
        self.too_large = f"the body is larger than {self.limit:,} bytes"
        self.token = section.token.encode() if section.token else None
        self.any_address = section.host in EVERY
        machine = (socket.gethostname(), f"{socket.gethostname()}.local") if self.any_address else (section.host,)
        own = ("localhost", "127.0.0.1", "[::1]", f"[{section.host}]", *machine, *section.hosts)
        self.names = {name.lower() for name in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, taken = time.perf_counter(), 0, 0

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        async def guarded_receive() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limit:
                raise HTTPException(413, self.too_large)
            return message

        path = scope["path"] if scope["path"] in PATHS else "other"
        try:
            self.check(scope, Headers(scope=scope))
            await self.app(scope, guarded_receive, guarded_send)
        except HTTPException as error:
            asks = error.status_code == 401 and path in PAGES
            response = page("token.html", {}, 401) if asks else await _refusal(None, error)
            await response(scope, receive, guarded_send)
        except Exception:
            logging.getLogger("uvicorn.error").exception("%s %s failed", scope["method"], path)
            if not status:
                await JSONResponse({"error": "internal error"}, 500)(scope, receive, guarded_send)
        self.metrics.count("requests_total", f'{{path="{path}",status="{status}"}}')
        if path == "/predict":
            self.metrics.observe("predict_seconds", time.perf_counter() - started)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raise for a request that must not reach the application."""
        host = ",".join(headers.getlist("host")).lower()  # two are no name of ours either
        if not self.knows(host):
            raise HTTPException(421, f"host {host!r} is not a name of this server; serve.hosts=NAME adds one")
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin and origin.lower().partition("://")[2] != host:
            raise HTTPException(403, f"a page of {origin[:80]!r} may not use this server")
        if self.token and not any(hmac.compare_digest(token, self.token) for token in _tokens(scope, headers)):
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if int(headers.get("content-length", "0")) > self.limit:
            raise HTTPException(413, self.too_large)

    def knows(self, host: str) -> bool:
        """Whether it is a name of ours. On every interface any address will do: DNS rebinding needs a name."""
        name = re.sub(r":\d{1,5}$", "", host)
        return name in self.names or (self.any_address and NUMERIC.fullmatch(name) is not None)


def _tokens(scope: Scope, headers: Headers) -> list[bytes]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    if scope["path"] in PAGES:
        found += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
    return [value.encode() for value in found]


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


async def _refusal(request: Request | None, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    line = " ".join(error.detail.encode("utf-8", "replace").decode().split())[:300]
    return JSONResponse({"error": line}, error.status_code, error.headers)


def build_app(predictor: OnnxPredictor, section: ServeSection, about: Mapping[str, Any]) -> FastAPI:
    """The application. `about` describes the model, JSON-able; it is part of every answer and of /health."""
    if section.token is None and not _is_loopback(section.host):
        raise BadInput(f"serve.host={section.host} is reachable from other machines: it needs serve.token")
    metrics = Metrics()
    observe = partial(metrics.observe, "batch_rows")
    max_queue = max(section.max_inputs, 16 * section.max_batch)
    batcher = Batcher(predictor.predict, section.max_batch, section.max_wait_ms / 1e3, max_queue, observe)
    predictions = Predictions(predictor.task, batcher, section.max_concurrency, section.timeout_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield
        predictions.stop()

    app = FastAPI(
        title=f"Snowball: {about['name']}",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={HTTPException: _refusal},
    )
    app.add_middleware(_Guard, section=section, metrics=metrics)
    _add_routes(app, section, predictions, metrics, dict(about))
    return app


def _add_routes(
    app: FastAPI, section: ServeSection, predictions: Predictions, metrics: Metrics, about: dict[str, Any]
) -> None:
    task, begun, max_bytes = predictions.task, time.monotonic(), int(section.max_upload_mb * 1e6)
    shown = {
        "roles": {role: task.kinds[role] for role in task.given},
        "accepted": accepted(task),
        "about": about,
        "example": task.answer_kind.baseline(),
        "section": section,
    }
    described = json.loads(render("predict.json", shown))

    @app.post("/predict", response_class=JSONResponse, **described)
    async def predict(request: Request) -> Response:
        started = time.perf_counter()
        answers = await predictions.answer(request, section.max_inputs, max_bytes)
        ms = round((time.perf_counter() - started) * 1e3, 3)
        return JSONResponse({"predictions": answers, "model": about, "ms": ms})

    @app.get("/health", summary="Whether it runs, and which model it has", response_class=JSONResponse)
    async def health() -> Response:
        uptime_s = round(time.monotonic() - begun, 1)
        return JSONResponse({"status": "ok", "model": about, "uptime_s": uptime_s, "version": __version__})

    @app.get("/metrics", summary="Counters, in Prometheus' text format", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        gauges = {"queue_rows": predictions.waiting, "predictions_in_progress": predictions.in_progress}
        text = metrics.text(**gauges, uptime_seconds=time.monotonic() - begun)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def try_it() -> Response:
        return page("page.html", shown)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return page("docs.html", {**shown, "api": app.openapi(), "url": str(request.base_url).rstrip("/")})


def serve_run(run: Run, section: ServeSection, display: Display | None = None) -> None:
    """Answer over HTTP until SIGINT or SIGTERM. The run's ONNX file is made, and proven, where there is none yet."""
    display = display or Display()
    made_up = None if section.token or _is_loopback(section.host) else secrets.token_urlsafe(24)
    section = section.model_copy(update={"token": section.token or made_up})
    with _listen(section) as listener:
        predictor = OnnxPredictor(_current_onnx(run, display), section.threads or max(1, (os.cpu_count() or 1) - 1))
        weights = file_digest(run.path / "model.safetensors")[:12]
        about = {"name": run.path.resolve().name, "task": predictor.task.name, "weights": weights}
        app = build_app(predictor, section, about)
        host = socket.gethostname() if section.host in EVERY else section.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        token = made_up or ("TOKEN" if section.token else None)  # a given one is not repeated on the screen
        display.line(render("announce.txt", {"about": about, "url": url, "token": token, "task": predictor.task}))
        config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1)
        gc.freeze()  # else each full collection walks all of torch: 130 ms in which nobody is answered (24 Nov 2026)
        _Server(config).run(sockets=[listener])
        gc.unfreeze()
    display.line("stopped")


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn does, but without raising the signal again afterwards: being told to stop is no failure."""
        self.force_exit, self.should_exit = self.should_exit, True


def _listen(section: ServeSection) -> socket.socket:
    """A listening socket: a port in use is found out before the work, and port 0 becomes a number."""
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    try:
        listener = socket.create_server((section.host, section.port), family=family, backlog=2048)
    except OSError as error:
        hint = "; port=0 takes any free one" if error.errno == EADDRINUSE else ""
        raise BadInput(f"host={section.host} port={section.port}: {error.strerror}{hint}") from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on sockets of its own only
    return listener


def _current_onnx(run: Run, display: Display) -> Path:
    """The run's model.onnx, made anew where it is not of the present weights: by digest where known, else by age."""
    path, weights, note = (run.path / name for name in ("model.onnx", "model.safetensors", "model.onnx.json"))
    if path.is_file():
        made = read_json(note) if note.is_file() else {}
        newer = path.stat().st_mtime_ns >= weights.stat().st_mtime_ns
        known = made.get(path.name) == file_digest(path)
        if made.get(weights.name) == file_digest(weights) if known else newer:
            return path
        display.line(f"{path} is of other weights: it is made anew")
    export_run(run, path, display=display)
    write_json(note, {file.name: file_digest(file) for file in (path, weights)})
    return path
