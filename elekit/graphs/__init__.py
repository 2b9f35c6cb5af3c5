"""Graphs and operations on them. Nothing here is learned.

`GraphVocabulary`, `Graph` (dense) and `PackedGraphs` are shared by the whole package. Each module holds one kind of
operation: projections, constraints, edits, random views (`augment`), Weisfeiler-Lehman colors, features, SMILES,
exact edit distance, and known distances.
"""

from elekit.graphs import augment, distances, edit_distance, edits, features, projections, smiles, weisfeiler_lehman
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import from_smiles, to_smiles

__all__ = [
    "Constraints", "Graph", "GraphVocabulary", "PackedGraphs", "augment", "distances", "edit_distance", "edits",
    "features", "from_networkx", "from_smiles", "projections", "smiles", "to_networkx", "to_smiles",
    "weisfeiler_lehman",
]  # fmt: skip
