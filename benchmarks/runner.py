"""Execute runs: each in its own process, each appended to the results when finished, finished ones skipped."""

import contextlib
import json
import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import elekit
from benchmarks import child_process, results
from benchmarks.methods import ABLATION_PREFIX, METHODS, Predictor
from benchmarks.noise import corrupts_test_inputs
from benchmarks.task_data import TestData
from benchmarks.tasks import TASKS
from elekit.datasets.files import check_writable, write_atomically
from elekit.evaluation import judging, ranking

SPENT = "spent.json"
EDIT_DISTANCE_TIMEOUT = 2.0  # seconds per pair


def plan_runs(task: str, *, methods=None, labels=None, seeds: int | None = None, noise=None) -> list[dict]:
    """The runs of a task as plain values (task, method, labels, seed, noise). None selects the task's defaults.

    All pairs are run with one seed, unless seeds are folds.

    Raises:
        ValueError: If the task or a method is unknown.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; known tasks: {', '.join(TASKS)}")
    chosen = TASKS[task]
    unknown = [name for name in methods or () if name not in METHODS]
    if unknown:
        raise ValueError(f"unknown method {unknown[0]!r}; known methods: {', '.join(METHODS)}")
    applicable = [name for name, method in METHODS.items() if method.tasks is None or task in method.tasks]
    return [
        {"task": task, "method": method, "labels": size, "seed": seed, "noise": kind_and_rate and list(kind_and_rate)}
        for size in (chosen.sizes if labels is None else labels)
        for kind_and_rate in ([None, *chosen.noise] if noise is None else noise)
        for seed in range(1 if size is None and not chosen.folds else seeds or chosen.seeds)
        for method in (methods or chosen.select_methods(applicable, size, kind_and_rate))
        if kind_and_rate is None or not method.startswith(ABLATION_PREFIX)  # ablations run on clean pairs only
    ]


def run_all(
    plan: list[dict],
    *,
    folder: Path = results.RESULTS,
    work: Path = Path("runs/benchmark"),
    threads: int = 1,
    progress: bool = True,
) -> int:
    """Execute the runs that are not done yet.

    Args:
        plan: Runs, see `plan_runs`.
        folder: Folder of the results, one file per task.
        work: Folder of the checkpoints.
        threads: CPU threads of a run.
        progress: Report each run on standard error.

    Returns:
        The number of runs executed.

    Raises:
        KeyboardInterrupt: On Ctrl-C. Finished runs are kept, and the interrupted one resumes from its checkpoint.
        OSError: If the results or checkpoints cannot be written.
    """
    executed = 0
    for number, planned in enumerate(plan, 1):
        path = results.results_path(planned["task"], folder)
        if results.is_done(results.read_runs(path), planned):
            continue
        if progress:
            sys.stderr.write(f"[{number} of {len(plan)}] {describe_run(planned)}\n")
        run_work = work / planned["task"] / checkpoint_folder(planned)
        for needed in (path, run_work / SPENT):
            check_writable(needed)  # not only after hours of training
        run = child_process.call(execute_run, planned, run_work, threads, progress)
        results.append_run(path, run)
        executed += 1
        if progress:
            sys.stderr.write(f"    {summarize_run(run)}\n")
    return executed


def describe_run(planned: dict) -> str:
    size = "all pairs" if planned["labels"] is None else f"{planned['labels']:,} pairs"
    noise = "" if planned["noise"] is None else f", {planned['noise'][0]} noise at {planned['noise'][1]:g}"
    return f"{planned['task']}: {planned['method']}, {size}, seed {planned['seed']}{noise}"


def summarize_run(run: dict) -> str:
    """The main metrics of a run in one line."""
    names = ("exact", "edit_distance", "entity_f1", "relation_f1", "uas", "las", "hits@1", "mrr")
    parts = (
        f"{decoder or run['method']}: "
        + ", ".join(f"{name} {metrics[name]:.3f}" for name in names if name in metrics)
        for decoder, metrics in run["results"].items()
    )
    return "; ".join(parts)


def checkpoint_folder(planned: dict) -> str:
    """Name of the checkpoint folder of a run. Runs that differ only in their test inputs share their training."""
    noisy = planned["noise"] is not None and not corrupts_test_inputs(planned["noise"][0])
    noise = "-{}-{:g}".format(*planned["noise"]) if noisy else ""
    return f"{planned['method']}-{planned['labels'] or 'all'}-{planned['seed']}{noise}"


def execute_run(planned: dict, work: Path, threads: int, progress: bool) -> dict:
    """Train and evaluate one run; returns its line of the results file as plain values."""
    torch.set_num_threads(threads)
    method = METHODS[planned["method"]]
    noise = None if planned["noise"] is None else tuple(planned["noise"])
    data, test_data, report = TASKS[planned["task"]].load_data(
        labels=planned["labels"], seed=planned["seed"], noise=noise, progress=progress
    )
    method.prepare(data, seed=planned["seed"], work=work, progress=progress)
    with track_cost(work / SPENT) as cost:
        fitted = method.fit(data, seed=planned["seed"], work=work, progress=progress)
    evaluated = {decoder: evaluate_predictor(one, test_data) for decoder, one in fitted.predictors.items()}
    return {
        **planned,
        "title": method.title,
        "results": evaluated,
        "settings": fitted.settings,
        "spent": {
            "train_seconds": round(cost["seconds"], 1),
            "memory_mb": round(max(cost["memory_mb"], peak_memory_mb())),
            "parameters": fitted.parameters,
            "threads": threads,
        },
        "data": report,
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "command": f"python -m benchmarks {planned['task']}",
        "at": datetime.now(UTC).date().isoformat(),
    }


def evaluate_predictor(predictor: Predictor, data: TestData) -> dict:
    """All metrics of one predictor as plain values. `ms` is CPU time per prediction."""
    found: dict[str, Any] = {}
    truth = data.test.graphs
    if data.decode:
        started = time.process_time()
        predicted = predictor.predict(data.test.inputs)
        seconds = time.process_time() - started
        if predicted is not None:
            table = judging.evaluate(
                predicted, truth, timeout=EDIT_DISTANCE_TIMEOUT, edit_distance=data.edit_distance
            )
            for name, graphs in (("loss", predicted), ("loss_of_truth", truth)):
                losses = predictor.losses(data.test.inputs, graphs)
                if losses is not None:
                    table[name] = losses.double().numpy()
            found |= judging.summarize(table) | {"ms": 1_000 * seconds / len(truth)}
            found |= data.scores(predicted, truth) if data.scores else {}
    if data.gallery is not None:
        scores = predictor.score_gallery(data.test.inputs, data.gallery)
        if scores is not None:
            ranks = ranking.ranks(-scores, data.gallery_rows)
            found |= {f"hits@{k}": ranking.hits_at(ranks, k) for k in (1, 10)}
            found |= {"mrr": ranking.mean_reciprocal_rank(ranks), "among": len(data.gallery)}
    sets = predictor.evaluate_sets(data)
    return _round(found) | ({} if sets is None else {"sets": _round(sets)})


def _round(metrics: dict) -> dict:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in metrics.items()}


@contextlib.contextmanager
def track_cost(path: Path):
    """CPU seconds (summed) and peak memory (maximum) over all sessions of a run, kept in a file.

    CPU time does not depend on other programs on the machine. The file is also written on Ctrl-C. Once the block has
    completed, entering it again adds no cost.
    """
    total = {"seconds": 0.0, "memory_mb": 0.0, "done": False}
    if path.exists():
        total |= json.loads(path.read_text())
    if total["done"]:
        yield total
        return
    started = time.process_time()
    try:
        yield total
        total["done"] = True
    finally:
        total["seconds"] += time.process_time() - started
        total["memory_mb"] = max(total["memory_mb"], peak_memory_mb())
        write_atomically(path, lambda partial: partial.write_text(json.dumps(total)))


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    status = Path(f"/proc/{os.getpid()}/status")
    if status.exists():  # Linux; getrusage would include the parent's memory at the time of the fork
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
