"""How fast a million candidates are searched, and what is missed: `python -m benchmarks.many_candidates`.

Points in clusters of dimension 256, or with `molecules` psi of QM9 molecules and of edits of them (dimension 512,
needs ELEKIT_DATA_DIR), are searched exactly (`elekit.decoding.index.nearest`) and by a `PointIndex`, in turns in one
process and with as many threads; the exact search of FAISS is timed too. Ten minutes to an hour, and 5 GB of memory.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from elekit.decoding.index import SAME, PointIndex, nearest

BATCHES = (1, 32, 1_000)
K = (1, 10, 100)
D, CLUSTERS, SPREAD = 256, 1_000, 1.0  # points in clusters: a center, and noise of this length


def clusters(count: int) -> Tensor:
    """Points around random centers."""
    generator = torch.Generator().manual_seed(0)
    centers, points = normalize(torch.randn(CLUSTERS, D, generator=generator), dim=1), torch.empty(count, D)
    for block in points.split(100_000):
        torch.randn(block.shape, generator=generator, out=block)
        block.mul_(SPREAD / D**0.5).add_(centers[torch.randint(CLUSTERS, (len(block),), generator=generator)])
        block.copy_(normalize(block, dim=1))
    return points


def molecules(count: int) -> Tensor:
    """psi of the molecules of QM9, then of the same with 1 to 3 random edits."""
    import elekit
    from elekit.graphs.augment import random_edits
    from elekit.graphs.packed import PackedGraphs
    from elekit.model.loss import points_of

    generator = torch.Generator().manual_seed(0)
    psi = elekit.load("qm9").psi
    graphs = PackedGraphs.of(elekit.datasets.load("qm9").train.graphs)
    parts, done = [], 0
    while done < count:
        start = done % len(graphs)
        some = graphs[torch.arange(start, min(start + 10_000, len(graphs), start + count - done))]
        if done >= len(graphs):
            some = random_edits(some, torch.randint(1, 4, (len(some),), generator=generator), generator)
        parts.append(points_of(psi, some))
        done += len(some)
    return torch.cat(parts)


def targets_of(points: Tensor, count: int) -> dict[str, Tensor]:
    """Points moved by a learned loss of about 0.1, 0.3 and 0.5, and midpoints of any two points."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for loss in (0.1, 0.3, 0.5):
        some = points[torch.randint(len(points), (count,), generator=generator)]
        noise = normalize(torch.randn(some.shape, generator=generator), dim=1)
        found[f"moved by {loss}"] = normalize(some + (1 / (1 - loss / 2) ** 2 - 1) ** 0.5 * noise, dim=1)
    one, other = points[torch.randint(len(points), (2, count), generator=generator)]
    found["midpoints of any two"] = normalize(one + other, dim=1)
    return found


def seconds(searches: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each search, which take turns."""
    found: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(repeats):
        for name, search in searches.items():
            started = time.perf_counter()
            search()
            found[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in found.items()}


def measure(points: Tensor, folder: Path) -> None:
    """Print all figures of an index of these points."""
    import faiss

    _memory()
    before, started = _memory(), time.perf_counter()
    index = PointIndex.build(points)
    built = time.perf_counter() - started
    print(index.describe())
    print(f"built in {built:.0f} s, with {_memory() - before:.2f} GB at most beside points of {_size(points):.2f} GB")
    index.save(folder)
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e9:.2f} GB" for path in sorted(folder.iterdir()))
    started = time.perf_counter()
    loaded = PointIndex.load(folder)
    print(f"on disk: {sizes}; loaded, with its digests checked, in {time.perf_counter() - started:.1f} s")

    print("\n| targets | loss of the 10th | " + " | ".join(f"recall@{k}" for k in K) + " | @10, as rows |")
    for name, targets in targets_of(points, 500).items():
        truth, rows = nearest(targets, points, max(K))
        found = {k: index.search(targets, k) for k in K}
        same = [float((found[k][0] <= truth[:, k - 1, None] + SAME).double().mean()) for k in K]
        strict = float((found[10][1][:, :, None] == rows[:, None, :10]).any(-1).double().mean())
        figures = " | ".join(f"{100 * share:.2f} %" for share in [*same, strict])
        print(f"| {name} | {float(truth[:, 9].mean()):.3f} | {figures} |", flush=True)

    targets = torch.cat([part[:334] for part in targets_of(points, 500).values()][:3])[: max(BATCHES)]
    targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(2))]
    print("\n| batch | exact | FAISS, exact | index | index on disk | index against exact |")
    for size in BATCHES:
        some = targets[:size]
        flat = partial(faiss.knn, some.numpy(), points.numpy(), 10, metric=faiss.METRIC_INNER_PRODUCT)
        searches = {
            "exact": partial(nearest, some, points, 10), "flat": flat, "index": partial(index.search, some, 10),
            "disk": partial(loaded.search, some, 10),
        }  # fmt: skip
        took = seconds(searches, repeats=3 if size > 100 else 5)
        times = " | ".join(f"{1000 * took[name] / size:.2f} ms" for name in took)
        print(f"| {size} | {times} | {took['exact'] / took['index']:.1f} times |", flush=True)

    answers = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        faiss.omp_set_num_threads(threads)
        answers += [index.search(targets, 10), loaded.search(targets, 10)]
    same_answer = all(torch.equal(a, b) for answer in answers for a, b in zip(answer, answers[0]))
    print(f"\nthe same answers with 1, 2 and 4 threads, in memory and on disk: {same_answer}")


def _memory() -> float:
    """The most memory used since the last call, GB (Linux)."""
    most = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")  # starts anew from what is used now
    return int(most[1]) / 1e6 if most else float("nan")


def _size(points: Tensor) -> float:
    return points.numel() * points.element_size() / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=["clusters", "molecules"], default="clusters")
    parser.add_argument("--points", type=int, default=1_000_000, help="number of points")
    parser.add_argument("--threads", type=int, default=2, help="threads of every search")
    parser.add_argument("--cache", type=Path, help="a .npy file that keeps the points for a next run")
    args = parser.parse_args()
    import faiss

    torch.set_num_threads(args.threads)
    faiss.omp_set_num_threads(args.threads)
    if args.cache is not None and args.cache.exists():
        points = torch.from_numpy(np.load(args.cache)[: args.points])
    else:
        points = clusters(args.points) if args.kind == "clusters" else molecules(args.points)
        if args.cache is not None:
            np.save(args.cache, points.numpy())
    print(f"{len(points):,} points of dimension {points.shape[1]} ({args.kind}), {args.threads} threads\n")
    with tempfile.TemporaryDirectory() as folder:
        measure(points, Path(folder))


if __name__ == "__main__":
    main()
