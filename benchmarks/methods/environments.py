"""psi by messages with a closed-form last map, and counts of the environments that messages tell apart.

All of it is learned from output graphs alone: covariance of the sums, codebooks of node states, frequencies.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn

from elekit.graphs import projections
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.embedding import GraphEmbedding, History
from elekit.model.loss import BATCH_SIZE, points_of

SHRINKAGE = 1e-3  # of the covariance of the sums
CODEBOOKS = (32, 128, 512)  # number of environments after each round, from coarse to fine
CLUSTERED = 15_000  # nodes that a codebook is made of
WALKS_SCALE = 0.5  # of closed walks beside the node states
MIN_GRAPHS = 3  # a column is kept if at least this many graphs have it
MAX_COUNT, MAX_ENTRIES = 30, 128  # counts up to this, in codebooks up to this size, have columns of their own
SHARE = 0.2  # scale of each kind of counts beside the whitened psi


def blocks(graphs: PackedGraphs) -> Iterator[PackedGraphs]:
    for start in range(0, len(graphs), BATCH_SIZE):
        yield graphs[start : start + BATCH_SIZE]


@torch.no_grad()
def whitened(psi: GraphEmbedding, graphs: GraphBatch, shrinkage: float = SHRINKAGE) -> GraphEmbedding:
    """A local psi with another last map: what is read from the nodes, summed, has the identity as covariance.

    Directions in which outputs rarely differ count as much as common ones, as rare words do in a search engine.

    Args:
        psi: A local psi, trained or not; it stays as it is.
        graphs: Output graphs.
        shrinkage: Weight in [0, 1] of a multiple of the identity of the same trace.
    """
    links = (psi._links(block) for block in blocks(PackedGraphs.of(graphs)))
    sums = torch.cat([torch.cat([one.total(read) for read in psi._local(one)], 1) for one in links]).double()
    mean, D = sums.mean(0), sums.shape[1]
    covariance = (sums - mean).T @ (sums - mean) / len(sums)
    level = covariance.trace() / D
    values, vectors = torch.linalg.eigh((1 - shrinkage) * covariance + shrinkage * level * torch.eye(D).double())
    W = (vectors * values.clamp_min(1e-12).rsqrt()).T  # (D, D)
    made = GraphEmbedding(psi.vocabulary, replace(psi.config, dim=D))
    kept = {name: value for name, value in psi.state_dict().items() if not name.startswith("leave.")}
    made.load_state_dict(kept, strict=False)
    width, bias = D // len(made.leave), -(W @ mean) / len(made.leave)
    for number, leave in enumerate(made.leave):
        leave.get_parameter("weight").copy_(W[:, number * width : (number + 1) * width])
        leave.get_parameter("bias").copy_(bias)
    made.typical, made.prior = PackedGraphs.of(graphs).average(), GraphPrior.of(PackedGraphs.of(graphs))
    return made.eval().requires_grad_(False)


def whitened_messages(graphs: GraphBatch, seed: int = 0) -> GraphEmbedding:
    """psi of messages with random weights, whitened over the graphs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return whitened(GraphEmbedding(graphs.vocabulary), graphs)


class EnvironmentEmbedding(nn.Module):
    """The points of a local psi beside counts of environments, with one weight per column; all are 1 at the start.

    After each round, node states are assigned to the nearest entry of codebooks of several sizes. A graph has the
    logarithm of how many of its nodes each entry has, and a column of its own for each count ("18 of them"), both
    times an inverse document frequency, of unit length per codebook. Defined for discrete graphs only.

    Args:
        psi: A local psi.
        graphs: Output graphs from which the codebooks and the frequencies come.
        seed: Seed of the codebooks.
    """

    reads_packed = True
    history: History
    kind: Tensor

    def __init__(self, psi: GraphEmbedding, graphs: GraphBatch, seed: int = 0):
        super().__init__()
        self.psi, self.vocabulary = psi, psi.vocabulary
        packed, n = PackedGraphs.of(graphs), len(graphs)
        states = [torch.cat(of_round) for of_round in zip(*(self._states(block) for block in blocks(packed)))]
        walks = self.walks_of(packed)
        self.scales = [state.std().item() for state in states]
        self.walks_scale = WALKS_SCALE / max(walks.std().item(), 1e-6)
        rng = np.random.default_rng(seed)
        chosen = torch.from_numpy(np.sort(rng.permutation(len(walks))[:CLUSTERED]))
        self.codebooks: list[list[Tensor]] = []
        for number, state in enumerate(states):
            seen = self._scaled(number, state[chosen], walks[chosen]).numpy()
            sizes = [size for size in CODEBOOKS if size <= len(seen)] or [len(seen)]
            settings = {"random_state": seed, "n_init": 1, "batch_size": 2_048, "max_iter": 30}
            books = (MiniBatchKMeans(size, **settings).fit(seen).cluster_centers_ for size in sizes)
            self.codebooks.append([torch.from_numpy(book).float() for book in books])
        counts = [torch.cat(of_book) for of_book in zip(*(self.counts(block) for block in blocks(packed)))]
        self.frequency_weights, self.columns, self.count_weights = [], [], []
        for count in counts:
            self.frequency_weights.append(_rarity((count > 0).sum(0), n))
            if count.shape[1] > MAX_ENTRIES:
                continue
            holders = torch.stack([(count == k).sum(0) for k in range(MAX_COUNT + 1)], 1)  # (entries, counts)
            self.columns.append((holders >= MIN_GRAPHS).flatten().nonzero()[:, 0])
            self.count_weights.append(_rarity(holders.flatten()[self.columns[-1]], n))
        widths = [psi.config.dim, *map(len, self.frequency_weights), *map(len, self.columns)]
        self.register_buffer("kind", torch.repeat_interleave(torch.tensor(widths)), persistent=False)
        self.log_weight = nn.Parameter(torch.zeros(len(self.kind)))
        self.log_scale = nn.Parameter(torch.zeros(len(widths)))  # one per kind of columns

    def forward(self, graphs: GraphBatch) -> Tensor:
        return self.weighted(self.rows(graphs))

    def weighted(self, rows: Tensor) -> Tensor:
        """(B, F) points of rows, or of predicted rows."""
        return projections.sphere(rows * (self.log_weight + self.log_scale[self.kind]).exp())

    @torch.no_grad()
    def rows(self, graphs: GraphBatch) -> Tensor:
        """(B, F): the points of psi, logarithms of counts, and counts."""
        return torch.cat([torch.cat(self._row_parts(block), 1) for block in blocks(PackedGraphs.of(graphs))])

    def _row_parts(self, block: PackedGraphs) -> list[Tensor]:
        counts = self.counts(block)
        logs = [count.log1p() * weights for count, weights in zip(counts, self.frequency_weights)]
        exact, coarse = [], (count for count in counts if count.shape[1] <= MAX_ENTRIES)
        for count, columns, weights in zip(coarse, self.columns, self.count_weights):
            entry, wanted = columns // (MAX_COUNT + 1), columns % (MAX_COUNT + 1)
            exact.append((count[:, entry] == wanted) * weights)
        return [points_of(self.psi, block), *(SHARE * projections.sphere(one) for one in (*logs, *exact))]

    def counts(self, block: PackedGraphs) -> list[Tensor]:
        """(B, entries) for each codebook: how many nodes of a graph are nearest to each entry."""
        walks, found = self.walks_of(block), []
        for number, (state, books) in enumerate(zip(self._states(block), self.codebooks)):
            scaled = self._scaled(number, state, walks)
            for book in books:
                entry = (scaled @ book.T - book.square().sum(1) / 2).argmax(1)
                flat = block.rows * len(book) + entry
                found.append(torch.bincount(flat, minlength=len(block) * len(book)).reshape(len(block), -1).float())
        return found

    @torch.no_grad()
    def _states(self, block: PackedGraphs) -> list[Tensor]:
        return self.psi.local_states(block)

    @torch.no_grad()
    def walks_of(self, graphs: PackedGraphs) -> Tensor:
        """(S, walks - 2): log(1 + number of closed walks) of each length from 3 on."""
        return torch.cat([self.psi._links(one).closed_walks(self.psi.config.walks) for one in blocks(graphs)])

    def _scaled(self, number: int, state: Tensor, walks: Tensor) -> Tensor:
        """What is assigned after a round: states, after the first round with closed walks."""
        state = state / self.scales[number]
        return torch.cat([state, walks * self.walks_scale], 1) if number else state


def _rarity(holders: Tensor, n: int) -> Tensor:
    """Inverse document frequency `1 + log((1 + n) / (1 + m))` of m holders among n; 0 for fewer than `MIN_GRAPHS`."""
    return (1 + ((1 + n) / (1 + holders)).log()) * (holders >= MIN_GRAPHS)
