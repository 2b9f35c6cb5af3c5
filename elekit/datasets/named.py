"""Data sets by name: `molecules7`, which is shipped, and QM9."""

from typing import Any

from elekit.datasets.files import SHIPPED, cache_folder, download, local_file
from elekit.datasets.frame import FRACTIONS, from_frame
from elekit.datasets.prepare import Prepare
from elekit.datasets.splits import Dataset
from elekit.graphs.graph import GraphVocabulary

# QM9: Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014); the csv of DeepChem / MoleculeNet.
QM9_URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv"
QM9_SHA256 = "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4"
QM9_FILES = ("qm9/qm9.csv.gz", "qm9/qm9.csv", "qm9.csv.gz", "qm9.csv")  # in $ELEKIT_DATA_DIR
QM9_FRACTIONS = (0.95, 0.02, 0.03)

NAMES = ("molecules7", "qm9")


def load(
    name: str, *, inputs: str | None = None, vocabulary: GraphVocabulary | None = None, seed: int = 0,
    prepare: Prepare | None = None, progress: bool = False,
) -> Dataset:  # fmt: skip
    """Load a named data set in seeded splits.

    Args:
        name: "molecules7": molecules of up to 7 heavy atoms, shipped. "qm9": molecules of up to 9 heavy atoms, from
            `$ELEKIT_DATA_DIR/qm9/` if it is there, otherwise downloaded once (30 MB).
        inputs: For molecules7 "description" (default) or "smiles" (randomized); for qm9 "smiles".
        vocabulary: Vocabulary of an artifact, molecules that do not fit are skipped; None uses that of the data.
        seed: Seed of the splits.
        prepare: How rows become graphs; None = `Prepare()`.
        progress: Show a progress bar.

    Returns:
        The data set.

    Raises:
        ValueError: If the name or the kind of input is unknown.
    """
    kinds = {"molecules7": {"description": "description", "smiles": "random_smiles"}, "qm9": {"smiles": "smiles"}}
    if name not in kinds:
        known = ", ".join(NAMES)
        raise ValueError(f"no data set named {name!r}; the names are {known}; for your own data use from_frame")
    inputs = inputs or next(iter(kinds[name]))
    if inputs not in kinds[name]:
        raise ValueError(f"{name} has no inputs {inputs!r}; it has {', '.join(kinds[name])}")
    path, fractions = SHIPPED / "molecules7.csv", FRACTIONS
    if name == "qm9":
        path, fractions = local_file(*QM9_FILES) or download(QM9_URL, "qm9.csv", QM9_SHA256), QM9_FRACTIONS
    options: dict[str, Any] = {"seed": seed, "name": name, "prepare": prepare, "progress": progress}
    options |= {"vocabulary": vocabulary, "fractions": fractions}
    return from_frame(path, smiles="smiles", input=kinds[name][inputs], **options)


def available_offline(name: str) -> bool:
    """Test whether `load(name)` works without a download.

    Args:
        name: One of `NAMES`.

    Returns:
        True if the data is shipped, in `$ELEKIT_DATA_DIR` or cached.
    """
    return name == "molecules7" or local_file(*QM9_FILES) is not None or (cache_folder() / "qm9.csv").exists()
