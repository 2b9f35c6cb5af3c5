"""Keys that isomorphic graphs share, so that a set contains each graph once."""

import numpy as np

from elekit.datasets.reading import isomorphism_keys
from elekit.graphs.graph import Graph, to_networkx
from elekit.graphs.smiles import is_molecular, to_smiles


def canonical_keys(graphs: Graph) -> np.ndarray:
    """(n,) strings, equal exactly for equal graphs of this batch: SMILES of molecules, else isomorphism classes.

    All Kekule forms of a molecule have one key, see `elekit.graphs.smiles.canonicalized`.
    """
    keys: list[str | None] = list(to_smiles(graphs)) if is_molecular(graphs.vocabulary) else [None] * len(graphs)
    rest = [row for row, key in enumerate(keys) if key is None]
    for row, number in zip(rest, isomorphism_keys(to_networkx(graphs[rest])) if rest else ()):
        keys[row] = f"class {number}"
    return np.array(keys, dtype=str)
