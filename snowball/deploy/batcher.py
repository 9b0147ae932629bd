"""Between requests and the session: a micro-batcher, and the counters that /metrics shows.

One worker thread runs the session. Rows that arrive while it runs make up the next batch, so batches grow with the
load by themselves and a lone request waits for nobody. All counters live on the event loop: no locks.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

__all__ = ["Batcher", "Histogram", "Metrics", "QueueFull"]

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class QueueFull(Exception):
    """More rows wait than the queue may hold: try again later."""


class Batcher(Generic[Row, Answer]):
    """Answers rows in batches. `run` maps rows to as many answers; it is called in one thread, never twice at a time.

    >>> async def double() -> list[int]:
    ...     batcher = Batcher(lambda rows: [2 * row for row in rows], max_batch=8, max_wait_s=0.0, max_queue=100)
    ...     batcher.start()
    ...     try:
    ...         return await batcher.submit([1, 2, 3])
    ...     finally:
    ...         await batcher.stop()
    >>> asyncio.run(double())
    [2, 4, 6]
    """

    def __init__(
        self,
        run: Callable[[Sequence[Row]], Sequence[Answer]],
        *,
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
        self._worker: asyncio.Task[None] | None = None
        self._arriving = 0

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._queue.qsize()

    def start(self) -> None:
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """End the worker; whoever still waits for an answer is cancelled."""
        assert self._worker is not None
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker
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
        return await asyncio.gather(*futures)  # cancelled with its caller: the worker skips such rows

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            gathered = await self._gather()
            batch = [(row, future) for row, future in gathered if not future.done()]
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
                while len(batch) < self._max_batch:
                    if self._queue.empty() and not self._arriving:
                        break
                    batch.append(await self._queue.get())
        return batch

    def _answers(self, rows: Sequence[Row]) -> Sequence[Answer | Exception]:
        """In the thread: the batch at once, or row by row where that fails, so that a bad row fails alone."""
        try:
            answers = self._run(rows)
            if len(answers) != len(rows):
                raise RuntimeError(f"{len(rows)} rows gave {len(answers)} answers")
            return answers
        except Exception as error:
            if len(rows) == 1:
                return [error]
            return [answer for row in rows for answer in self._answers([row])]


class Histogram:
    """Counts by upper bound, as Prometheus counts them."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> Iterator[str]:
        reached = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            reached += count
            yield f'{name}_bucket{{le="{bound}"}} {reached}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {reached}"


class Metrics:
    """What /metrics shows, in Prometheus' text format 0.0.4."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # by path and status
        self.seconds = Histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
        self.batch_rows = Histogram(1, 2, 4, 8, 16, 32, 64, 128, 256)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """`gauges`: name -> (help, value now)."""
        lines = _head("snowball_requests_total", "counter", "Requests by path and status.")
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'snowball_requests_total{{path="{path}",status="{status}"}} {count}')
        lines += _head("snowball_predict_seconds", "histogram", "Seconds from request to answer of POST /predict.")
        lines += self.seconds.lines("snowball_predict_seconds")
        lines += _head("snowball_batch_rows", "histogram", "Rows in each call of the session.")
        lines += self.batch_rows.lines("snowball_batch_rows")
        for name, (about, value) in gauges.items():
            lines += [*_head(f"snowball_{name}", "gauge", about), f"snowball_{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, form: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {form}"]
