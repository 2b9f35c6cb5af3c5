"""Doing runs: each in a process of its own, each finished one appended to the results, what is there skipped."""

import contextlib
import json
import os
import platform
import resource
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import torch

import elekit
from benchmarks import results
from benchmarks.methods import ABLATION, METHODS, Predictor
from benchmarks.noise import spoils_exam
from benchmarks.task_data import Exam
from benchmarks.tasks import TASKS
from elekit.datasets.files import write_atomically
from elekit.evaluation import judging, ranking

TIMEOUT = 2.0  # seconds for an edit distance


def planned(task: str, *, methods=None, labels=None, seeds: int | None = None, noise=None) -> list[dict]:
    """The runs of a task, as plain values: task, method, labels, seed, noise. None takes what the task says.

    Of all pairs there is one seed, unless seeds are folds. Raises ValueError for a task, a method or a noise that
    there is not.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
    asked = TASKS[task]
    unknown = [name for name in methods or () if name not in METHODS]
    if unknown:
        raise ValueError(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    fitting = [name for name, method in METHODS.items() if method.tasks is None or task in method.tasks]
    noises = [None, *asked.noises] if noise is None else noise
    return [
        {"task": task, "method": method, "labels": size, "seed": seed, "noise": spoilt and list(spoilt)}
        for size in (asked.sizes if labels is None else labels)
        for spoilt in noises
        for seed in range(1 if size is None and not asked.folds else seeds or asked.seeds)
        for method in (methods or asked.asks(fitting, size, spoilt))
        if spoilt is None or not method.startswith(ABLATION)  # how psi was learned is asked of clean pairs
    ]


def run_all(
    plan: list[dict],
    *,
    folder: Path = results.RESULTS,
    work: Path = Path("runs/benchmark"),
    threads: int = 1,
    progress: bool = True,
) -> int:
    """Do what is not done yet; returns how many runs were done now.

    folder: of the results, a file for each task. work: of checkpoints. Ctrl-C raises KeyboardInterrupt; what is
    finished is kept, and the run that was cut off goes on from its checkpoint next time.
    """
    done = 0
    for number, wanted in enumerate(plan, 1):
        path = results.path_of(wanted["task"], folder)
        if results.is_there(results.read(path), wanted):
            continue
        if progress:
            sys.stderr.write(f"[{number} of {len(plan)}] {described(wanted)}\n")
        # a process of its own: its memory is that of the run alone, and no run inherits another's state
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_as_by_ctrl_c) as pool:
            run = pool.submit(do, wanted, work / wanted["task"] / stem(wanted), threads, progress).result()
        results.append(path, run)
        done += 1
        if progress:
            sys.stderr.write(f"    {brief(run)}\n")
    return done


def described(wanted: dict) -> str:
    """A run in words."""
    size = "all pairs" if wanted["labels"] is None else f"{wanted['labels']:,} pairs"
    spoilt = "" if wanted["noise"] is None else f", {wanted['noise'][0]} spoilt at {wanted['noise'][1]:g}"
    return f"{wanted['task']}: {wanted['method']}, {size}, seed {wanted['seed']}{spoilt}"


def brief(run: dict) -> str:
    """What came of it, in a line."""
    shown = ("exact", "edit_distance", "hits@1", "mrr")
    said = (
        f"{decoder or run['method']}: "
        + ", ".join(f"{name} {figures[name]:.3f}" for name in shown if name in figures)
        for decoder, figures in run["results"].items()
    )
    return "; ".join(said)


def stem(wanted: dict) -> str:
    """Name of the folder of a run's checkpoints: runs that only the exam tells apart are trained once."""
    trained = wanted["noise"] is not None and not spoils_exam(wanted["noise"][0])
    spoilt = "-{}-{:g}".format(*wanted["noise"]) if trained else ""
    return f"{wanted['method']}-{wanted['labels'] or 'all'}-{wanted['seed']}{spoilt}"


def do(wanted: dict, work: Path, threads: int, progress: bool) -> dict:
    """One run from end to end, as plain values."""
    torch.set_num_threads(threads)
    method = METHODS[wanted["method"]]
    spoilt = None if wanted["noise"] is None else tuple(wanted["noise"])
    problem, exam, about = TASKS[wanted["task"]].pose(
        labels=wanted["labels"], seed=wanted["seed"], spoilt=spoilt, progress=progress
    )
    method.prepare(problem, seed=wanted["seed"], work=work, progress=progress)
    with spent(work / "spent.json") as train:
        fitted = method.fit(problem, seed=wanted["seed"], work=work, progress=progress)
    judged = {way: judge(predictor, exam) for way, predictor in fitted.predictors.items()}
    return {
        **wanted,
        "title": method.title,
        "results": judged,
        "settings": fitted.settings,
        "spent": {
            "train_seconds": round(train["seconds"], 1),
            "memory_mb": round(max(train["memory_mb"], peak_memory())),
            "parameters": fitted.parameters,
            "threads": threads,
        },
        "data": about,
        "versions": {"elekit": elekit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "command": f"elekit benchmark {wanted['task']}",
        "at": datetime.now(UTC).date().isoformat(),
    }


def judge(predictor: Predictor, exam: Exam) -> dict:
    """Figures of one predictor, as plain values; ms: of one core, a prediction."""
    figures, truth = {}, exam.test.graphs
    if exam.decoded:
        started = time.process_time()
        predicted = predictor.predict(exam.test.inputs)
        seconds = time.process_time() - started
        if predicted is not None:
            table = judging.evaluate(predicted, truth, timeout=TIMEOUT)
            for name, graphs in (("loss", predicted), ("loss_of_truth", truth)):
                losses = predictor.losses(exam.test.inputs, graphs)
                if losses is not None:
                    table[name] = losses.double().numpy()
            figures |= judging.summarize(table) | {"ms": 1_000 * seconds / len(truth)}
    if exam.gallery is not None:
        scores = predictor.scores(exam.test.inputs, exam.gallery)
        if scores is not None:
            ranks = ranking.ranks(-scores, exam.where)
            figures |= {f"hits@{k}": ranking.hits_at(ranks, k) for k in (1, 10)}
            figures |= {"mrr": ranking.mean_reciprocal_rank(ranks), "among": len(exam.gallery)}
    sets = predictor.sets(exam)
    return rounded(figures) | ({} if sets is None else {"sets": rounded(sets)})


def rounded(figures: dict) -> dict:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in figures.items()}


def end_as_by_ctrl_c() -> None:
    """A run that is ended by `kill` keeps its checkpoint and what it has spent, as one does that Ctrl-C ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def spent(path: Path):
    """What the sittings of a run took together, kept in a file, also after Ctrl-C: {"seconds": ..., "memory_mb": ...}.

    Processor seconds added up, since other programs on the machine do not change them; the most memory of any. What
    was once done to the end, and is only taken up again, costs nothing more.
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
        total["memory_mb"] = max(total["memory_mb"], peak_memory())
        write_atomically(path, lambda partial: partial.write_text(json.dumps(total)))


def peak_memory() -> float:
    """MB that this process has held at most."""
    status = Path(f"/proc/{os.getpid()}/status")
    if status.exists():  # Linux: of this process alone, not of the one that started it
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
