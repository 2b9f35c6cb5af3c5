"""Predefined losses as psi: kernels of graphs with k(y, y) = 1, embedded by landmarks.

A kernel is built for L landmarks and maps graphs to (B, L) values. `KernelEmbedding` turns it into a psi, unit
vectors whose inner products are the kernel, so that everything that accepts a learned psi accepts a predefined one:
`2 - 2 k(y, y')` is its loss.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from torch import Tensor

from elekit.graphs.distances import ALPHA, BITS, HOPS, MAX_ITERATIONS, RADIUS
from elekit.graphs.graph import GraphBatch, GraphVocabulary
from elekit.graphs.smiles import is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors, color_occurrences, node_colors
from elekit.model.loss import BATCH_SIZE, points_of

MIN_EIGENVALUE = 1e-6  # of the landmarks' kernel matrix, relative to the largest


class Tanimoto:
    """`|shared bits| / |bits of either|` of Morgan fingerprints (radius 2, 2048 bits), in [0, 1].

    Graphs that RDKit cannot sanitize have one bit that no molecule has. Source: Rogers and Hahn (2010).
    """

    def __init__(self, landmarks: GraphBatch):
        self.landmarks = self.bits(landmarks)

    def __call__(self, graphs: GraphBatch) -> Tensor:
        bits = self.bits(graphs)
        shared = bits @ self.landmarks.T
        return shared / (bits.sum(1)[:, None] + self.landmarks.sum(1) - shared)

    @staticmethod
    def bits(graphs: GraphBatch) -> Tensor:
        return fingerprints(graphs, BITS).clamp_max(1)


def fingerprints(graphs: GraphBatch, size: int) -> Tensor:
    """(B, size + 1) float32 Morgan counts (radius 2); the last column is 1 for graphs that are no molecules.

    Raises:
        ValueError: If the graphs have labels other than those of molecules.
    """
    if not is_molecular(graphs.vocabulary):
        labels = list(graphs.vocabulary.node_labels)
        raise ValueError(f"fingerprints need molecules, got graphs with node labels {labels}; use the kernel 'wl'")
    generator = GetMorganGenerator(radius=RADIUS, fpSize=size)
    counts = np.zeros((len(graphs), size + 1), dtype=np.float32)
    for rows, block in graphs.blocks(BATCH_SIZE):
        for row, text in zip(rows.tolist(), to_smiles(block)):
            molecule = Chem.MolFromSmiles(text) if text else None
            if molecule is None:
                counts[row, size] = 1
            else:
                counts[row, :size] = generator.GetCountFingerprintAsNumPy(molecule)
    return torch.from_numpy(counts)


class WeisfeilerLehman:
    """Cosine of the counts of node colors after 0, 1, 2 and 3 rounds of color refinement, in [0, 1].

    `elekit.graphs.distances.weisfeiler_lehman` is `2 - 2 k` of it. Graphs without nodes are 0 to every landmark.
    Source: Shervashidze et al., JMLR 12 (2011).
    """

    def __init__(self, landmarks: GraphBatch):
        self.rounds = []  # per round: the known colors (V,), sorted, and their counts in each landmark (V, L)
        for owner, color in color_occurrences(landmarks, HOPS):
            known, index = color.unique(return_inverse=True)
            count = torch.zeros(len(known), len(landmarks))
            self.rounds.append((known, count.index_put_((index, owner), torch.ones(len(owner)), accumulate=True)))
        self.norms = sum((count.square().sum(0) for _, count in self.rounds), torch.zeros(len(landmarks))).sqrt()

    def __call__(self, graphs: GraphBatch) -> Tensor:
        found, square = torch.zeros(len(graphs), len(self.norms)), torch.zeros(len(graphs))
        for (known, count), (owner, color) in zip(self.rounds, color_occurrences(graphs, HOPS)):
            pairs, times = torch.stack([owner, color]).unique(dim=1, return_counts=True)
            square.index_add_(0, pairs[0], times.float().square())
            seen = torch.isin(color, known)
            found.index_add_(0, owner[seen], count[torch.searchsorted(known, color[seen])])
        return found / (square.sqrt()[:, None] * self.norms).clamp_min(1e-12)


class FusedGromovWasserstein:
    """`exp(-cost / scale)` of the fused Gromov-Wasserstein cost with alpha = 1/2; scale: median between landmarks.

    One descent of POT from the plan that matches nodes of equal color. The cost is an upper bound, and the kernel is
    1 for isomorphic graphs but only approximately positive and symmetric. Edge labels are ignored. It takes about 0.8
    ms per pair of 7 nodes, a fifth of `elekit.graphs.distances.fused_gromov_wasserstein`. A graph without nodes is 0
    to every landmark. Source: Vayer et al., ICML 2019.
    """

    def __init__(self, landmarks: GraphBatch):
        self.landmarks = list(structures(landmarks))
        costs = self.costs(landmarks)
        finite = costs[costs.isfinite() & (costs > 0)]
        self.scale = float(finite.median()) if len(finite) else 1.0

    def __call__(self, graphs: GraphBatch) -> Tensor:
        return (-self.costs(graphs) / self.scale).exp().float()

    def costs(self, graphs: GraphBatch) -> Tensor:
        """(B, L); infinite if one of the two graphs has no nodes."""
        from ot import emd, unif
        from ot.gromov import fused_gromov_wasserstein2

        found = torch.full((len(graphs), len(self.landmarks)), torch.inf, dtype=torch.float64)
        for b, (labels, linked, colors) in enumerate(structures(graphs)):
            for c, (other_labels, other_linked, other_colors) in enumerate(self.landmarks):
                if len(labels) and len(other_labels):
                    differ = (labels[:, None] != other_labels).astype(float)
                    color_cost = (colors[:, None] != other_colors).sum(-1).astype(float)
                    plan = emd(unif(len(labels)), unif(len(other_labels)), color_cost)
                    found[b, c] = fused_gromov_wasserstein2(
                        differ, linked, other_linked, alpha=ALPHA, symmetric=True, max_iter=MAX_ITERATIONS, G0=plan
                    )
        return found.clamp_min(0)


def structures(graphs: GraphBatch) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each graph the node labels (n,), the adjacency (n, n) with 0 and 1, and the colors (n, HOPS + 2)."""
    colors = torch.stack([*node_colors(graphs, HOPS), canonical_colors(graphs)], 2).numpy()
    for nodes, edges, own in zip(*(labels.cpu().numpy() for labels in graphs.labels()), colors):
        present = np.flatnonzero(nodes)
        yield nodes[present], (edges[np.ix_(present, present)] > 0).astype(float), own[present]


KERNELS: dict[str, Callable[[GraphBatch], Callable[[GraphBatch], Tensor]]] = {
    "tanimoto": Tanimoto,
    "wl": WeisfeilerLehman,
    "fgw": FusedGromovWasserstein,
}


def default_kernel(vocabulary: GraphVocabulary) -> str:
    """The usual kernel for graphs of a vocabulary."""
    return "tanimoto" if is_molecular(vocabulary) else "wl"


class KernelEmbedding:
    """psi of a kernel by the Nystrom method: `psi(y) = K^(-1/2) k(y)`, normalized to unit length.

    K (L, L) is the kernel between landmarks, k(y) (L,) the kernel between a graph and the landmarks. If all graphs
    are landmarks, inner products of psi are the kernel itself. A graph that is 0 to every landmark is mapped to an
    extra, last axis. Source: Williams and Seeger (2001).
    """

    def __init__(self, kernel: Callable[[GraphBatch], Tensor], landmarks: GraphBatch):
        self.kernel, self.vocabulary = kernel, landmarks.vocabulary
        self.root = inverse_root(points_of(kernel, landmarks))

    def __call__(self, graphs: GraphBatch) -> Tensor:
        points = self.kernel(graphs) @ self.root
        length = points.norm(dim=1, keepdim=True)
        unlike = (length < 1e-6).float()
        return torch.cat([points / length.clamp_min(1e-6) * (1 - unlike), unlike], 1)


def inverse_root(matrix: Tensor) -> Tensor:
    """(L, r) matrix R with `R R^T` the pseudo-inverse of a positive semidefinite matrix (L, L) of rank r."""
    values, vectors = np.linalg.eigh((matrix + matrix.T).double().numpy() / 2)
    kept = values > MIN_EIGENVALUE * values[-1]
    return torch.from_numpy(vectors[:, kept] / np.sqrt(values[kept])).float()


def embed_kernel(name: str, graphs: GraphBatch, landmarks: int, seed: int) -> KernelEmbedding:
    """psi of a named kernel with up to `landmarks` landmarks drawn from the graphs.

    Raises:
        ValueError: If the kernel is unknown.
    """
    if name not in KERNELS:
        raise ValueError(f"unknown kernel {name!r}; known kernels: {', '.join(KERNELS)}")
    chosen = graphs[torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:landmarks]]
    return KernelEmbedding(KERNELS[name](chosen), chosen)
