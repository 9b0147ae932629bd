"""What every request passes before its body is read: its Host, Origin, token and size."""

from __future__ import annotations

import hmac
import logging
import re
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .batcher import Metrics
from .templates import page

if TYPE_CHECKING:
    from .serve import ServeSection

__all__ = ["EVERY", "Guard", "refusal"]

NUMERIC = re.compile(r"\d+(\.\d+)*|\[[0-9a-f:.]+\]")  # an address in a URL, which no name can look like
EVERY = ("0.0.0.0", "::")  # hosts that stand for every interface
PAGES = ("/", "/docs")  # a browser opens these by address, so they take ?token= as well
PATHS = frozenset((*PAGES, "/predict", "/stream", "/health", "/metrics", "/openapi.json"))
HEADERS = {  # of every response; pages bring their own Content-Security-Policy
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
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
            response = page("token.html", {}, 401) if asks else await refusal(None, error)
            await response(scope, receive, guarded_send)
        except Exception:  # a mistake of ours: the log tells of it, the answer does not
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


async def refusal(request: Request | None, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    line = " ".join(error.detail.encode("utf-8", "replace").decode().split())[:300]
    return JSONResponse({"error": line}, error.status_code, error.headers)
