"""Rows gather into batches: who waits, who fails alone, who is let go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from snowball.deploy.batcher import Batcher, QueueFull


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
