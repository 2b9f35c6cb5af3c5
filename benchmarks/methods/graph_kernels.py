"""Predefined losses as psi: kernels of graphs with k(y, y) = 1, sketched.

A kernel is made for L landmarks and maps graphs to (B, L) numbers. `Sketched` turns it into a psi, unit vectors whose
products are the kernel's, so that all that takes a learned psi takes a predefined one: `2 - 2 k(y, y')` is its loss.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from torch import Tensor

from elekit.graphs.distances import ALPHA, BITS, HOPS, MAX_ITERATIONS, RADIUS
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors, node_colors
from elekit.model.loss import BATCH_SIZE, points_of

SMALLEST = 1e-6  # of the eigenvalues of the landmarks' matrix, beside the largest


class Tanimoto:
    """`|bits shared| / |bits of either|` of Morgan fingerprints (radius 2, 2048 bits), in [0, 1].

    All that RDKit does not sanitise has the same one bit, which no molecule has. Source: Rogers and Hahn (2010).
    """

    def __init__(self, landmarks: Graph):
        self.landmarks = self.bits(landmarks)

    def __call__(self, graphs: Graph) -> Tensor:
        bits = self.bits(graphs)
        shared = bits @ self.landmarks.T
        return shared / (bits.sum(1)[:, None] + self.landmarks.sum(1) - shared)

    @staticmethod
    def bits(graphs: Graph) -> Tensor:
        return fingerprints(graphs, BITS).clamp_max(1)


def fingerprints(graphs: Graph, size: int) -> Tensor:
    """(B, size + 1) float32 Morgan counts (radius 2); the last column is 1 of what is no molecule.

    ValueError for graphs with other labels than molecules have.
    """
    if not is_molecular(graphs.vocabulary):
        raise ValueError(
            f"fingerprints are those of molecules, these graphs have nodes {list(graphs.vocabulary.node_labels)}; "
            "take the kernel 'wl'"
        )
    generator = GetMorganGenerator(radius=RADIUS, fpSize=size)
    counts = np.zeros((len(graphs), size + 1), dtype=np.float32)
    for rows, part in graphs.blocks(BATCH_SIZE):
        for row, text in zip(rows.tolist(), to_smiles(part)):
            molecule = Chem.MolFromSmiles(text) if text else None
            if molecule is None:
                counts[row, size] = 1
            else:
                counts[row, :size] = generator.GetCountFingerprintAsNumPy(molecule)
    return torch.from_numpy(counts)


class WeisfeilerLehman:
    """Cosine of the counts of node colours after 0, 1, 2 and 3 rounds of refinement, in [0, 1].

    As `elekit.graphs.distances.weisfeiler_lehman`, which is `2 - 2 k`. Graphs without nodes are 0 to all landmarks.
    Source: Shervashidze et al., JMLR 12 (2011).
    """

    def __init__(self, landmarks: Graph):
        self.rounds = []  # of each: the colours known (V,), sorted, and how often each landmark has each (V, L)
        for owner, color in occurrences(landmarks):
            known, place = color.unique(return_inverse=True)
            count = torch.zeros(len(known), len(landmarks))
            self.rounds.append((known, count.index_put_((place, owner), torch.ones(len(owner)), accumulate=True)))
        self.norms = sum(count.square().sum(0) for _, count in self.rounds).sqrt()

    def __call__(self, graphs: Graph) -> Tensor:
        found, square = torch.zeros(len(graphs), len(self.norms)), torch.zeros(len(graphs))
        for (known, count), (owner, color) in zip(self.rounds, occurrences(graphs)):
            pairs, times = torch.stack([owner, color]).unique(dim=1, return_counts=True)
            square.index_add_(0, pairs[0], times.float().square())
            seen = torch.isin(color, known)
            found.index_add_(0, owner[seen], count[torch.searchsorted(known, color[seen])])
        return found / (square.sqrt()[:, None] * self.norms).clamp_min(1e-12)


def occurrences(graphs: Graph) -> list[tuple[Tensor, Tensor]]:
    """After 0, 1, 2 and 3 rounds, all nodes of all graphs: the number of the graph and the colour, int64."""
    found: list[list[Tensor]] = [[] for _ in range(HOPS + 1)]
    for rows, part in graphs.blocks(BATCH_SIZE):
        for own, colors in zip(found, node_colors(part, HOPS)):
            b, n = (colors != 0).nonzero(as_tuple=True)
            own.append(torch.stack([rows[b], colors[b, n]]))
    return [tuple(torch.cat(own, 1)) for own in found]


class FusedGromovWasserstein:
    """`exp(-cost / scale)` of the fused Gromov-Wasserstein cost, alpha = 1/2; scale: their median between landmarks.

    One descent of POT, from the plan that lays nodes of like colour on each other: an upper bound, 1 of isomorphic
    graphs; the kernel is only nearly positive and symmetric. Labels of edges do not count. About 0.8 ms a pair of 7
    nodes, a fifth of `elekit.graphs.distances.fused_gromov_wasserstein`. A graph without nodes is 0 to all landmarks.
    Source: Vayer et al., ICML 2019.
    """

    def __init__(self, landmarks: Graph):
        self.landmarks = list(transported(landmarks))
        costs = self.costs(landmarks)
        finite = costs[costs.isfinite() & (costs > 0)]
        self.scale = float(finite.median()) if len(finite) else 1.0

    def __call__(self, graphs: Graph) -> Tensor:
        return (-self.costs(graphs) / self.scale).exp().float()

    def costs(self, graphs: Graph) -> Tensor:
        """(B, L), infinite where one of two has no nodes."""
        from ot import emd, unif
        from ot.gromov import fused_gromov_wasserstein2

        found = torch.full((len(graphs), len(self.landmarks)), torch.inf, dtype=torch.float64)
        for b, (labels, linked, colors) in enumerate(transported(graphs)):
            for c, (their_labels, their_linked, their_colors) in enumerate(self.landmarks):
                if len(labels) and len(their_labels):
                    differ = (labels[:, None] != their_labels).astype(float)
                    unlike = (colors[:, None] != their_colors).sum(-1).astype(float)
                    plan = emd(unif(len(labels)), unif(len(their_labels)), unlike)
                    found[b, c] = fused_gromov_wasserstein2(
                        differ, linked, their_linked, alpha=ALPHA, symmetric=True, max_iter=MAX_ITERATIONS, G0=plan
                    )
        return found.clamp_min(0)


def transported(graphs: Graph) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each graph the labels (n,) of its nodes, the adjacency (n, n) of 0 and 1, and colours (n, HOPS + 2)."""
    colors = torch.stack([*node_colors(graphs, HOPS), canonical_colors(graphs)], 2).numpy()
    for nodes, edges, own in zip(*(labels.cpu().numpy() for labels in graphs.labels()), colors):
        there = np.flatnonzero(nodes)
        yield nodes[there], (edges[np.ix_(there, there)] > 0).astype(float), own[there]


KERNELS: dict[str, Callable[[Graph], Callable[[Graph], Tensor]]] = {
    "tanimoto": Tanimoto,
    "wl": WeisfeilerLehman,
    "fgw": FusedGromovWasserstein,
}


def fitting(vocabulary: GraphVocabulary) -> str:
    """The kernel that people would take for such graphs."""
    return "tanimoto" if is_molecular(vocabulary) else "wl"


class Sketched:
    """psi of a kernel by the method of Nystrom: `psi(y) = K^(-1/2) k(y)`, brought to unit length.

    K (L, L) is the kernel between landmarks, k(y) (L,) that between a graph and the landmarks. With all graphs as
    landmarks, products of psi are the kernel itself. A graph that is 0 to all landmarks goes to an axis of its own,
    the last. Source: Williams and Seeger (2001).
    """

    def __init__(self, kernel: Callable[[Graph], Tensor], landmarks: Graph):
        self.kernel, self.vocabulary = kernel, landmarks.vocabulary
        self.root = inverse_root(points_of(kernel, landmarks))

    def __call__(self, graphs: Graph) -> Tensor:
        points = self.kernel(graphs) @ self.root
        length = points.norm(dim=1, keepdim=True)
        unlike = (length < 1e-6).float()
        return torch.cat([points / length.clamp_min(1e-6) * (1 - unlike), unlike], 1)


def inverse_root(matrix: Tensor) -> Tensor:
    """(L, r) R with `R R^T` the inverse of a symmetric matrix (L, L) >= 0 on its range, of rank r."""
    values, vectors = np.linalg.eigh((matrix + matrix.T).double().numpy() / 2)
    kept = values > SMALLEST * values[-1]
    return torch.from_numpy(vectors[:, kept] / np.sqrt(values[kept])).float()


def sketched(name: str, graphs: Graph, size: int, seed: int) -> Sketched:
    """psi of a named kernel with `size` landmarks (or all) drawn from graphs. ValueError for an unknown kernel."""
    if name not in KERNELS:
        raise ValueError(f"no kernel {name!r}; there are {', '.join(KERNELS)}")
    rows = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:size]
    landmarks = graphs[rows]
    return Sketched(KERNELS[name](landmarks), landmarks)
