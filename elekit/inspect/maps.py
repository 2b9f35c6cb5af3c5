"""Maps: points of the sphere on a plane, how far they can be trusted, and files of them."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as bytes_of
from torch import Tensor, nn

from elekit.datasets.files import SHIPPED, cache_folder, write_atomically
from elekit.decoding.index import nearest
from elekit.graphs._optional import extra
from elekit.graphs.graph import GraphBatch
from elekit.inspect._validation import finite_points
from elekit.model.loss import Psi, points_of

METHODS = ("umap", "tsne", "pca")
TITLES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
NEIGHBORS, MIN_DIST = 15, 0.1
INTERPOLATED = 5  # neighbors that a new point is placed between
ZERO = 1e-12  # smaller losses are rounding errors
FEWEST = 5  # points of a UMAP or t-SNE map
MOST = 100_000  # points for which the explorer offers them: beyond, they take more than ten minutes
MAX_JUDGED, JUDGED = 20_000, 2_000  # beyond so many points, a sample is judged
BLOCK = 1_024  # points whose neighbors are computed at a time
FORMAT = "elekit map 1"


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points of the sphere laid out on a plane."""

    positions: np.ndarray  # (n, 2) float32
    points: Tensor  # (n, D) unit vectors
    kept: (
        np.ndarray
    )  # (n,) share of the 15 nearest on the sphere that are among the 15 nearest here; nan if not judged
    method: str  # one of `METHODS`

    @property
    def trust(self) -> float:
        """Mean share of neighbors kept, in [0, 1]."""
        return float(np.nanmean(self.kept))

    def transform(self, points: Tensor) -> np.ndarray:
        """(m, 2) float32 positions of further points (m, D); a point of the map lands on its own position.

        Inverse-distance interpolation of the 5 nearest points, with weights `loss^-4` (Shepard 1968). On the map of
        molecules7, a molecule lands a median 0.06 from its UMAP position (the map is 14 wide) and keeps 29 % of its
        neighbors, against 33 % by UMAP.
        """
        positions = [np.empty((0, 2), np.float32)]
        for start in range(0, len(points), BLOCK):
            some = points[start : start + BLOCK].detach()
            index = nearest(some, self.points, INTERPOLATED)[1]
            # not 2 - 2 <u, v>, whose rounding error would move points off their own positions
            loss = (some[:, None] - self.points[index]).double().square().sum(-1)
            weight = (loss / loss.amin(1, keepdim=True).clamp_min(ZERO)).clamp_min(ZERO).pow(-4)
            weight = weight / weight.sum(1, keepdim=True)
            near = self.positions[index.numpy()]
            positions.append(np.einsum("mk,mkc->mc", weight.numpy(), near).astype(np.float32))
        return np.concatenate(positions)

    def extended(self, points: Tensor, seed: int = 0) -> "EmbeddingMap":
        """The map with further points (m, D) placed by `transform`; the points of the map keep their positions."""
        points = finite_points(points).cpu()
        both = torch.cat([self.points, points])
        positions = np.concatenate([self.positions, self.transform(points)])
        return EmbeddingMap(positions, both, neighbors_kept(both, positions, seed), self.method)

    def aligned_to(self, other: "EmbeddingMap") -> "EmbeddingMap":
        """The map of the same graphs rotated, mirrored, shifted and scaled to fit another one.

        Procrustes; Schoenemann and Carroll (1970).
        """
        if len(self.positions) != len(other.positions):
            sizes = f"{len(self.positions)} and {len(other.positions)}"
            raise ValueError(f"maps of {sizes} points cannot be aligned; they must show the same graphs in one order")
        mine, others = (m.positions.astype(np.float64) for m in (self, other))
        middle = others.mean(0)
        mine = mine - mine.mean(0)
        left, stretch, right = np.linalg.svd(mine.T @ (others - middle))
        scale = stretch.sum() / max(np.square(mine).sum(), 1e-12)
        return replace(self, positions=(scale * mine @ left @ right + middle).astype(np.float32))


def fit_map(
    points: Tensor, *, method: str = "umap", seed: int = 0, start: np.ndarray | None = None, progress: bool = False,
    n_neighbors: int = NEIGHBORS, min_dist: float = MIN_DIST,
) -> EmbeddingMap:  # fmt: skip
    """Lay out points of the sphere on a plane; the same arguments give the same map.

    UMAP (McInnes, Healy, Melville 2018) uses the cosine metric, which is half the learned loss; t-SNE (van der
    Maaten, Hinton 2008) the Euclidean one, whose square is the learned loss. Of the 15 nearest, t-SNE keeps 45 % on
    the 9,605 molecules of molecules7 and 39 % on 10,000 of QM9, in 95 s on one core; UMAP 31 % and 23 %, in 12 s (the
    first in a session compiles, which takes a minute), and with n_neighbors=5 and min_dist=0 35 % and 30 %, in 6 s.
    densMAP, PaCMAP and LocalMAP keep no more than UMAP.

    Args:
        points: (n, D) unit vectors, n >= 1.
        method: "umap" and "tsne", which keep neighbors together, or "pca", the two directions of largest variance;
            fewer than 5 points use PCA.
        seed: Seed of UMAP and of t-SNE.
        start: (n, 2) positions that UMAP and t-SNE start from, such as those of an earlier map. To add points without
            moving any other, use `EmbeddingMap.extended`.
        progress: Whether UMAP and t-SNE print their progress.
        n_neighbors: Neighbors of each point that UMAP keeps together, at least 2, and half the perplexity of t-SNE.
        min_dist: Smallest distance of points on a UMAP map, in [0, 1].

    Returns:
        The map.

    Raises:
        ValueError: If the method is unknown, a number is out of range, or `points` or `start` has the wrong shape or
            is not finite.
    """
    points = finite_points(points).cpu()
    if method not in METHODS:
        raise ValueError(f"no map method {method!r}; the methods are {', '.join(METHODS)}")
    if start is not None and (np.shape(start) != (len(points), 2) or not np.isfinite(start).all()):
        raise ValueError(f"start must be ({len(points)}, 2), finite; got shape {np.shape(start)}")
    if n_neighbors < 2 or not 0 <= min_dist <= 1:
        raise ValueError(f"n_neighbors must be >= 2 and min_dist in [0, 1]; got {n_neighbors} and {min_dist}")
    method = "pca" if len(points) < FEWEST else method
    if method == "umap":
        positions = _umap(points, seed, start, progress, n_neighbors, min_dist)
    elif method == "tsne":
        positions = _tsne(points, seed, start, progress, n_neighbors)
    else:
        positions = principal_components(points)
    return EmbeddingMap(positions, points, neighbors_kept(points, positions, seed), method)


def principal_components(points: Tensor) -> np.ndarray:
    """(n, 2) coordinates along the two directions of largest variance; the largest entry of each is positive."""
    centered = (points - points.mean(0)).double()
    directions = torch.linalg.eigh(centered.T @ centered).eigenvectors[:, -2:].flip(1)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    found = centered @ (directions * largest.sign())
    return nn.functional.pad(found, (0, 2 - found.shape[1])).float().numpy()


def _umap(
    points: Tensor, seed: int, start: np.ndarray | None, progress: bool, n_neighbors: int, min_dist: float
) -> np.ndarray:
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads, and about disconnected neighbor graphs
        with extra("lab"):
            from umap import UMAP

        init = "spectral" if start is None else np.asarray(start, dtype=np.float32)
        if start is not None and not (np.ptp(init, 0) > 0).all():
            init = "random"  # UMAP divides by the extent of its start
        fixed = {"min_dist": min_dist, "metric": "cosine", "n_jobs": 1}
        fit = UMAP(min(n_neighbors, len(points) - 1), init=init, random_state=seed, verbose=progress, **fixed)
        try:
            return np.ascontiguousarray(fit.fit_transform(points.numpy()), dtype=np.float32)
        finally:
            torch.set_num_threads(threads)  # numba sets those of all OpenMP


def _tsne(points: Tensor, seed: int, start: np.ndarray | None, progress: bool, n_neighbors: int) -> np.ndarray:
    with extra("card"):
        from sklearn.manifold import TSNE

    if start is None:
        first = principal_components(points)
        first = 1e-4 * first / max(float(first.std(0).max()), ZERO)  # as scikit-learn scales it
    else:
        first = np.asarray(start, dtype=np.float32)
    fit = TSNE(
        perplexity=min(2 * n_neighbors, (len(points) - 1) / 3), init=first, random_state=seed, verbose=2 * progress,
        early_exaggeration=12.0 if start is None else 1.0,  # which would wipe the start out
    )  # fmt: skip
    return np.ascontiguousarray(fit.fit_transform(points.numpy()), dtype=np.float32)


def neighbors_kept(points: Tensor, positions: np.ndarray | Tensor, seed: int = 0) -> np.ndarray:
    """(n,) float32 share of each point's 15 nearest on the sphere that are among its 15 nearest on the map.

    Of more than 20,000 points a sample of 2,000 is judged, against all; the others are nan. positions: (n, 2) of a
    map, or a tensor (n, D') of other unit vectors, to compare two learned losses.
    """
    n = len(points)
    k = min(NEIGHBORS, n - 1)
    if k == 0:
        return np.ones(n, np.float32)
    judged = torch.arange(n)
    if n > MAX_JUDGED:
        judged = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:JUDGED]
    kept = np.full(n, np.nan, np.float32)
    finders = [_nearest_rows(those, k + 1) for those in (points, positions)]
    for start in range(0, len(judged), BLOCK):
        rows = judged[start : start + BLOCK].numpy()
        near, here = (_without_self(find(rows), rows) for find in finders)
        kept[rows] = (near[:, :, None] == here[:, None, :]).any(2).mean(1)
    return kept


def _nearest_rows(points: np.ndarray | Tensor, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from m rows to the rows (m, k) that are nearest to them, on the sphere (tensors) or on a plane."""
    if isinstance(points, Tensor):
        return lambda rows: nearest(points[rows], points, k)[1].numpy()
    with extra("card"):
        from scipy.spatial import cKDTree

    tree = cKDTree(points)
    return lambda rows: np.asarray(tree.query(points[rows], k)[1])


def _without_self(index: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(m, k) neighbors of (m, k + 1) without the point itself, or without the last where it is not among them."""
    itself = index == own[:, None]
    itself[~itself.any(1), -1] = True
    kept: np.ndarray = index[~itself].reshape(len(index), -1)
    return kept


def trust_words(kept: np.ndarray, method: str) -> str:
    """One sentence on how far a map can be trusted; kept and method as of `EmbeddingMap`."""
    judged = kept[np.isfinite(kept)]
    if not len(judged):
        return f"{TITLES[method]} map; how far it can be trusted was not measured."
    share = float(judged.mean())
    if share >= 0.6:
        meaning = "near on the map mostly means near by the loss"
    elif share >= 0.25:
        meaning = "near on the map often, but not always, means near by the loss"
    else:
        meaning = "near on the map says little about the loss: go by the list of neighbors"
    sample = "" if len(judged) == len(kept) else f" (judged on {len(judged):,} of them)"
    kept_share = f"keeps {100 * share:.0f} % of each graph's 15 nearest neighbors"
    return f"This {TITLES[method]} map {kept_share}{sample}: {meaning}."


def map_key(
    psi: Psi | Tensor, graphs: GraphBatch, *, method: str = "umap", seed: int = 0, n_neighbors: int = NEIGHBORS,
    min_dist: float = MIN_DIST,
) -> str:  # fmt: skip
    """sha256 of all that determines a map; of psi its class and weights, or its points if it is not a module."""
    running = hashlib.sha256(f"{FORMAT} {method} {seed} {graphs.digest()}".encode())
    if (n_neighbors, min_dist) != (NEIGHBORS, MIN_DIST):
        running.update(f"{n_neighbors} {min_dist}".encode())
    if isinstance(psi, nn.Module):
        named = psi.state_dict()
    else:
        named = {"points": psi if torch.is_tensor(psi) else points_of(psi, graphs)}
    running.update(type(psi).__name__.encode() if isinstance(psi, nn.Module) else b"")
    for name, tensor in named.items():
        running.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        running.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return running.hexdigest()


def load_map(key: str, points: Tensor) -> EmbeddingMap | None:
    """A map that is shipped in `data/maps` or cached, or None; warns of a file that is broken or does not fit."""
    for folder in (SHIPPED / "maps", cache_folder() / "maps"):
        path = folder / f"{key}.safetensors"
        if not path.exists():
            continue
        try:
            return _read(path, points)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            warnings.warn(f"map {path} is skipped: {error}; delete the file to stop this warning", stacklevel=2)
    return None


def save_map(map: EmbeddingMap, key: str, folder: str | Path | None = None) -> Path:
    """Write a map atomically, by default into the cache, and return the path of the file."""
    path = Path(folder or cache_folder() / "maps") / f"{key}.safetensors"
    arrays = {"positions": map.positions.astype(np.float32), "kept": map.kept.astype(np.float32)}
    data = bytes_of(arrays, {"format": FORMAT, "method": map.method})
    write_atomically(path, lambda partial: partial.write_bytes(data))
    return path


def _read(path: Path, points: Tensor) -> EmbeddingMap:
    with safe_open(path, framework="numpy") as file:
        about = file.metadata() or {}
        positions, kept = file.get_tensor("positions"), file.get_tensor("kept")
    if about.get("format") != FORMAT or about.get("method") not in METHODS:
        raise ValueError(f"it is not a map of format {FORMAT!r}")
    n, fine = len(points), positions.dtype == np.float32 and np.isfinite(positions).all()
    if not fine or positions.shape != (n, 2) or kept.shape != (n,):
        raise ValueError(f"it does not have {n} positions in finite float32")
    return EmbeddingMap(positions, points.detach().cpu(), kept, about["method"])
