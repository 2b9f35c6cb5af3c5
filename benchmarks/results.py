"""The results file: one JSON line a finished run, appended and never rewritten."""

import fcntl
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from elekit.datasets.files import SHIPPED

RESULTS = SHIPPED / "results"
SAME_RUN = ("task", "method", "labels", "seed", "noise")  # what makes two runs one


def path_of(task: str, folder: Path = RESULTS) -> Path:
    return folder / f"{task}.jsonl"


def read(path: Path) -> list[dict]:
    """All runs of a file, oldest first; [] where there is none. ValueError names the line that is broken.

    A last line without its end was cut off while it was written; it is left out, as the run it tells of will be done
    again.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            runs.append(json.loads(line))
        except ValueError:
            raise ValueError(f"{path}, line {number}: no JSON; delete the line, its run is done again") from None
    return runs


def append(path: Path, run: dict) -> None:
    """One more run at the end of a file, in one write, flushed to the disk."""
    line = json.dumps(run, allow_nan=False, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # another runner may be adding a line, of which a part is there
        opened.seek(0, os.SEEK_END)
        whole = opened.tell()
        while whole:  # what was cut off goes
            opened.seek(whole - 1)
            if opened.read(1) == b"\n":
                break
            whole -= 1
        opened.truncate(whole)
        opened.write(line.encode())
        opened.flush()
        os.fsync(opened.fileno())


def key(run: dict) -> tuple:
    return tuple(json.dumps(run.get(name)) for name in SAME_RUN)


def is_there(runs: Iterable[dict], wanted: dict) -> bool:
    """Whether such a run was finished."""
    return key(wanted) in {key(run) for run in runs}


def table(runs: Iterable[dict]) -> pd.DataFrame:
    """One row for each run and way to decode: what was run, figures, time, memory.

    Columns task, method, title, decoder, labels (NaN: all), pairs (as many as there were to learn from), seed, noise,
    rate, then the figures of `evaluation.summarise` and train_seconds (NaN: not known), ms (a prediction),
    memory_mb, parameters. A figure inside another is `outer.inner`.
    """
    rows = []
    for run in runs:
        kind, rate = run["noise"] or ("none", 0.0)
        for decoder, figures in run["results"].items():
            rows.append(
                {
                    "task": run["task"], "method": run["method"], "title": run["title"], "decoder": decoder,
                    "labels": math.nan if run["labels"] is None else run["labels"],
                    "pairs": run["data"]["train_pairs"], "seed": run["seed"], "noise": kind, "rate": rate,
                    **_flat(figures),
                    "train_seconds": run["spent"]["train_seconds"], "memory_mb": run["spent"]["memory_mb"],
                    "parameters": run["spent"]["parameters"],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _flat(figures: dict) -> dict:
    flat = {}
    for name, value in figures.items():
        inner = _flat(value) if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{part}": one for part, one in inner.items()}
    return flat
