"""Serve: answers over HTTP, and a page to try them on.

Every request is checked before its body is read; no path and no URL that it names is ever opened. No task is named.
"""

from __future__ import annotations

import gc
import json
import os
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from errno import EADDRINUSE
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from .. import __version__
from ..display import Display
from ..finding import BadInput
from ..recipe import Section
from ..run import Run
from ..storage import file_digest
from .batcher import Batcher, Metrics, Predictions, accepted
from .export import export_run
from .guard import EVERY, Guard, refusal
from .session import OnnxPredictor
from .streams import read_stream_request, write_events
from .templates import page, render

__all__ = ["ServeSection", "build_app", "serve_run"]


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
    stream_s: float = Field(60, gt=0)
    """Seconds after which an answer that is written piece by piece is ended."""
    threads: int = Field(0, ge=0)
    """Threads of the session. 0: all cores but one, which is left to the requests."""


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


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
        exception_handlers={HTTPException: refusal},
    )
    app.add_middleware(Guard, section=section, metrics=metrics)
    _add_routes(app, section, predictions, metrics, dict(about))
    if predictor.task.streams:
        _add_stream(app, section, predictions, predictor)
    return app


def _add_stream(app: FastAPI, section: ServeSection, predictions: Predictions, predictor: OnnxPredictor) -> None:
    about = 'Continue a text: `{"text": ..., "options": {"tokens": 50}}`; pieces come as server-sent events'

    @app.post("/stream", summary=about, response_class=StreamingResponse)
    async def stream(request: Request) -> Response:
        given, options = await read_stream_request(request, predictor)
        busy = predictions.busy()
        busy.__enter__()  # until the last piece is written, or the reader has gone

        def events() -> Iterator[str]:
            try:
                yield from write_events(predictor, given, options, section.stream_s)
            finally:
                busy.__exit__(None, None, None)

        return StreamingResponse(events(), media_type="text/event-stream")


def _add_routes(
    app: FastAPI, section: ServeSection, predictions: Predictions, metrics: Metrics, about: dict[str, Any]
) -> None:
    task, begun, max_bytes = predictions.task, time.monotonic(), int(section.max_upload_mb * 1e6)
    shown = {
        "roles": {role: task.kinds[role] for role in task.asked()},
        "accepted": accepted(task),
        "about": about,
        "example": task.baseline(),
        "streams": task.streams,
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
        predictor = _current(run, section.threads or max(1, (os.cpu_count() or 1) - 1), display)
        about = {"name": run.path.resolve().name, "task": predictor.task.name, "weights": predictor.weights[:12]}
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


def _current(run: Run, threads: int, display: Display) -> OnnxPredictor:
    """The run's model.onnx, made anew where it is missing or of other weights."""
    path = run.path / "model.onnx"
    if path.is_file():
        predictor = OnnxPredictor(path, threads)
        if predictor.weights == file_digest(run.path / "model.safetensors"):
            return predictor
        display.line(f"{path} is of other weights: it is made anew")
    export_run(run, path, display=display)
    return OnnxPredictor(path, threads)
