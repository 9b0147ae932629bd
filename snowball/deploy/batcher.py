"""The way of a prediction: a body is read into cells, cells are encoded in threads, rows are answered in batches.

Whatever is wrong with a body is an HTTPException of one clear line. One worker thread runs the session; rows that
arrive while it runs are the next batch: batches grow with the load, and a lone request waits for nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from typing import Any, Generic, TypeVar

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ..finding import nearest
from ..kind import Unreadable
from ..task import Task

__all__ = ["Batcher", "Metrics", "Predictions", "QueueFull", "accepted", "check_names", "readable"]

BUSY = "too many predictions in progress: try again"
Cells = dict[str, Any]
"""role -> the bytes of an upload, the text of a field, or a list where its kind takes one; not yet read"""
Row = TypeVar("Row")
Answer = TypeVar("Answer")


async def read_cells(request: Request, task: Task, max_inputs: int, max_bytes: int) -> list[Cells]:
    """The inputs of a request: a form, JSON, or the one input itself as the body."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json":
        return _from_json(await request.body(), task, max_inputs)
    if media == "multipart/form-data":
        parts = max_inputs * len(task.asked())
        async with request.form(max_files=parts, max_fields=parts, max_part_size=max_bytes) as form:
            fields: dict[str, list[bytes | str]] = {}
            for name, value in form.multi_items():
                fields.setdefault(name, []).append(await value.read() if isinstance(value, UploadFile) else value)
        check_names(fields, task)
        counts = {name: len(values) for name, values in fields.items()}
        if len(set(counts.values())) != 1 or max(counts.values()) > max_inputs:
            raise HTTPException(400, f"1 to {max_inputs} of each field, as many of one as of another; got {counts}")
        return [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
    if any(fnmatch(media, pattern) for pattern in accepted(task)):
        return [{role: await request.body() for role in task.asked()}]
    known = ", ".join(("multipart/form-data", "application/json", *accepted(task)))
    raise HTTPException(415, f"Content-Type {media!r} is not one of {known}")


def accepted(task: Task) -> tuple[str, ...]:
    """Media types of a body that is the one input itself; a task that is given more than one thing has none."""
    if len(task.asked()) > 1:
        return ()
    accept = task.kinds[task.asked()[0]].accept or "text/plain"
    return tuple(part.strip() for part in accept.split(",") if "/" in part)


def _from_json(body: bytes, task: Task, max_inputs: int) -> list[Cells]:
    """`{"image": "..."}`, or several as `{"inputs": [{"image": "..."}, ...]}`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    many = isinstance(value, dict) and "inputs" in value and "inputs" not in task.asked()
    inputs = value["inputs"] if many else [value]
    if many and value.keys() != {"inputs"}:
        raise HTTPException(400, "beside inputs the body has no other field")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= max_inputs:
        raise HTTPException(400, f"inputs is not a list of 1 to {max_inputs} objects")
    for one in inputs:
        if not isinstance(one, dict):
            form = ", ".join(f'"{role}": "..."' for role in task.asked())
            raise HTTPException(400, f"an input is an object: {{{form}}}")
        check_names(one, task)
        for role, cell in one.items():
            if not isinstance(cell, str) and not (task.kinds[role].nested and isinstance(cell, list)):
                raise HTTPException(400, f"{role}: not a string (a file is sent base64 encoded)")
    return inputs


def check_names(found: Mapping[str, Any], task: Task) -> None:
    asked = task.asked()
    known = f"the fields are {', '.join(asked)}"
    for name in found:
        if name not in asked:
            raise HTTPException(400, f"unknown field {name[:50]!r}{nearest(name[:50], asked)}; {known}")
    for role in asked:
        if role not in found:
            raise HTTPException(400, f"field {role!r} is missing; {known}")


def encode(task: Task, cells: Cells, where: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """One input's raw values, and as tensors; `where` begins the line of an error."""
    try:
        given = readable(task, cells)
        return given, task.encode_given(given)
    except Unreadable as error:
        raise HTTPException(400, f"{where}{error}") from None


def readable(task: Task, cells: Cells) -> dict[str, Any]:
    """Raw values of a request's cells. A kind that lives in files gets bytes only: its `read` would open a text as a
    path. Raises Unreadable, naming the field.
    """
    read = {}
    for role, cell in cells.items():
        kind = type(task.kinds[role])
        try:
            read[role] = kind.from_request(cell)
            if kind.suffixes and kind.reads_paths and not isinstance(read[role], bytes):
                raise Unreadable("not the bytes of a file")
        except Unreadable as error:
            raise Unreadable(f"{role}: {error}") from None
    try:
        return task.read_given(read)
    except Unreadable as error:
        raise Unreadable(f"{error.role}: {error}" if error.role else str(error)) from None


class QueueFull(Exception):
    """More rows wait than the queue may hold: try again later."""


class Batcher(Generic[Row, Answer]):
    """Answers rows in batches. `run` maps rows to as many answers; one thread calls it, never twice at a time.

    >>> async def double() -> list[int]:
    ...     async with Batcher(lambda rows: [2 * row for row in rows], 8, 0.0, 100) as batcher:
    ...         return await batcher.submit([1, 2, 3])
    >>> asyncio.run(double())
    [2, 4, 6]
    """

    def __init__(
        self,
        run: Callable[[Sequence[Row]], Sequence[Answer]],
        max_batch: int,
        max_wait_s: float,
        max_queue: int,
        observe: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._observe = run, observe
        self._max_batch, self._max_wait_s, self._max_queue = max_batch, max_wait_s, max_queue
        self._queue: asyncio.Queue[tuple[Row, asyncio.Future[Answer]]] = asyncio.Queue()
        self._open: set[asyncio.Future[Answer]] = set()
        self._thread = ThreadPoolExecutor(1, "snowball-session")
        self._arriving = 0

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._queue.qsize()

    async def __aenter__(self) -> Batcher[Row, Answer]:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the worker; whoever still waits for an answer is cancelled."""
        self._worker.cancel()
        for future in list(self._open):
            future.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """While a caller prepares rows for `submit`: a batch that is not full waits a little for them."""
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def submit(self, rows: Sequence[Row]) -> list[Answer]:
        """The rows' answers in their order. Raises QueueFull, or what `run` raised for one of these rows alone."""
        if self.waiting + len(rows) > self._max_queue:
            raise QueueFull
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer]] = [loop.create_future() for _ in rows]
        for row, future in zip(rows, futures, strict=True):
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            self._queue.put_nowait((row, future))
        return await asyncio.gather(*futures)  # cancelled with its caller; the worker then skips these rows

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [(row, future) for row, future in await self._gather() if not future.done()]
            if not batch:
                continue
            self._observe(len(batch))
            results = await loop.run_in_executor(self._thread, self._answers, [row for row, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _gather(self) -> list[tuple[Row, asyncio.Future[Answer]]]:
        """The next batch: what waits; and, only while others are known to be on their way, what comes in time."""
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._max_wait_s):
                while len(batch) < self._max_batch and (self._arriving or not self._queue.empty()):
                    batch.append(await self._queue.get())
        return batch

    def _answers(self, rows: Sequence[Row]) -> Sequence[Answer | Exception]:
        """In the thread: the batch at once, or row by row where that fails, so that a bad row fails alone."""
        try:
            answers = self._run(rows)
            if len(answers) != len(rows):
                raise RuntimeError(f"{len(rows)} rows gave {len(answers)} answers")
            return answers
        except Exception as error:  # whatever a row does to the network, that row alone is answered with it
            if len(rows) == 1:
                return [error]
            return [answer for row in rows for answer in self._answers([row])]


class Predictions:
    """From a request to its answers, within limits: predictions in progress, inputs, bytes and seconds of each."""

    def __init__(
        self, task: Task, batcher: Batcher[Mapping[str, Any], dict[str, Any]], max_concurrency: int, timeout_s: float
    ) -> None:
        self.task, self._batcher = task, batcher
        self._max_concurrency, self._timeout_s = max_concurrency, timeout_s
        self._readers = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "snowball-read")
        self.in_progress = 0

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._batcher.waiting

    def stop(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request, max_inputs: int, max_bytes: int) -> list[dict[str, Any]]:
        with self.busy():
            try:
                async with asyncio.timeout(self._timeout_s):
                    cells = await read_cells(request, self.task, max_inputs, max_bytes)
                    with self._batcher.arriving():
                        rows = await self._encode(cells)
                    answers = await self._batcher.submit([tensors for _, tensors in rows])
                    pairs = zip(answers, rows, strict=True)
                    return [self.task.present(answer, given) for answer, (given, _) in pairs]
            except TimeoutError:
                raise HTTPException(504, f"not answered within {self._timeout_s:g} s") from None
            except QueueFull:
                raise HTTPException(503, BUSY, {"Retry-After": "1"}) from None
            except ClientDisconnect:
                raise HTTPException(400, "the request ended before its body did") from None
            except asyncio.CancelledError:
                raise HTTPException(503, "the server is stopping", {"Retry-After": "1"}) from None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count one more prediction in progress; refused where there are too many."""
        if self.in_progress >= self._max_concurrency:
            raise HTTPException(503, BUSY, {"Retry-After": "1"})
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1

    async def _encode(self, cells: list[Cells]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        loop = asyncio.get_running_loop()
        where = [f"input {n} of {len(cells)}: " if len(cells) > 1 else "" for n in range(1, len(cells) + 1)]
        jobs = [loop.run_in_executor(self._readers, encode, self.task, *one) for one in zip(cells, where, strict=True)]
        try:
            return await asyncio.gather(*jobs)
        finally:
            for job in jobs:  # where one has failed or the time is up, what has not begun need not begin
                job.cancel()


BOUNDS = {  # of each histogram's buckets
    "predict_seconds": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    "batch_rows": (1, 2, 4, 8, 16, 32, 64, 128, 256),
}


class Metrics:
    """Counters and histograms, shown in Prometheus' text format 0.0.4."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, str], dict[str, float]] = {}  # (name, type) -> sample -> value

    def count(self, name: str, labels: str) -> None:
        family = self._families.setdefault((name, "counter"), {})
        family[labels] = family.get(labels, 0) + 1

    def observe(self, name: str, value: float) -> None:
        family = self._families.setdefault((name, "histogram"), {})
        for bound in (*BOUNDS[name], "+Inf"):
            sample = f'_bucket{{le="{bound}"}}'
            family[sample] = family.get(sample, 0) + (value <= float(bound))
        family["_sum"] = family.get("_sum", 0) + value
        family["_count"] = family.get("_count", 0) + 1

    def text(self, **gauges: float) -> str:
        families = {**self._families, **{(name, "gauge"): {"": value} for name, value in gauges.items()}}
        lines = []
        for (name, form), samples in families.items():
            lines.append(f"# TYPE snowball_{name} {form}")
            lines += [f"snowball_{name}{sample} {value:.10g}" for sample, value in samples.items()]
        return "\n".join(lines) + "\n"
