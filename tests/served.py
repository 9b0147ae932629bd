"""A model behind a real server, for the tests that ask it over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from snowball.deploy import serve
from snowball.deploy.serve import ServeSection, build_app


@contextmanager
def served(predictor: Any, about: Mapping[str, str], **keys: Any) -> Iterator[httpx.Client]:
    """A server on a free port, in a thread, and a client of it; `keys` are those of ServeSection."""
    with serve._listen(ServeSection(port=0)) as listener:
        app = build_app(predictor, ServeSection(**keys), dict(about))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
