"""Names that equal graphs share: in a set each graph counts once."""

import numpy as np

from elekit.datasets.reading import isomorphism_keys
from elekit.graphs.graph import Graph, to_networkx


def names(graphs: Graph) -> np.ndarray:
    """(n,) strings, the same exactly for equal graphs of this batch: SMILES of molecules, else isomorphism classes.

    A molecule counts once however its rings are drawn, see `chem.canonicalized`.
    """
    from elekit.graphs.smiles import is_molecular, to_smiles  # RDKit loads here, not with `import elekit`

    found: list = to_smiles(graphs) if is_molecular(graphs.vocabulary) else [None] * len(graphs)
    rest = [row for row, name in enumerate(found) if name is None]
    for row, key in zip(rest, isomorphism_keys(to_networkx(graphs[rest])) if rest else ()):
        found[row] = f"class {key}"
    return np.array(found, dtype=str)
