"""The results files: one JSON line per finished run, appended and never rewritten."""

import fcntl
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from elekit.datasets.files import SHIPPED

RESULTS = SHIPPED / "results"
KEY_FIELDS = ("task", "method", "labels", "seed", "noise")  # they identify a run


def results_path(task: str, folder: Path = RESULTS) -> Path:
    return folder / f"{task}.jsonl"


def read_runs(path: Path) -> list[dict]:
    """All runs of a file, oldest first; [] if the file does not exist.

    An unterminated last line comes from an interrupted write. It is skipped, and its run will be repeated.

    Raises:
        ValueError: If a line is not JSON; the message gives its number.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            runs.append(json.loads(line))
        except ValueError:
            message = f"{path}, line {number}: invalid JSON; delete the line to repeat its run"
            raise ValueError(message) from None
    return runs


def append_run(path: Path, run: dict) -> None:
    """Append a run to a file in one write, flushed to the disk."""
    line = json.dumps(run, allow_nan=False, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # another runner may be in the middle of a line
        opened.seek(0, os.SEEK_END)
        end = opened.tell()
        while end:  # drop an unterminated last line
            opened.seek(end - 1)
            if opened.read(1) == b"\n":
                break
            end -= 1
        opened.truncate(end)
        opened.write(line.encode())
        opened.flush()
        os.fsync(opened.fileno())


def run_key(run: dict) -> tuple:
    return tuple(json.dumps(run.get(name)) for name in KEY_FIELDS)


def is_done(runs: Iterable[dict], planned: dict) -> bool:
    """True if the runs contain the planned one."""
    return run_key(planned) in {run_key(run) for run in runs}


def to_table(runs: Iterable[dict]) -> pd.DataFrame:
    """One row per run and decoder.

    Returns:
        Columns task, method, title, decoder, labels (NaN: all), pairs (number of training pairs), seed, noise, rate;
        the metrics of `elekit.evaluation.summarize`; train_seconds (NaN: unknown), ms (per prediction), memory_mb,
        parameters. A nested metric has the name `outer.inner`.
    """
    rows = []
    for run in runs:
        kind, rate = run["noise"] or ("none", 0.0)
        for decoder, metrics in run["results"].items():
            rows.append(
                {
                    "task": run["task"], "method": run["method"], "title": run["title"], "decoder": decoder,
                    "labels": math.nan if run["labels"] is None else run["labels"],
                    "pairs": run["data"]["train_pairs"], "seed": run["seed"], "noise": kind, "rate": rate,
                    **_flatten(metrics),
                    "train_seconds": run["spent"]["train_seconds"], "memory_mb": run["spent"]["memory_mb"],
                    "parameters": run["spent"]["parameters"],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _flatten(metrics: dict) -> dict:
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        inner = _flatten(value) if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()}
    return flat
