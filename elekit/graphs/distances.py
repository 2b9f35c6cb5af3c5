"""Known distances between graphs, to compare a learned loss with.

Each takes two batches of B graphs and returns (B,) distances of the pairs; nan marks pairs without one.

    edit                       fewest single edits
    weisfeiler_lehman          difference of the counts of node neighborhoods
    fused_gromov_wasserstein   cost of the best soft alignment of nodes, by labels and edges
    tanimoto                   fraction of substructures that two molecules do not share
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elekit.graphs._optional import extra
from elekit.graphs.edit_distance import Array, check_comparable, edit_distance
from elekit.graphs.graph import GraphBatch, GraphVocabulary
from elekit.graphs.smiles import is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors, color_occurrences, node_colors

Distance = Callable[[GraphBatch, GraphBatch], Tensor]
"""Maps two batches of B graphs to (B,) distances, 0 for equal graphs, nan where undefined."""

HOPS = 3  # rounds of refinement of the Weisfeiler-Lehman kernel
ALPHA = 0.5  # weight of the structure in fused Gromov-Wasserstein; 1 - ALPHA is the weight of the labels
STARTS, MAX_ITERATIONS = 10, 100  # of the descents of fused Gromov-Wasserstein; most take 4 iterations
RADIUS, BITS = 2, 2048  # of Morgan fingerprints


def distances_for(vocabulary: GraphVocabulary) -> dict[str, Distance]:
    """Distances that apply to graphs of a vocabulary, by their names in prose."""
    found: dict[str, Distance] = {
        "edit distance": edit,
        "Weisfeiler-Lehman": weisfeiler_lehman,
        "fused Gromov-Wasserstein": fused_gromov_wasserstein,
    }
    return found | ({"Tanimoto": tanimoto} if is_molecular(vocabulary) else {})


def edit(a: GraphBatch, b: GraphBatch, *, timeout: float = 0.5) -> Tensor:
    """Edit distance (B,) with cost 1 per edit; nan where it is not proven within `timeout` seconds.

    Pairs without a distance are mostly large graphs that are far apart; which pairs they are depends on the machine.
    """
    found = edit_distance(a, b, timeout=timeout)
    return torch.where(found.proven, found.distance.double(), torch.nan)


def weisfeiler_lehman(a: GraphBatch, b: GraphBatch) -> Tensor:
    """Squared distance (B,) in [0, 2] of the normalized subtree kernel, `2 - 2 k(a, b) / sqrt(k(a, a) k(b, b))`.

    `k(a, b) = sum_{t=0..3} sum_c #_t(c, a) #_t(c, b)` with #_t(c, a) the number of nodes of color c after t rounds of
    refinement. Like the learned loss it compares directions, so graphs with proportional counts are at distance 0, as
    are two graphs without nodes. Source: Shervashidze et al., JMLR 12 (2011).
    """
    check_comparable(a, b)
    between, of_a, of_b = torch.zeros(3, len(a), dtype=torch.float64)
    for first, second in zip(color_occurrences(a, HOPS), color_occurrences(b, HOPS)):
        found = torch.cat([torch.stack(first), torch.stack(second)], 1)
        (row, _), place = torch.unique(found, dim=1, return_inverse=True)
        count = torch.zeros(2, len(row), dtype=torch.float64)  # of each color in each graph of a and of b
        for own, at in zip(count, place.split([len(first[0]), len(second[0])])):
            own.index_add_(0, at, torch.ones(len(at), dtype=torch.float64))
        for kernel, product in ((between, count[0] * count[1]), (of_a, count[0] ** 2), (of_b, count[1] ** 2)):
            kernel.index_add_(0, row, product)
    cosine = between / (of_a * of_b).sqrt().clamp_min(1)
    return torch.where((of_a == 0) & (of_b == 0), 0.0, 2 - 2 * cosine.clamp_max(1))


def fused_gromov_wasserstein(a: GraphBatch, b: GraphBatch, *, alpha: float = ALPHA) -> Tensor:
    """Cost (B,) in [0, 1] of the best transport plan T from the nodes of one graph to those of the other.

    `min_T (1 - alpha) sum_ij T_ij [n_i != n'_j] + alpha sum_ijkl T_ij T_kl (A_ik - A'_jl)^2` over plans whose rows
    and columns sum to 1 / nodes; A is the adjacency (0 or 1), so edge labels are ignored but for their direction. nan
    if one graph has no nodes.

    The problem is not convex. POT descends from ten plans (one matches nodes by color, the others by label and degree
    with noise seeded by the colors), and the lowest cost counts: an upper bound, 0 for isomorphic graphs. Nodes and
    the two graphs are put in a canonical order, so that neither order matters (except as in `canonical_colors`).
    Source: Vayer et al., ICML 2019; about 10 ms per pair of 8 nodes.
    """
    check_comparable(a, b)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 (labels alone) and 1 (edges alone), got {alpha}")
    found = []
    for pair in zip(_canonical_nodes(a), _canonical_nodes(b)):
        smaller, larger = sorted(pair, key=lambda one: (one[0].shape, one[0][:, -1].tolist()))
        found.append(_transport_cost(smaller, larger, alpha))
    return torch.tensor(found, dtype=torch.float64)


def _canonical_nodes(graphs: GraphBatch) -> Iterator[tuple[Array, Array, Array]]:
    """Colors (n, HOPS + 2), labels (n,) and adjacency (n, n) of each graph, nodes in canonical order."""
    nodes, edges = (labels.cpu().numpy() for labels in graphs.labels())
    colors = torch.stack([*node_colors(graphs, HOPS), canonical_colors(graphs)], 2).numpy()
    for own, labels, linked in zip(colors, nodes, (edges > 0) & (edges <= len(graphs.vocabulary.edge_labels))):
        present = np.flatnonzero(labels)
        order = present[np.argsort(own[present, -1])]
        yield own[order], labels[order], linked[np.ix_(order, order)].astype(float)


def _transport_cost(one: tuple[Array, Array, Array], other: tuple[Array, Array, Array], alpha: float) -> float:
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
    seed = [np.abs(own[:, -1]).tolist() for own in (colors, their_colors)]
    noise = np.random.default_rng(seed[0] + seed[1]).random((STARTS - 2, *guess.shape))
    symmetric = all((adjacency == adjacency.T).all() for adjacency in (linked, their_linked))
    options: dict[str, Any] = {"symmetric": symmetric, "alpha": alpha, "max_iter": MAX_ITERATIONS, "log": True}
    lowest = np.inf
    for cost in (first, guess, *(guess + noise)):
        _, log = descend(differ, linked, their_linked, *weights, G0=emd(*weights, cost), **options)
        lowest = min(lowest, float(log["fgw_dist"]))
    return max(0.0, lowest)


def tanimoto(a: GraphBatch, b: GraphBatch) -> Tensor:
    """Distance (B,) `1 - |shared bits| / |bits of either|` of Morgan fingerprints (Rogers and Hahn, 2010); or nan."""
    with extra("chem"):
        from rdkit import Chem, DataStructs
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    check_comparable(a, b)
    if not is_molecular(a.vocabulary):
        raise ValueError(
            f"the Tanimoto distance needs molecules, these graphs have nodes {list(a.vocabulary.node_labels)} "
            f"and edges {list(a.vocabulary.edge_labels)}; use another distance of elekit.graphs.distances"
        )
    fingerprint = GetMorganGenerator(radius=RADIUS, fpSize=BITS).GetFingerprint
    found = torch.full((len(a),), torch.nan, dtype=torch.float64)
    for row, (one, other) in enumerate(zip(to_smiles(a), to_smiles(b))):
        if one is not None and other is not None:
            bits = [fingerprint(Chem.MolFromSmiles(text)) for text in (one, other)]
            found[row] = 1 - DataStructs.TanimotoSimilarity(*bits)
    return found
