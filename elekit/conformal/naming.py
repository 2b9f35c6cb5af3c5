"""Names that equal graphs share: in a set each graph counts once."""

import numpy as np

from elekit.datasets.reading import isomorphism_keys
from elekit.graph import Graph, to_networkx


def names(graphs: Graph) -> np.ndarray:
    """(n,) strings, the same exactly for equal graphs of this batch: SMILES of molecules, else isomorphism classes.

    A molecule counts once however its rings are drawn, see `chem.canonicalised`.
    """
    from elekit import chem  # RDKit loads here, not with `import elekit`

    found: list = chem.to_smiles(graphs) if chem.is_molecular(graphs.vocabulary) else [None] * len(graphs)
    rest = [row for row, name in enumerate(found) if name is None]
    for row, key in zip(rest, isomorphism_keys(to_networkx(graphs[rest])) if rest else ()):
        found[row] = f"class {key}"
    return np.array(found, dtype=str)
