"""An answer that is written piece by piece, as server-sent events: what a language model says over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ..finding import BadInput
from ..kind import Unreadable
from .batcher import Cells, check_names, readable
from .session import OnnxPredictor

__all__ = ["read_stream_request", "write_events"]


async def read_stream_request(request: Request, predictor: OnnxPredictor) -> tuple[dict[str, Any], Any]:
    """`{"text": "...", "options": {"tokens": 50}}` as the given values and the task's options."""
    try:
        value = json.loads(await request.body())
    except ClientDisconnect:
        raise HTTPException(400, "the request ended before its body did") from None
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    options = value.pop("options", {})
    if not isinstance(options, dict):
        raise HTTPException(400, "options is not an object")
    check_names(value, predictor.task)
    cells: Cells = value
    for role, cell in cells.items():
        if not isinstance(cell, str):
            raise HTTPException(400, f"{role}: not a string")
    try:
        return readable(predictor.task, cells), predictor.task.build_options(options)
    except (BadInput, Unreadable) as error:
        raise HTTPException(400, str(error)) from None


def write_events(predictor: OnnxPredictor, given: Mapping[str, Any], options: Any, seconds: float) -> Iterator[str]:
    """`data: {"text": ...}` for each piece, then `event: done`; it ends after `seconds` in any case, and says so."""
    task = type(predictor.task)(predictor.task.recipe, predictor.task.schema, options=options)
    started, pieces, ended = time.perf_counter(), 0, "complete"
    for piece in task.stream(predictor.parts, given):
        pieces += 1
        yield f"data: {json.dumps({'text': piece})}\n\n"
        if time.perf_counter() - started > seconds:
            ended = f"stopped after {seconds:g} s"
            break
    about = {"pieces": pieces, "ms": round(1e3 * (time.perf_counter() - started), 3), "ended": ended}
    yield f"event: done\ndata: {json.dumps(about)}\n\n"
