"""What the graphs of a data set have in common: constraints, and the types and links of their nodes.

The type of a node is its label and the number of its edges of each label; a link is an edge label between two types.
Both are kept as hashes. Pieces are what bridges leave of the graphs.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from elekit.graphs import _schema
from elekit.graphs.constraints import RELATIONS_FIELD, Constraints, relation_numbers
from elekit.graphs.edits import ALL_KINDS, Edits
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs, cumulative
from elekit.graphs.parts import pieces_of
from elekit.graphs.weisfeiler_lehman import splitmix64

MAX_HASHES = 20_000  # of a kind; more are no common property
OTHERS = 0.007  # share of new graphs that may hold another one; with 0.009, search among reports of faults found less
MAX_PIECES, PIECE_NODES = 2_000, 40  # the most frequent ones; larger ones are none

_HASHES = _schema.items(_schema.whole(-(2**63), 2**63 - 1), MAX_HASHES)
_PLACES = _schema.items(_schema.whole(0, MAX_PIECES * PIECE_NODES), MAX_PIECES * PIECE_NODES**2)
_PACKED = ("sizes", "node_labels", "pairs", "edge_labels")
PRIOR_FIELDS = _schema.fields(
    {
        "connected": _schema.one_of(True, False),
        **dict.fromkeys(("types", "links"), _HASHES),
        "pieces": _schema.fields(dict.fromkeys(_PACKED, _PLACES)),
    },
    {**dict.fromkeys(("tree", "one_root"), _schema.one_of(True, False)), "relations": RELATIONS_FIELD},
)


@dataclass(frozen=True, eq=False)
class GraphPrior:
    """What decoding keeps to where it can. An empty tensor excludes nothing.

    Args:
        constraints: What all graphs satisfy. With relations only if there are no links, which are finer, and if new
            graphs will rarely have another one.
        types: (T,) hashes of the types of nodes, ascending.
        links: (L,) hashes of the links, ascending.
        pieces: Frequent pieces, each with its neighbors, see `pieces_of`; decoding without candidates joins them.
    """

    constraints: Constraints
    types: Tensor
    links: Tensor
    pieces: PackedGraphs

    @classmethod
    def of(cls, graphs: PackedGraphs) -> Self:
        """Collect what occurs; a kind of which many graphs hold something unique is left empty.

        Args:
            graphs: Discrete graphs.

        Returns:
            Their prior.
        """
        (i, j), edge = graphs.pairs, _of_edges(graphs.edge_labels.long())
        back = _of_edges(graphs.vocabulary.turn(graphs.edge_labels).long())
        kind = splitmix64(splitmix64(graphs.node_labels.long()).index_add_(0, i, edge).index_add_(0, j, back))
        link = _links(kind[i], kind[j], edge, back)
        types, links = _common(kind, graphs.rows), _common(link, graphs.rows[i])
        pieces = pieces_of(graphs, MAX_PIECES)
        relations = not len(links) and len(_common(relation_numbers(graphs), graphs.rows[i])) > 0
        return cls(Constraints.of(graphs, relations), types, links, pieces[pieces.sizes <= PIECE_NODES])

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dictionary.

        Returns:
            The fields by name.
        """
        pieces = self.pieces
        packed = (pieces.sizes, pieces.node_labels, pieces.pairs.flatten(), pieces.edge_labels)
        return {
            "connected": self.constraints.connected,
            **self.constraints.to_json(),
            "types": self.types.tolist(),
            "links": self.links.tolist(),
            "pieces": {name: part.tolist() for name, part in zip(_PACKED, packed)},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], vocabulary: GraphVocabulary) -> Self:
        """Inverse of `to_json`.

        Args:
            values: The fields by name.
            vocabulary: Labels of the pieces.

        Returns:
            The prior.

        Raises:
            ValueError: If fields are missing or have other types or values.
        """
        PRIOR_FIELDS(values, "the prior")
        types, links = (torch.unique(torch.tensor(values[name], dtype=torch.long)) for name in ("types", "links"))
        sizes, nodes, pairs, edges = (torch.tensor(values["pieces"][name], dtype=torch.long) for name in _PACKED)
        if len(nodes) != sizes.sum() or len(pairs) != 2 * len(edges):
            raise ValueError("the pieces of the prior have missing nodes or ends")
        pairs = pairs.reshape(2, -1)
        pieces = PackedGraphs(cumulative(sizes), nodes.to(torch.int16), pairs, edges.to(torch.int16), vocabulary)
        shape: dict[str, Any] = {
            name: values[name] for name in ("connected", "tree", "one_root", "relations") if name in values
        }
        return cls(Constraints.from_json(shape).check(vocabulary), types, links, pieces.check())

    def keeps(self, edits: Edits, nodes: Tensor, edges: Tensor) -> Tensor:
        """Find the edits that lead to no new types and links.

        Args:
            edits: E edits of the graphs of a batch.
            nodes: (B, N) node channels.
            edges: (B, N, N) edge channels.

        Returns:
            (e,) ascending indices of these edits.
        """
        names = self.pieces.vocabulary
        key, changed = _changed_keys(edits, nodes, edges, names)
        types = splitmix64(key)
        e, i = changed.nonzero().T
        kept = _without(torch.arange(len(edits)), e, types[e, i], self.types)
        types, changed = types[kept], changed[kept]
        _, edges = edits[kept].apply(nodes, edges, names)
        e, i, j = ((edges > 0) & changed[:, :, None]).nonzero().T
        edge, back = (_of_edges(one.long()) for one in (edges[e, i, j], edges[e, j, i]))
        return _without(kept, e, _links(types[e, i], types[e, j], edge, back), self.links)


def _common(hashes: Tensor, rows: Tensor) -> Tensor:
    """Distinct hashes, ascending; none if they are too many, or if new graphs would often hold another one.

    The share of new graphs that do is about that of the graphs that hold one of their own (Good, 1953).
    """
    pairs = torch.unique(torch.stack([hashes, rows]), dim=1)
    found, counts = torch.unique_consecutive(pairs[0], return_counts=True)
    first = counts.cumsum(0) - counts
    alone = len(torch.unique(pairs[1][first[counts == 1]]))
    common: Tensor = found if len(found) <= MAX_HASHES and alone <= OTHERS * len(torch.unique(rows)) else found[:0]
    return common


def _changed_keys(edits: Edits, nodes: Tensor, edges: Tensor, names: GraphVocabulary) -> tuple[Tensor, Tensor]:
    """(E, N): sums that hash to types after each edit, and which present nodes the edit changes."""
    labels, weights = splitmix64(nodes.long()), _of_edges(edges.long())
    key = (labels + weights.sum(-1))[edits.row]
    changed, absent = torch.zeros_like(key, dtype=torch.bool), torch.zeros_like(key, dtype=torch.bool)
    at = (edits.kind == ALL_KINDS.index("remove node")).nonzero()[:, 0]
    lost = weights[edits.row[at], :, edits.node[at, 0]]  # by the neighbors of a removed node
    key[at] -= lost
    changed[at] = lost != 0
    for at, i, label in edits.node_changes():
        key[at, i] += splitmix64(label.long()) - labels[edits.row[at], i]
        changed[at, i] = True
        absent[at, i] = label == 0
    for at, i, j, label in edits.pair_changes():
        for end, other, new in ((i, j, label), (j, i, names.turn(label))):
            key[at, end] += _of_edges(new.long()) - weights[edits.row[at], end, other]
            changed[at, end] = True
    return key, changed & ~absent


def _of_edges(labels: Tensor) -> Tensor:
    """Hashes of edge channels, other than those of nodes; 0 for no edge."""
    return torch.where(labels > 0, splitmix64(-labels), 0)


def _links(one: Tensor, other: Tensor, edge: Tensor, back: Tensor) -> Tensor:
    """Hashes of links, the same from both ends; edge and back: hashes of the channel from each of them."""
    return splitmix64(splitmix64(one + edge - back) + splitmix64(other + back - edge) + edge.minimum(back))


def _without(kept: Tensor, place: Tensor, hashes: Tensor, known: Tensor) -> Tensor:
    """Those of `kept` at places with only known hashes; all if none are known."""
    if not len(known):
        return kept
    stays = torch.ones(len(kept), dtype=torch.bool)
    stays[place[known[torch.searchsorted(known, hashes).clamp_max(len(known) - 1)] != hashes]] = False
    return kept[stays]
