"""Distances between graphs that people know, and that learn nothing (floor 1).

Each takes two batches and gives a distance for each pair of graphs i; nan where there is none to be told.

    edit                       fewest single edits from one graph to the other
    weisfeiler_lehman          how much they differ in the neighborhoods of their nodes, counted
    fused_gromov_wasserstein   how badly their nodes can be laid on each other, labels and edges at once
    tanimoto                   how few substructures two molecules share

`distances_for` names those that apply to graphs of a vocabulary.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elekit.graphs._optional import extra
from elekit.graphs.edit_distance import check_comparable, edit_distance
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors, node_colors

Distance = Callable[[Graph, Graph], Tensor]
"""Any map from two batches of B graphs to (B,) numbers, 0 for equal graphs, nan where it has no answer."""

HOPS = 3  # rounds of refinement of the Weisfeiler-Lehman kernel
ALPHA = 0.5  # weight of the structure in fused Gromov-Wasserstein; 1 - ALPHA is that of the labels
STARTS, MAX_ITERATIONS = 10, 100  # of the descents of fused Gromov-Wasserstein, and iterations of one; most take 4
RADIUS, BITS = 2, 2048  # of Morgan fingerprints


def distances_for(vocabulary: GraphVocabulary) -> dict[str, Distance]:
    """Those of this module that apply to graphs of a vocabulary, by plain names; Tanimoto to molecules alone."""
    found: dict[str, Distance] = {
        "edit distance": edit,
        "Weisfeiler-Lehman": weisfeiler_lehman,
        "fused Gromov-Wasserstein": fused_gromov_wasserstein,
    }
    return found | ({"Tanimoto": tanimoto} if is_molecular(vocabulary) else {})


def edit(a: Graph, b: Graph, *, timeout: float = 0.5) -> Tensor:
    """(B,) fewest edits with cost 1 each that turn graph i of `a` into graph i of `b`; nan where not proven in time.

    `metrics.edit_distance` as plain numbers. timeout: seconds a pair (>= 0), so which pairs have a number may depend
    on the machine. What is left unproven are large graphs that lie far apart; those that have one are the nearer ones.
    Raises ValueError for different batch sizes or labels and a negative timeout.
    """
    found = edit_distance(a, b, timeout=timeout)
    return torch.where(found.proven, found.distance.double(), torch.nan)


def weisfeiler_lehman(a: Graph, b: Graph) -> Tensor:
    """(B,) squared distance of the normalized subtree kernel, `2 - 2 k(a, b) / sqrt(k(a, a) k(b, b))`, in [0, 2].

    `k(a, b) = sum_{t=0..3} sum_c #_t(c, a) #_t(c, b)` with #_t(c, a) the nodes of color c after t rounds of
    refinement, labels of nodes and edges included. As the learned loss it compares directions: graphs whose colors
    are the same in the same shares lie at 0, isomorphic ones always. Two graphs without nodes lie at 0, and at 2 from
    all others. Source: Shervashidze et al., JMLR 12 (2011).
    Raises ValueError for different batch sizes or labels.
    """
    check_comparable(a, b)
    colors = [node_colors(graphs, HOPS) for graphs in (a, b)]

    def kernel(one: list[Tensor], other: list[Tensor]) -> Tensor:
        same = [(c[:, :, None] == d[:, None, :]) & (c != 0)[:, :, None] for c, d in zip(one, other)]
        return torch.stack([pairs.sum((1, 2)) for pairs in same]).sum(0).double()

    between, of_a, of_b = kernel(*colors), kernel(colors[0], colors[0]), kernel(colors[1], colors[1])
    cosine = between / (of_a * of_b).sqrt().clamp_min(1)
    return torch.where((of_a == 0) & (of_b == 0), 0.0, 2 - 2 * cosine.clamp_max(1))


def fused_gromov_wasserstein(a: Graph, b: Graph, *, alpha: float = ALPHA) -> Tensor:
    """(B,) cost of the best plan T that lays the nodes of graph i of `a` on those of graph i of `b`, in [0, 1].

    `min_T (1 - alpha) sum_ij T_ij [n_i != n'_j] + alpha sum_ijkl T_ij T_kl (A_ik - A'_jl)^2` over plans whose rows
    and columns sum to 1 / nodes: labels as one-hot features, adjacency (0 or 1) as structure, so labels of edges do
    not count, and graphs may be of any number of parts. Two graphs without nodes lie at 0; between one without and
    one with nodes there is no plan, so the distance is nan. alpha: in (0, 1), 1/2 unless told otherwise.

    The problem is not convex. POT descends from ten plans (one lays nodes of like color on each other, the others
    nodes of like label and degree, with noise made of the colors), and the best end is taken: an upper bound, 0 for
    isomorphic graphs. Nodes are put into a canonical order and the two graphs as well, so that neither order matters
    (but see `canonical_colors`). Source: Vayer et al., ICML 2019; about 10 ms a pair of 8 nodes.
    Raises ValueError for different batch sizes or labels and another alpha.
    """
    check_comparable(a, b)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 (labels alone) and 1 (edges alone), got {alpha}")
    pairs = zip(_laid_out(a), _laid_out(b))
    found = []
    for pair in pairs:
        one, other = sorted(pair, key=_rank)
        found.append(_fused(one, other, alpha))
    return torch.tensor(found, dtype=torch.float64)


_Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def _laid_out(graphs: Graph) -> Iterator[_Arrays]:
    """Of each graph: colors (n, HOPS + 2), labels (n,) and adjacency (n, n), nodes in canonical order."""
    nodes, edges = (labels.cpu().numpy() for labels in graphs.labels())
    colors = torch.stack([*node_colors(graphs, HOPS), canonical_colors(graphs)], 2).numpy()
    for own, labels, linked in zip(colors, nodes, edges > 0):
        there = np.flatnonzero(labels)
        order = there[np.argsort(own[there, -1])]
        yield own[order], labels[order], linked[np.ix_(order, order)].astype(float)


def _rank(graph: _Arrays) -> tuple[tuple[int, ...], list[int]]:
    return graph[0].shape, graph[0][:, -1].tolist()


def _fused(one: _Arrays, other: _Arrays, alpha: float) -> float:
    with extra("card"):
        from ot import emd
        from ot.gromov import fused_gromov_wasserstein as descend

    (colors, labels, linked), (their_colors, their_labels, their_linked) = one, other
    if not len(labels):  # the smaller comes first
        return np.nan if len(their_labels) else 0.0
    weights = [np.full(len(own), 1 / len(own)) for own in (labels, their_labels)]
    differ = (labels[:, None] != their_labels).astype(float)
    first = (colors[:, None] != their_colors).sum(-1).astype(float)
    guess = differ + np.abs(linked.sum(1)[:, None] - their_linked.sum(1))
    seed = [np.abs(own[:, -1]).tolist() for own in (colors, their_colors)]  # the same for the same two graphs
    noise = np.random.default_rng(seed[0] + seed[1]).random((STARTS - 2, *guess.shape))
    found = np.inf
    for cost in (first, guess, *(guess + noise)):
        plan = emd(*weights, cost)
        _, log = descend(
            differ,
            linked,
            their_linked,
            *weights,
            symmetric=True,
            alpha=alpha,
            G0=plan,
            max_iter=MAX_ITERATIONS,
            log=True,
        )
        found = min(found, float(log["fgw_dist"]))
    return max(0.0, found)


def tanimoto(a: Graph, b: Graph) -> Tensor:
    """(B,) `1 - |bits shared| / |bits of either|` of Morgan fingerprints (radius 2, 2048 bits), in [0, 1].

    Molecules only; nan where RDKit does not sanitize one of the two. Source: Rogers and Hahn (2010).
    Raises ValueError for different batch sizes or labels and for graphs that are no molecules.
    """
    with extra("chem"):
        from rdkit import Chem, DataStructs
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    check_comparable(a, b)
    if not is_molecular(a.vocabulary):
        raise ValueError(
            f"the Tanimoto distance is one of molecules, these graphs have nodes {list(a.vocabulary.node_labels)} "
            f"and edges {list(a.vocabulary.edge_labels)}; use another of elekit.graphs.distances"
        )
    fingerprint = GetMorganGenerator(radius=RADIUS, fpSize=BITS).GetFingerprint
    found = torch.full((len(a),), torch.nan, dtype=torch.float64)
    for row, pair in enumerate(zip(to_smiles(a), to_smiles(b))):
        if None not in pair:
            found[row] = 1 - DataStructs.TanimotoSimilarity(*(fingerprint(Chem.MolFromSmiles(text)) for text in pair))
    return found
