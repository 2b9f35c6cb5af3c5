"""What training and decoding will cost, from a few measured steps on the user's own data and machine."""

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from elekit.datasets import Dataset, Split
from elekit.decoding import Candidates
from elekit.evaluation.judging import decode_many
from elekit.graphs.graph import GraphBatch
from elekit.model.artifact import Artifact
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.operation.predictor import decode_config
from elekit.operation.ways import Settings
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate
from elekit.training.surrogate import RESTART_PAIRS, RESTART_STEPS

SHORT, LONG = 3, 9  # steps of the two runs whose difference is the time of a step
REPEATS = 3
LEAST = 0.15  # relative half width of an interval: machines and data vary more than a few steps show
BATCH = 64  # inputs decoded at a time
SAMPLES = 3  # batches of each way
POLL = 0.005  # seconds between looks at the memory
Z = 1.96


@dataclass(frozen=True)
class Estimate:
    """Time and memory of one piece of work.

    Args:
        what: What is done, for readers.
        seconds: Expected time.
        low: Lower end of an interval that holds the time with about 95 %.
        high: Upper end.
        memory: Peak memory of the process while it was measured, in bytes; more if later batches are larger.
        of: What the time is made of, for readers.
    """

    what: str
    seconds: float
    low: float
    high: float
    memory: int
    of: str = ""

    def __str__(self) -> str:
        span = f"{duration(self.low)} to {duration(self.high)}"
        return f"{self.what}: about {duration(self.seconds)} ({span}), {self.memory / 1e9:.1f} GB; {self.of}"


def estimate_embedding(
    data: Dataset, config: EmbeddingConfig = EmbeddingConfig(), training: EmbeddingTraining = EmbeddingTraining(),
    *, seed: int = 0, device: str = "auto",
) -> Estimate:  # fmt: skip
    """Estimate the training of psi; arguments as of `elekit.fit_embedding`.

    Args:
        data: The data set.
        config: Architecture of psi.
        training: Settings of the training.
        seed: Seed.
        device: torch device.

    Returns:
        The estimate.
    """

    def run(steps: int) -> object:
        return fit_embedding(
            data.train.graphs, validation=data.validation.graphs, config=config, training=_short(training, steps),
            seed=seed, device=device, progress=False,
        )  # fmt: skip

    return _of_training("training psi", run, training.loop.steps, training.loop.validate_every, training.loop.minutes)


def estimate_surrogate(
    psi: GraphEmbedding, data: Dataset, backbone: BackboneConfig | None, training: SurrogateTraining, *,
    seed: int = 0, device: str = "auto",
) -> Estimate:  # fmt: skip
    """Estimate the training of h; arguments as of `elekit.fit_surrogate`.

    Args:
        psi: The embedding; an untrained one takes as long.
        data: The data set, with inputs.
        backbone: Architecture.
        training: Settings of the training.
        seed: Seed.
        device: torch device.

    Returns:
        The estimate.
    """
    steps = training.loop.steps
    graph_head = backbone is not None and backbone.through == "graph"
    if graph_head and len(data.train) <= RESTART_PAIRS and training.starts > 1:
        steps = round(steps * (1 + training.starts * RESTART_STEPS))

    def run(count: int) -> object:
        return fit_surrogate(
            psi, data.train, validation=data.validation, backbone=backbone,
            training=replace(_short(training, count), starts=1), seed=seed, device=device, progress=False,
        )  # fmt: skip

    return _of_training("training h", run, steps, training.loop.validate_every, training.loop.minutes)


def estimate_decoding(
    artifact: Artifact, h: SurrogateRegressor | None, cases: Split, settings: Settings, count: int, *,
    candidates: GraphBatch | Candidates | None = None, what: str = "",
) -> Estimate:  # fmt: skip
    """Estimate the decoding of many inputs in one way.

    Args:
        artifact: The learned loss.
        h: Its surrogate; None to decode from the points of the graphs.
        cases: Inputs (or graphs) like those to be decoded.
        settings: How to decode, see `elekit.operation.decode_config`.
        count: Number of inputs to decode.
        candidates: Graphs to choose from.
        what: The way, for readers.

    Returns:
        The estimate.
    """
    config, psi = decode_config(settings), artifact.psi
    known = None if candidates is None else Candidates.of(psi, candidates)
    used = None if str(config.method).startswith("gradient") else known
    size = max(1, min(BATCH, len(cases) // SAMPLES))

    def run(some: Split) -> None:
        target = points_of(psi, some.graphs) if h is None else h.predict(some.inputs)
        start = h.graphs(some.inputs) if h is not None and config.needs_start else None
        decode_many(psi, target, candidates=used, start=start, config=config)

    with PeakMemory() as memory:
        run(cases.take(range(min(4, len(cases)))))  # the first call compiles and fills caches
        each = []
        for first in range(0, min(len(cases), SAMPLES * size), size):
            some, began = cases.take(range(first, min(first + size, len(cases)))), time.perf_counter()
            run(some)
            each.append((time.perf_counter() - began) / len(some))
    mean, low, high = spread(each)
    of = f"{1_000 * mean:.3g} ms for each of {count:,}"
    return Estimate(what or str(config.method), mean * count, low * count, high * count, memory.peak, of)


def _of_training(what: str, run: Callable[[int], object], steps: int, every: int, minutes: float | None) -> Estimate:
    """From runs of a few steps: their difference is the time of steps, the rest is done once or at validations."""
    with PeakMemory() as memory:
        run(1)
        short, long = ([_seconds(run, count) for _ in range(REPEATS)] for count in (SHORT, LONG))
    step = [max(1e-9, (b - a) / (LONG - SHORT)) for a, b in zip(short, long)]
    once = [max(0.0, a - SHORT * one) for a, one in zip(short, step)]
    mean, low, high = spread(step)
    fixed = statistics.median(once)
    validations = steps / max(1, every)
    checks = min(fixed, 1.0) * 0.2 * validations  # a validation is part of what is done once
    total, least, most = (one * steps + fixed + checks for one in (mean, low, high))
    if minutes is not None and total > 60 * minutes:
        total, least, most = (min(one, 60 * minutes + fixed) for one in (total, least, most))
    of = f"{1_000 * mean:.3g} ms for each of {steps:,} steps, {duration(fixed)} once"
    return Estimate(what, total, least, most, memory.peak, of)


def _seconds(run: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    run(count)
    return time.perf_counter() - began


def _short(training: Any, steps: int) -> Any:
    loop = replace(training.loop, steps=steps, validate_every=steps, checkpoint_every=steps, minutes=None)
    return replace(training, loop=loop)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of a few measured times, and an interval at least 15 % to each side.

    Args:
        values: Times.

    Returns:
        Mean, low and high.
    """
    found = np.asarray(values)
    mean = float(np.median(found)) if len(found) > 2 else float(found.mean())
    deviation = float(found.std(ddof=1)) if len(found) > 1 else mean / 2
    half = max(Z * deviation / len(found) ** 0.5, LEAST * mean)
    return mean, max(mean / 3, mean - half), mean + half


class PeakMemory:
    """The largest memory of this process within a block, in bytes; `peak` after it."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()

    def __enter__(self) -> "PeakMemory":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, resident())

    def _watch(self) -> None:
        while not self._stop.wait(POLL):
            self.peak = max(self.peak, resident())


def resident() -> int:
    """Memory of this process in bytes: now on Linux, the most so far on macOS, 0 where it is not known."""
    try:
        with open("/proc/self/statm") as opened:
            return int(opened.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        if sys.platform == "win32":
            return 0
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1_024


def duration(seconds: float) -> str:
    """A time in words with two digits, such as "3.4 s", "12 min" or "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.2g} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.2g} h" if seconds < 36_000 else f"{seconds / 3_600:.0f} h"


def parse_budget(text: str) -> float:
    """Seconds of a budget such as "20ms", "90s", "15min" or "2h".

    Args:
        text: A number with a unit.

    Returns:
        Seconds, above 0.

    Raises:
        ValueError: If it has no unit, or is not above 0.
    """
    units = {"ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3_600.0}
    number = text.strip().rstrip("smhinSMHIN").strip()
    unit = text.strip()[len(number) :].strip().lower()
    try:
        seconds = float(number) * units[unit]
    except (ValueError, KeyError):
        raise ValueError(f"a budget is a number and ms, s, min or h, such as 20ms or 2h, got {text!r}") from None
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a budget must be above 0, got {text!r}")
    return seconds


def untrained(data: Dataset, config: EmbeddingConfig = EmbeddingConfig()) -> GraphEmbedding:
    """A psi with random weights, to time what comes after its training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        psi = GraphEmbedding(data.vocabulary, config)
    return psi.eval()


def table(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Estimates as a table.

    Args:
        estimates: Some estimates.

    Returns:
        One row each: what, seconds, low, high, memory (bytes), of.
    """
    return pd.DataFrame([vars(one) for one in estimates])
