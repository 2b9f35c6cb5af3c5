"""Micro-batches: requests that wait at the same time are answered together, by one thread, with one version."""

import asyncio
import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from elekit.operation.bulk import answer_rows
from elekit.operation.predictor import Json, Predictor

USUAL = 0.05  # seconds of an answer, before any was measured


class FullError(Exception):
    """Too many inputs wait; `retry_after` is the number of seconds after which some will not."""

    def __init__(self, retry_after: int):
        super().__init__(f"too many inputs are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, eq=False)
class Answered:
    """The answers to a request, and the version that gave them."""

    version: str
    answers: list[Json]


@dataclass(eq=False)
class _Job:
    inputs: list[Any]
    until: float | None  # time.monotonic() at which the budget of the request ends
    traces: bool
    future: "asyncio.Future[Answered]"


class Batcher:
    """Answers requests in batches, in the order of their arrival.

    Args:
        predictor: The version in operation; another one may take its place at any time, see `replace`.
        most: Inputs of a batch, at most, unless one request has more.
        waiting: Inputs that may wait.
        pause: Seconds to wait for further requests before a batch begins.
    """

    def __init__(self, predictor: Predictor, *, most: int = 64, waiting: int = 1_000, pause: float = 0.004):
        self.predictor = predictor
        self._most, self._limit, self._pause = most, waiting, pause
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._each = USUAL
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Number of inputs that wait for an answer."""
        return sum(len(job.inputs) for job in self._jobs)

    def start(self) -> None:
        """Begin to answer; called in the event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the requests that were accepted, and end."""
        while self._jobs:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True)

    def replace(self, predictor: Predictor) -> None:
        """Put another version into operation; the batch that is being answered keeps the old one."""
        self.predictor = predictor

    async def answer(self, inputs: list[Any], *, budget: float | None = None, traces: bool = False) -> Answered:
        """Answer the inputs of a request.

        Args:
            inputs: One or more inputs.
            budget: Seconds, from now; None for no limit.
            traces: Whether to record how the answers were found.

        Returns:
            The answers.

        Raises:
            FullError: If too many inputs wait.
        """
        waiting = self.waiting
        if waiting and waiting + len(inputs) > self._limit:
            raise FullError(max(1, math.ceil(waiting * self._each)))
        until = None if budget is None else time.monotonic() + budget
        job = _Job(inputs, until, traces, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        return await job.future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._pause)
            batch = self._next()
            if not batch:
                self._arrived.clear()
                continue
            predictor = self.predictor
            try:
                found = await loop.run_in_executor(self._thread, self._answers, predictor, batch)
            except Exception as error:  # what is not about one input, such as a lack of memory
                found = [[{"input": one, "failed": str(error)[:500]} for one in job.inputs] for job in batch]
            for job, answers in zip(batch, found):
                self._jobs.popleft()
                if not job.future.done():  # its client may have gone
                    job.future.set_result(Answered(predictor.version, answers))

    def _next(self) -> list[_Job]:
        """The jobs of the next batch, which stay in the queue until they are answered."""
        batch: list[_Job] = []
        for job in self._jobs:
            alone = job.until is not None or job.traces
            if batch and (alone or sum(len(one.inputs) for one in batch) + len(job.inputs) > self._most):
                break
            batch.append(job)
            if alone:
                break
        return batch

    def _answers(self, predictor: Predictor, batch: list[_Job]) -> list[list[Json]]:
        began, first = time.monotonic(), batch[0]
        inputs = [one for job in batch for one in job.inputs]
        budget = None if first.until is None else max(0.001, first.until - began)
        found = iter(answer_rows(predictor, inputs, budget=budget, traces=first.traces, nearest=True))
        self._each = 0.9 * self._each + 0.1 * (time.monotonic() - began) / len(inputs)
        return [[next(found) for _ in job.inputs] for job in batch]
