"""Data sets by name: `molecules7`, which is shipped, QM9, and a part of ChEMBL."""

from pathlib import Path
from typing import Any

import pandas as pd

from elekit.datasets.files import SHIPPED, cache_folder, download, local_file
from elekit.datasets.frame import FRACTIONS, from_frame
from elekit.datasets.prepare import Prepare
from elekit.datasets.splits import Dataset
from elekit.graphs.graph import GraphVocabulary

# QM9: Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014); the csv of DeepChem / MoleculeNet.
QM9_URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv"
QM9_SHA256 = "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4"
QM9_FRACTIONS = (0.95, 0.02, 0.03)

# Molecules of ChEMBL (CC BY-SA 3.0) of 10 to 50 heavy atoms, as Noutahi et al., "Towards Interpretable Sparse Graph
# Representation Learning with Laplacian Pooling" (2019), chose them. The publisher gives no sha256; see `download`.
CHEMBL_URL = (
    "https://raw.githubusercontent.com/valence-discovery/lapool/4ff3c1022bdd5267363051d1b4b596119b4df8d9"
    "/data/chembl_dataset_fragments.txt"
)

LOCAL = {  # in $ELEKIT_DATA_DIR
    "qm9": ("qm9/qm9.csv.gz", "qm9/qm9.csv", "qm9.csv.gz", "qm9.csv"),
    "chembl": ("chembl/chembl_part.csv.gz", "chembl/chembl_part.csv", "chembl_part.csv.gz", "chembl_part.csv"),
}
CACHED = {"qm9": "qm9.csv", "chembl": "chembl_dataset_fragments.txt"}
INPUTS = {  # columns by kind of input, the default first
    "molecules7": {"description": "description", "smiles": "random_smiles"},
    "qm9": {"smiles": "smiles"},
    "chembl": {"smiles": "smiles"},
}
NAMES = tuple(INPUTS)


def load(
    name: str, *, inputs: str | None = None, vocabulary: GraphVocabulary | None = None, seed: int = 0,
    prepare: Prepare | None = None, progress: bool = False,
) -> Dataset:  # fmt: skip
    """Load a named data set in seeded splits.

    Args:
        name: "molecules7": molecules of up to 7 heavy atoms, shipped. "qm9": molecules of up to 9 heavy atoms, from
            `$ELEKIT_DATA_DIR/qm9/` if it is there, otherwise downloaded once (30 MB). "chembl": 16,000 drug-like
            molecules of 10 to 50 heavy atoms, from `$ELEKIT_DATA_DIR/chembl/` or downloaded (4 MB);
            `prepare=Prepare(max_nodes=24)` loads the smaller ones.
        inputs: For molecules7 "description" (default) or "smiles" (randomized); for the others "smiles".
        vocabulary: Vocabulary of an artifact, molecules that do not fit are skipped; None uses that of the data.
        seed: Seed of the splits.
        prepare: How rows become graphs; None = `Prepare()`.
        progress: Show a progress bar.

    Returns:
        The data set.

    Raises:
        ValueError: If the name or the kind of input is unknown.
    """
    if name not in INPUTS:
        known = ", ".join(NAMES)
        raise ValueError(f"no data set named {name!r}; the names are {known}; for your own data use from_frame")
    inputs = inputs or next(iter(INPUTS[name]))
    if inputs not in INPUTS[name]:
        raise ValueError(f"{name} has no inputs {inputs!r}; it has {', '.join(INPUTS[name])}")
    options: dict[str, Any] = {"seed": seed, "name": name, "prepare": prepare, "progress": progress}
    options |= {"vocabulary": vocabulary, "fractions": QM9_FRACTIONS if name == "qm9" else FRACTIONS}
    return from_frame(_source(name), smiles="smiles", input=INPUTS[name][inputs], **options)


def _source(name: str) -> Path | pd.DataFrame:
    """The file or table of a named data set."""
    if name == "molecules7":
        return SHIPPED / "molecules7.csv"
    if local := local_file(*LOCAL[name]):
        return local
    if name == "qm9":
        return download(QM9_URL, CACHED[name], QM9_SHA256)
    # The header has commas; the rows have tabs after the SMILES.
    header, *lines = download(CHEMBL_URL, CACHED[name]).read_text(encoding="utf-8").splitlines()
    if not header.startswith("smiles,"):
        raise ValueError(f"{CHEMBL_URL} is not the file it was: it begins with {header[:40]!r}")
    return pd.DataFrame({"smiles": [line.partition("\t")[0] for line in lines]})


def available_offline(name: str) -> bool:
    """Test whether `load(name)` works without a download.

    Args:
        name: One of `NAMES`.

    Returns:
        True if the data is shipped, in `$ELEKIT_DATA_DIR` or cached.
    """
    return name == "molecules7" or local_file(*LOCAL[name]) is not None or (cache_folder() / CACHED[name]).exists()
