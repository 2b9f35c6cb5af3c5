"""Slices of graphs, by size, rings and labels: what holds of all may not hold of each."""

import numpy as np

from elekit.evaluation.formatting import counted, things
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import Graph

FEWEST = 20  # graphs of a slice that says something
MOST = 0.95  # of all graphs in one slice: more say nothing of their own


def slices(graphs: Graph, *, molecular: bool = False) -> dict[tuple[str, str], np.ndarray]:
    """(n,) bool for each slice: which of n rounded graphs are in it; its key says (by what, name).

    Slices without a graph and those of more than 95 % of all are left out. molecular: atoms and bonds in the names.
    """
    word, names = things(molecular), graphs.vocabulary
    nodes, edges = (labels.cpu() for labels in graphs.labels())
    size, rings = (nodes > 0).sum(1), cycle_rank(graphs)
    groups = {("size", f"of {counted(n, word['node'])}"): size == n for n in size.unique().tolist()}
    groups |= {("rings", f"with {counted(n, 'ring')}"): rings == n for n in rings.unique().tolist()}
    for k, label in enumerate(names.node_labels, 1):
        groups["holds", f"with {label}"] = (nodes == k).any(1)
    for r, label in enumerate(names.edge_labels, 1):
        groups["edges", f"with a {label} {word['edge']}"] = (edges == r).flatten(1).any(1)
    return {name: who.numpy() for name, who in groups.items() if 0 < int(who.sum()) <= MOST * len(who)}
