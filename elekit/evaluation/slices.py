"""Slices of graphs by size, rings and labels, to find where an average misleads."""

import numpy as np

from elekit.evaluation.formatting import counted, things, with_article
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import GraphBatch

MIN_GRAPHS = 20  # graphs; smaller slices support no statement
MAX_SHARE = 0.95  # of all graphs; larger slices say nothing of their own


def slices(graphs: GraphBatch, *, molecular: bool = False) -> dict[tuple[str, str], np.ndarray]:
    """(n,) bool membership of n rounded graphs in each slice, by (criterion, name).

    Empty slices and slices of more than 95 % of the graphs are left out. molecular: say atoms and bonds in the names.
    """
    word, vocabulary = things(molecular), graphs.vocabulary
    nodes, edges = (labels.cpu() for labels in graphs.labels())
    size, rings = (nodes > 0).sum(1), cycle_rank(graphs)
    groups = {("size", f"of {counted(n, word['node'])}"): size == n for n in np.unique(size.numpy()).tolist()}
    groups |= {("rings", f"with {counted(n, 'ring')}"): rings == n for n in np.unique(rings.numpy()).tolist()}
    for k, label in enumerate(vocabulary.node_labels, 1):
        groups["holds", f"with {label}"] = (nodes == k).any(1)
    for r, label in enumerate(vocabulary.edge_labels, 1):
        name = f"with {with_article(label)} {word['edge']}"
        groups["edges", name] = (vocabulary.label_of[edges] == r).flatten(1).any(1)
    most = MAX_SHARE * len(nodes)
    return {name: members.numpy() for name, members in groups.items() if 0 < int(members.sum()) <= most}
