"""Where do graphs lie on the sphere, on a flat map, and how far can the map be trusted?

Fitting takes seconds to a minute, so maps are kept in files, named by what they were made of.
"""

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

from elekit.datasets.files import cache_folder, write_atomically
from elekit.decoding.candidates import nearest
from elekit.graphs._optional import extra
from elekit.graphs.graph import Graph
from elekit.inspect._validation import finite
from elekit.model.loss import Psi, points_of

METHODS = ("umap", "pca")
NEIGHBORS = 15
LENDING = 5  # points that a new one gets its place from
SAME = 1e-12  # losses below are rounding errors
FEWEST = 5  # points that UMAP can do something with
ALL_JUDGED, JUDGED = 20_000, 2_000  # up to so many points all are judged, beyond that a sample
BLOCK = 1_024  # points whose neighbors are looked for at a time
FORMAT = "elekit map 1"


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points of the sphere laid out on a plane.

    positions: (n, 2) float32. points: (n, D). kept: (n,) share of a point's 15 nearest on the sphere that are among
    its 15 nearest on the map, in [0, 1]; nan where it was not judged. method: "umap" or "pca".
    """

    positions: np.ndarray
    points: Tensor
    kept: np.ndarray
    method: str

    @property
    def trust(self) -> float:
        """Mean share of neighbors kept, in [0, 1]."""
        return float(np.nanmean(self.kept))

    def place(self, points: Tensor) -> np.ndarray:
        """Where further points (m, D) belong on the map: (m, 2) float32; a point of the map lands on its own place.

        The mean of the places of the 5 nearest points, each weighed by `loss^-4` (Shepard 1968). UMAP's own transform
        starts from such a mean. On the map of molecules7 a molecule placed by the others lands a median 0.06 from
        where UMAP has it (the map is 14 wide) and keeps 29 % of its neighbors there, of UMAP's 33 %.
        """
        placed = [np.empty((0, 2), np.float32)]
        for some in points.detach().split(BLOCK):
            index = nearest(some, self.points, LENDING)[1]
            # not 2 - 2 <u, v>, whose rounding error would move points off their own places
            loss = (some[:, None] - self.points[index]).double().square().sum(-1)
            weight = (loss / loss.amin(1, keepdim=True).clamp_min(SAME)).clamp_min(SAME).pow(-4)
            weight = weight / weight.sum(1, keepdim=True)
            placed.append(np.einsum("mk,mkc->mc", weight.numpy(), self.positions[index.numpy()]).astype(np.float32))
        return np.concatenate(placed)

    def aligned_to(self, other: "EmbeddingMap") -> "EmbeddingMap":
        """The same map turned, mirrored, moved and scaled so that its points lie nearest to those of another one.

        Least squares (Procrustes; Schoenemann and Carroll 1970). Raises ValueError for maps of different size.
        """
        if len(self.positions) != len(other.positions):
            raise ValueError(
                f"maps of {len(self.positions)} and {len(other.positions)} points cannot be aligned; "
                "they must show the same graphs in the same order"
            )
        mine, theirs = (m.positions.astype(np.float64) for m in (self, other))
        middle = theirs.mean(0)
        mine = mine - mine.mean(0)
        left, stretch, right = np.linalg.svd(mine.T @ (theirs - middle))
        scale = stretch.sum() / max(np.square(mine).sum(), 1e-12)
        return replace(self, positions=(scale * mine @ left @ right + middle).astype(np.float32))


def fit_map(
    points: Tensor, *, method: str = "umap", seed: int = 0, start: np.ndarray | None = None, progress: bool = False
) -> EmbeddingMap:
    """A map of points of the sphere; the same arguments give the same map.

    points: (n, D), n >= 1. method: "umap" keeps neighbors together and takes seconds (1,000 points) to a minute
    (10,000); "pca", the two directions of largest variance, is instant and the fallback below 5 points.
    start: (n, 2) positions that UMAP starts from, such as those of an earlier map. progress: UMAP tells how far it
    is.
    UMAP (McInnes, Healy, Melville 2018) with 15 neighbors, min_dist 0.1 and the cosine metric: half the learned
    loss.
    Raises ValueError for an unknown method, and points or a start of another shape or not finite.
    """
    points = finite(points).cpu()
    if method not in METHODS:
        raise ValueError(f"no method {method!r} to make a map; there are {', '.join(METHODS)}")
    if start is not None and (np.shape(start) != (len(points), 2) or not np.isfinite(start).all()):
        raise ValueError(f"start must be ({len(points)}, 2), finite, a position a point; got shape {np.shape(start)}")
    if len(points) < FEWEST:
        method = "pca"
    positions = principal(points) if method == "pca" else _umap(points, seed, start, progress)
    return EmbeddingMap(positions, points, neighbors_kept(points, positions, seed), method)


def principal(points: Tensor) -> np.ndarray:
    """(n, 2) coordinates along the two directions of largest variance; the largest entry of each is above zero."""
    centerd = (points - points.mean(0)).double()
    directions = torch.linalg.eigh(centerd.T @ centerd).eigenvectors[:, -2:].flip(1)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    found = centerd @ (directions * largest.sign())
    return nn.functional.pad(found, (0, 2 - found.shape[1])).float().numpy()


def _umap(points: Tensor, seed: int, start: np.ndarray | None, progress: bool) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own threads, and about graphs in several pieces
        with extra("lab"):
            from umap import UMAP

        init = "spectral" if start is None else np.asarray(start, dtype=np.float32)
        if start is not None and not (np.ptp(init, 0) > 0).all():
            init = "random"  # UMAP divides by the width and the height of its start
        fit = UMAP(
            n_neighbors=min(NEIGHBORS, len(points) - 1),
            min_dist=0.1,
            metric="cosine",
            init=init,
            random_state=seed,
            n_jobs=1,
            verbose=progress,
        )
        return np.ascontiguousarray(fit.fit_transform(points.numpy()), dtype=np.float32)


def neighbors_kept(points: Tensor, positions: np.ndarray, seed: int = 0) -> np.ndarray:
    """(n,) share of each point's 15 nearest on the sphere that are among its 15 nearest on the map, float32.

    Of more than 20,000 points 2,000, drawn by the seed, are judged (against all) and the others are nan.
    """
    with extra("card"):
        from scipy.spatial import cKDTree

    n = len(points)
    k = min(NEIGHBORS, n - 1)
    if k == 0:
        return np.ones(n, np.float32)
    judged = torch.arange(n)
    if n > ALL_JUDGED:
        judged = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:JUDGED]
    tree, kept = cKDTree(positions), np.full(n, np.nan, np.float32)
    for rows in judged.split(BLOCK):
        near = _others(nearest(points[rows], points, k + 1)[1].numpy(), rows.numpy())
        here = _others(tree.query(positions[rows], k + 1)[1], rows.numpy())
        kept[rows] = (near[:, :, None] == here[:, None, :]).any(2).mean(1)
    return kept


def _others(index: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Neighbors (m, k) out of (m, k + 1) that may hold the point itself; where they do not, the last is left out."""
    itself = index == own[:, None]
    itself[~itself.any(1), -1] = True
    return index[~itself].reshape(len(index), -1)


# -- files -----------------------------------------------------------------------------------------------------
def map_key(psi: Psi, graphs: Graph, *, method: str = "umap", seed: int = 0) -> str:
    """sha256 of all that a map is made of: psi (its class and weights, or its points), graphs, method and seed."""
    running = hashlib.sha256(f"{FORMAT} {method} {seed} {graphs.digest()}".encode())
    named = psi.state_dict() if isinstance(psi, nn.Module) else {"points": points_of(psi, graphs)}
    running.update(type(psi).__name__.encode() if isinstance(psi, nn.Module) else b"")
    for name, tensor in named.items():
        running.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        running.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return running.hexdigest()


def find_map(key: str, points: Tensor) -> EmbeddingMap | None:
    """The map kept under a key, shipped in `data/maps` or in the cache; None where there is none.

    points: (n, D) that it shows. A file that is broken or does not fit them is passed over with a warning.
    """
    for folder in _folders():
        path = folder / f"{key}.safetensors"
        if not path.exists():
            continue
        try:
            return _read(path, points)
        except (OSError, SafetensorError, ValueError, KeyError) as wrong:
            warnings.warn(f"map {path} is passed over: {wrong}; delete the file to be rid of this", stacklevel=2)
    return None


def keep_map(map: EmbeddingMap, key: str, folder: str | Path | None = None) -> Path:
    """Write a map under a key, whole or not at all; the path. folder: None = `$ELEKIT_CACHE_DIR/maps` or the cache.

    Raises OSError, naming the file, where it cannot be written.
    """
    path = Path(folder or _folders()[1]) / f"{key}.safetensors"
    arrays = {"positions": map.positions.astype(np.float32), "kept": map.kept.astype(np.float32)}
    write_atomically(path, lambda p: save_file(arrays, p, {"format": FORMAT, "method": map.method}))
    return path


def _folders() -> tuple[Path, Path]:
    """Where shipped maps lie, and where others are kept."""
    from elekit.datasets import named

    return named.SHIPPED / "maps", cache_folder() / "maps"


def _read(path: Path, points: Tensor) -> EmbeddingMap:
    with safe_open(path, framework="numpy") as file:
        about = file.metadata() or {}
        positions, kept = file.get_tensor("positions"), file.get_tensor("kept")
    if about.get("format") != FORMAT or about.get("method") not in METHODS:
        raise ValueError(f"it is no map of the kind {FORMAT!r}")
    n = len(points)
    if positions.shape != (n, 2) or kept.shape != (n,):
        raise ValueError(f"it shows {len(positions)} points and not {n}")
    if positions.dtype != np.float32 or not np.isfinite(positions).all():
        raise ValueError("its positions are not finite float32")
    return EmbeddingMap(positions, points.detach().cpu(), kept, about["method"])


def trust_words(kept: np.ndarray, method: str) -> str:
    """How far a map may be trusted, in a sentence; kept: (n,) share of neighbors kept, nan where not judged."""
    judged = kept[np.isfinite(kept)]
    if not len(judged):
        return f"{method.upper()} map; how far it can be trusted was not measured."
    share = float(judged.mean())
    meaning = (
        "near on the map mostly means near by the loss"
        if share >= 0.6
        else "near on the map often, but not always, means near by the loss"
        if share >= 0.25
        else "near on the map says little about the loss: go by the list of neighbors"
    )
    sample = "" if len(judged) == len(kept) else f" (judged on {len(judged):,} of them)"
    return f"This {method.upper()} map keeps {100 * share:.0f} % of each graph's 15 nearest neighbors{sample}: {meaning}."
