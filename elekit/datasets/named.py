"""Data sets with a name: `molecules7`, shipped with the project, and QM9."""

import os
from pathlib import Path

from elekit.datasets.files import SHIPPED, cache_folder, download
from elekit.datasets.frame import FRACTIONS, from_frame
from elekit.datasets.splits import Dataset
from elekit.graphs.graph import GraphVocabulary

# QM9: Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014); the csv of DeepChem / MoleculeNet.
QM9_URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv"
QM9_SHA256 = "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4"
QM9_FRACTIONS = (0.95, 0.02, 0.03)

NAMES = ("molecules7", "qm9")


def load(
    name: str,
    *,
    inputs: str | None = None,
    vocabulary: GraphVocabulary | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Dataset:
    """A data set by name, in seeded splits.

    molecules7: molecules of up to 7 heavy atoms, shipped. inputs: "description" (default) or "smiles" (randomized).
    qm9: molecules of up to 9 heavy atoms. inputs: "smiles" as the source writes them. Read from
        `$ELEKIT_DATA_DIR/qm9/` where that is set, otherwise downloaded once (30 MB, checked against its sha256).
    vocabulary: of an artifact, so that the graphs fit it; what does not is skipped. None: that of the data.
    Raises ValueError for an unknown name or kind of input.
    """
    kinds = {"molecules7": {"description": "description", "smiles": "random_smiles"}, "qm9": {"smiles": "smiles"}}
    if name not in kinds:
        raise ValueError(
            f"no data set named {name!r}; there are {', '.join(NAMES)}; for your own data use from_frame"
        )
    inputs = inputs or next(iter(kinds[name]))
    if inputs not in kinds[name]:
        raise ValueError(f"{name} has no inputs {inputs!r}; it has {', '.join(kinds[name])}")
    return from_frame(
        SHIPPED / "molecules7.csv" if name == "molecules7" else _qm9_path(),
        smiles="smiles",
        input=kinds[name][inputs],
        fractions=QM9_FRACTIONS if name == "qm9" else FRACTIONS,
        vocabulary=vocabulary,
        seed=seed,
        name=name,
        progress=progress,
    )


def available_offline(name: str) -> bool:
    """Whether `load(name)` needs no download."""
    return name == "molecules7" or _local_qm9() is not None or (cache_folder() / "qm9.csv").exists()


def _local_qm9() -> Path | None:
    folder = os.environ.get("ELEKIT_DATA_DIR")
    names = ("qm9/qm9.csv.gz", "qm9/qm9.csv", "qm9.csv.gz", "qm9.csv")
    return next((path for name in names if folder and (path := Path(folder) / name).exists()), None)


def _qm9_path() -> Path:
    return _local_qm9() or download(QM9_URL, "qm9.csv", QM9_SHA256)
