"""Predefined losses as psi: kernels of graphs with k(y, y) = 1, sketched.

A kernel is made for L landmarks and maps graphs to (B, L) numbers. `Sketched` turns it into a psi, unit vectors whose
products are the kernel's, so that all that takes a learned psi takes a predefined one: `2 - 2 k(y, y')` is its loss.
"""

from collections.abc import Callable

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from torch import Tensor

from elekit import chem
from elekit.distances import BITS, HOPS, RADIUS
from elekit.graph import Graph, GraphVocabulary
from elekit.loss import points_of
from elekit.refinement import node_colours

SMALLEST = 1e-6  # of the eigenvalues of the landmarks' matrix, beside the largest


class Tanimoto:
    """`|bits shared| / |bits of either|` of Morgan fingerprints (radius 2, 2048 bits), in [0, 1].

    All that RDKit does not sanitise has the same one bit, which no molecule has. Source: Rogers and Hahn (2010).
    """

    def __init__(self, landmarks: Graph):
        self.landmarks = morgan_bits(landmarks)

    def __call__(self, graphs: Graph) -> Tensor:
        bits = morgan_bits(graphs)
        shared = bits @ self.landmarks.T
        return shared / (bits.sum(1)[:, None] + self.landmarks.sum(1) - shared)


def morgan_bits(graphs: Graph) -> Tensor:
    """(B, 2049) float32 of 0 and 1; the last column is 1 of what is no molecule. ValueError for other labels."""
    if not chem.is_molecular(graphs.vocabulary):
        raise ValueError(
            f"fingerprints are those of molecules, these graphs have nodes {list(graphs.vocabulary.node_labels)}; "
            "take the kernel 'wl'"
        )
    generator = GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    bits = np.zeros((len(graphs), BITS + 1), dtype=np.float32)
    for row, text in zip(bits, chem.to_smiles(graphs)):
        molecule = Chem.MolFromSmiles(text) if text else None
        if molecule is None:
            row[BITS] = 1
        else:
            row[:BITS] = generator.GetFingerprintAsNumPy(molecule)
    return torch.from_numpy(bits)


class WeisfeilerLehman:
    """Cosine of the counts of node colours after 0, 1, 2 and 3 rounds of refinement, in [0, 1].

    As `elekit.distances.weisfeiler_lehman`, which is `2 - 2 k`. Graphs without nodes are 0 to all landmarks.
    Source: Shervashidze et al., JMLR 12 (2011).
    """

    def __init__(self, landmarks: Graph):
        colours = _by_round(landmarks)
        self.known = [own[own != 0].unique() for own in colours]  # sorted
        self.counted = []  # of each round (V + 1, L): how often each landmark has each colour; last row: other ones
        for known, own in zip(self.known, colours):
            count = torch.zeros(len(known) + 1, len(landmarks))
            b, n = (own != 0).nonzero(as_tuple=True)
            count.index_put_((torch.searchsorted(known, own[b, n]), b), torch.ones(len(b)), accumulate=True)
            self.counted.append(count)
        self.norms = sum(count.square().sum(0) for count in self.counted).sqrt()

    def __call__(self, graphs: Graph) -> Tensor:
        found, square = torch.zeros(len(graphs), len(self.norms)), torch.zeros(len(graphs))
        for known, count, own in zip(self.known, self.counted, _by_round(graphs)):
            place = torch.searchsorted(known, own).clamp_max(max(0, len(known) - 1))
            place = torch.where((own != 0) & (known[place] == own), place, len(known)) if len(known) else own * 0
            found += torch.nn.functional.embedding_bag(place, count, mode="sum")
            square += ((own[:, :, None] == own[:, None, :]) & (own != 0)[:, :, None]).sum((1, 2))
        return found / (square.sqrt()[:, None] * self.norms).clamp_min(1e-12)


def _by_round(graphs: Graph) -> list[Tensor]:
    return node_colours(graphs, HOPS)


KERNELS: dict[str, Callable[[Graph], Callable[[Graph], Tensor]]] = {"tanimoto": Tanimoto, "wl": WeisfeilerLehman}


def fitting(vocabulary: GraphVocabulary) -> str:
    """The kernel that people would take for such graphs."""
    return "tanimoto" if chem.is_molecular(vocabulary) else "wl"


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
    values, vectors = np.linalg.eigh(matrix.double().numpy())
    kept = values > SMALLEST * values[-1]
    return torch.from_numpy(vectors[:, kept] / np.sqrt(values[kept])).float()


def sketched(name: str, graphs: Graph, size: int, seed: int) -> Sketched:
    """psi of a named kernel with `size` landmarks (or all) drawn from graphs. ValueError for a kernel that there is not."""
    if name not in KERNELS:
        raise ValueError(f"no kernel {name!r}; there are {', '.join(KERNELS)}")
    rows = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:size]
    landmarks = graphs[rows]
    return Sketched(KERNELS[name](landmarks), landmarks)
