"""Nearest points: exact, in bounded memory, and approximate among millions, with FAISS.

The approximate search (`PointIndex`) divides the points into about sqrt(C) lists of neighbors by k-means and holds
what sets a point apart from the middle of its list in 4 bits per coordinate or pair of them (`IVF,PQ4fs`; André,
Kermarrec and Le Scouarnec 2017). A target is compared with the points of the nearest lists alone, and the best few
hundred of them are compared again, exactly, with the true points.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from elekit.datasets.files import write_atomically
from elekit.graphs import _schema
from elekit.graphs._optional import extra
from elekit.graphs._schema import require_positive

BATCH_SIZE = 4_096  # candidates compared at a time
BLOCK = 65_536  # points added, checked or hashed at a time
TARGETS = 1_024  # targets searched at a time
KS = (1, 10, 100)  # numbers of neighbors for which an index is made; more are searched exactly
MAX_K = KS[-1]
RECALL = 0.99  # of an index that `Candidates` uses
FEWEST = 8  # lists that are searched, or all
TUNED = 0.995  # recall on the targets that settle how many lists are searched
MEASURED = 256  # targets that settle it, and as many others on which recall is measured
NOISE = 0.5  # these are points moved by a learned loss of up to so much, as targets h(x) are
SAME = 1e-6  # losses that differ by less are equal
AGAIN = (400, 16)  # 400 + 16 k points are compared again, exactly
PER_LIST = 64  # points per list that k-means reads
ROUNDS = 10  # of k-means
CODES = 16  # of 4 bits
FINE = 128  # up to this dimension, each coordinate has a code of its own
FORMAT = "elekit points 1"
JSON, LISTS, POINTS = "index.json", "lists.faiss", "points.npy"
_SHARE, _DIGEST = _schema.number(0, 1), _schema.text(64)
_CONTENT = _schema.fields({
    "format": _schema.one_of(FORMAT), "C": _schema.whole(1, 2**40), "D": _schema.whole(1, 2**20),
    "recall": _schema.fields({str(k): _SHARE for k in KS}), "points": _DIGEST, "lists": _DIGEST,
})  # fmt: skip


def nearest(target: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of C points: learned losses (B, k) and indices (B, k), best first; k is cut to C.

    Exact, in bounded memory. The order of equally near points is not defined.
    """
    require_positive(k=k)
    k = min(k, len(points))
    best, index = target.new_empty(len(target), 0), torch.empty(len(target), 0, dtype=torch.long)
    for start in range(0, len(points), BATCH_SIZE):
        score = target @ points[start : start + BATCH_SIZE].T
        score, place = score.topk(min(k, score.shape[1]), dim=1)
        score, number = torch.cat([best, score], 1), torch.cat([index, place + start], 1)
        best, place = score.topk(min(k, score.shape[1]), dim=1)
        index = number.gather(1, place)
    return 2 - 2 * best, index


def has_faiss() -> bool:
    """Whether FAISS is installed; it is not imported."""
    return importlib.util.find_spec("faiss") is not None


def _faiss() -> Any:
    with extra("scale"):
        import faiss
    return faiss


@dataclass(frozen=True, eq=False)
class PointIndex:
    """An approximate search among many points; made by `build` or `load`.

    Answers do not depend on the number of threads, neither of the build nor of the search. Of equally near points,
    which are found is not defined; those found come in the order of their rows.

    Args:
        points: (C, D) unit vectors, float32, in memory or mapped from a file.
        lists: The index of FAISS.
        recall: Share of the k nearest points that were found when the index was built, for k = 1, 10 and 100.
    """

    points: Tensor
    lists: Any = field(repr=False)
    recall: dict[int, float]

    @classmethod
    def build(cls, points: Tensor, seed: int = 0) -> "PointIndex":
        """Make an index: a minute for a million points of dimension 256.

        So many lists are searched as give a recall of 99.5 % on 256 targets. Recall is then measured on 256 others,
        against exact search: all are points moved at random by a learned loss of up to 0.5.

        Args:
            points: (C, D) unit vectors, float32 on the CPU.
            seed: Seed of k-means and of the targets.

        Returns:
            The index, with its recall; it may be low where many points are nearly equal.

        Raises:
            ValueError: If there are no points, or some are NaN, infinite or not float32 on the CPU.
            ModuleNotFoundError: If FAISS is not installed.
        """
        points = points.detach().contiguous()
        if points.dim() != 2 or not points.numel() or points.dtype != torch.float32 or points.device.type != "cpu":
            raise ValueError(f"give points (C, D) in float32 on the CPU, got {tuple(points.shape)} in {points.dtype}")
        if not all(bool(torch.isfinite(block).all()) for block in _blocks(points, BLOCK)):
            raise ValueError("some points are NaN or infinite")
        faiss, generator = _faiss(), torch.Generator().manual_seed(seed)
        C, D = points.shape
        count, parts = 2 ** round(np.log2(C) / 2), D if D <= FINE or D % 2 else D // 2
        lists = faiss.index_factory(D, f"IVF{count},PQ{parts}x4fsr", faiss.METRIC_INNER_PRODUCT)
        for means in (lists.cp, lists.pq.cp):
            means.niter, means.seed, means.min_points_per_centroid = ROUNDS, seed, 1
        lists.cp.spherical = True
        read = torch.randperm(C, generator=generator)[: count * PER_LIST].sort().values
        read = read.repeat(-(-CODES // len(read)))  # k-means of the codes takes as many points at least
        with _one_thread(faiss):
            lists.train(points[read].numpy())
            for block in _blocks(points, BLOCK):
                lists.add(block.numpy())
        found = cls(points, lists, {})
        targets = _targets(points, 2 * MEASURED, generator)
        truth = nearest(targets, points, MAX_K)[0]
        lists.nprobe = min(FEWEST, count)
        while lists.nprobe < count and min(found._recall(targets[:MEASURED], truth[:MEASURED]).values()) < TUNED:
            lists.nprobe = min(2 * lists.nprobe, count)
        found.recall.update(found._recall(targets[MEASURED:], truth[MEASURED:]))
        return found

    def _recall(self, targets: Tensor, truth: Tensor) -> dict[int, float]:
        """Share of the nearest 1, 10 and 100 that are found; a point as near as one of them counts as found."""
        found = {k: self.search(targets, k)[0] for k in KS}
        return {k: float((loss <= truth[:, :k][:, -1:] + SAME).double().mean()) for k, loss in found.items()}

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def _means(self) -> Tensor:
        """(L, D) the middles of the lists, in float64."""
        return torch.from_numpy(self.lists.quantizer.reconstruct_n(0, self.lists.nlist)).double()

    def search(self, target: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Find the k nearest points; exact beyond k = 100, and where the lists searched hold fewer than k points.

        Args:
            target: (B, D) unit vectors.
            k: Number of points per target; cut to C.

        Returns:
            Learned losses (B, k) to the true points, best first, and rows (B, k) of the points.

        Raises:
            ValueError: If a target is NaN or infinite, or has another dimension.
        """
        require_positive(k=k)
        k, target = min(k, len(self)), target.detach()
        if target.dim() != 2 or target.shape[1] != self.points.shape[1] or not torch.isfinite(target).all():
            raise ValueError(f"targets must be finite vectors (B, {self.points.shape[1]})")
        if k > MAX_K or not len(target):
            return nearest(target, self.points, k)
        parts = [self._search(block, k) for block in _blocks(target, TARGETS)]
        losses, rows = (torch.cat(part) for part in zip(*parts))
        return losses.to(target.dtype), rows

    def _search(self, target: Tensor, k: int) -> tuple[Tensor, Tensor]:
        faiss = _faiss()
        x = np.ascontiguousarray(target.float().numpy())
        # Compared in float64, lists do not change with the rounding of a product, which depends on threads and batch.
        near, numbers = (target.double() @ self._means.T).float().topk(self.lists.nprobe, dim=1)
        again = min(AGAIN[0] + AGAIN[1] * k, len(self))
        rows = self.lists.search_preassigned(x, again, numbers.numpy(), near.numpy())[1]
        scores = np.empty(rows.shape, np.float32)
        arrays = (scores, x, self.points.numpy(), rows)
        faiss.fvec_inner_products_by_idx(*map(faiss.swig_ptr, arrays), x.shape[1], *rows.shape)
        scores[rows < 0] = -np.inf
        order = np.lexsort((rows, -scores))[:, :k]
        best, index = (torch.from_numpy(np.take_along_axis(values, order, 1)) for values in (scores, rows))
        losses, short = 2 - 2 * best, index[:, -1] < 0
        if short.any():
            losses[short], index[short] = nearest(target[short].float(), self.points, k)
        return losses, index

    def describe(self) -> str:
        """What is searched, and how much of the nearest points that finds.

        Returns:
            One sentence.
        """
        C, D = self.points.shape
        recall = ", ".join(f"{100 * share:.2f} % of the {k} nearest" for k, share in self.recall.items())
        lists = f"{self.lists.nlist:,} lists, of which {self.lists.nprobe:,} are searched for each target"
        return f"{C:,} points of dimension {D} in {lists}; finds {recall}, against exact search on {MEASURED} targets"

    def save(self, folder: str | Path) -> None:
        """Write the index and its points into a folder, from where `load` maps them into memory.

        Args:
            folder: The folder; an index in it is replaced.
        """
        faiss, folder = _faiss(), Path(folder)
        write_atomically(folder / POINTS, lambda partial: _write_array(partial, self.points.numpy()))
        write_atomically(folder / LISTS, lambda partial: faiss.write_index(self.lists, str(partial)))
        content = {
            "format": FORMAT, "C": len(self), "D": self.points.shape[1],
            "recall": {str(k): share for k, share in self.recall.items()},
            "points": _digest(self.points.numpy()), "lists": _file_digest(folder / LISTS),
        }  # fmt: skip
        write_atomically(folder / JSON, lambda partial: partial.write_text(json.dumps(content, indent=1)))

    @classmethod
    def load(cls, folder: str | Path, points: Tensor | None = None) -> "PointIndex":
        """Read an index that `save` wrote, after checking the digests of its files; the points stay on disk.

        FAISS reads the file of an index: open none that you do not trust.

        Args:
            folder: The folder.
            points: (C, D) the points it must belong to, which are then used; None = those in the folder.

        Returns:
            The index.

        Raises:
            ValueError: If the files are damaged, or belong to other points.
        """
        faiss, folder = _faiss(), Path(folder)
        try:
            content = json.loads((folder / JSON).read_text(encoding="utf-8"))
            _CONTENT(content, "the index")
            if points is None:
                points = torch.from_numpy(np.load(folder / POINTS, mmap_mode="c"))
            if content["lists"] != _file_digest(folder / LISTS):
                raise ValueError(f"{LISTS} was altered")
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"the index in {folder} cannot be used ({error}); build it again") from None
        points = points.detach().contiguous()
        given = points.dtype, *points.shape, _digest(points.numpy())
        if given != (torch.float32, content["C"], content["D"], content["points"]):
            raise ValueError(f"the index in {folder} is one of other points, or they were altered; build it again")
        lists = faiss.read_index(str(folder / LISTS))
        return cls(points, lists, {int(k): share for k, share in content["recall"].items()})


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """FAISS in one thread: how its products are rounded depends on the number of threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _targets(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, D) points moved in random directions, by learned losses between 0 and `NOISE`."""
    points = points[torch.randint(len(points), (count,), generator=generator)]
    cosine = 1 - NOISE / 2 * torch.rand(count, 1, generator=generator)
    away = torch.randn(points.shape, generator=generator)
    away = normalize(away - (away * points).sum(1, keepdim=True) * points, dim=1)
    return normalize(cosine * points + (1 - cosine.square()).sqrt() * away, dim=1)


def _write_array(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array)


def _digest(array: np.ndarray) -> str:
    found = hashlib.sha256()
    for start in range(0, len(array), BLOCK):
        found.update(array[start : start + BLOCK].data)
    return found.hexdigest()


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
