"""What `prepare=` does to the rows of a table."""

import pandas as pd
import pytest
from conftest import equal

from elekit.datasets import Prepare, from_frame
from elekit.graphs.smiles import from_smiles, is_aromatic, to_smiles

DRAWN = ["Cc1ccccc1C", "CC1=C(C)C=CC=C1", "c1cc[nH]c1", "CCO"]  # the first two are one molecule


@pytest.mark.parametrize("aromatic", [False, True])
def test_bonds_of_rings_are_aromatic_or_kekulized(aromatic):
    data = from_frame(
        pd.DataFrame({"smiles": DRAWN}), smiles="smiles", prepare=Prepare(aromatic=aromatic), fractions=(1, 0, 0)
    )
    assert is_aromatic(data.vocabulary) == aromatic and ("NH" in data.vocabulary.node_labels) == aromatic
    assert data.skipped["row"].tolist() == [1]
    assert to_smiles(data.train.graphs) == data.train.frame["key"].tolist()
    other = from_frame(  # a given vocabulary decides, whatever `prepare` says
        pd.DataFrame({"smiles": DRAWN}), smiles="smiles", vocabulary=data.vocabulary, fractions=(1, 0, 0)
    )
    assert equal(other.train.graphs, data.train.graphs)
    assert equal(from_smiles(data.train.frame["smiles"].tolist(), data.vocabulary), data.train.graphs)
