"""Data sets by name: `molecules7` and `faults`, which are shipped, QM9, parts of ChEMBL, MaintIE, UD English-ATIS."""

from pathlib import Path
from typing import Any

import pandas as pd

from elekit.datasets.files import SHIPPED, cache_folder, download, local_file
from elekit.datasets.frame import FRACTIONS, from_frame
from elekit.datasets.prepare import Prepare
from elekit.datasets.splits import Dataset
from elekit.datasets.texts import from_conllu, from_spert
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

# Maintenance work orders with entities and relations: Bikaun, French, Stewart, Liu, Hodkiewicz, "MaintIE: A
# Fine-Grained Annotation Schema and Benchmark for Information Extraction from Maintenance Short Texts", LREC-COLING
# 2024; MIT license.
MAINTIE_COMMIT = "926b6597aab79bdf70de24089dd3d51a95bf7159"
MAINTIE_URL = f"https://raw.githubusercontent.com/nlp-tlp/maintie/{MAINTIE_COMMIT}/data/gold_release.json"
MAINTIE_LEVEL, MAINTIE_FOLDS, MAINTIE_FRACTIONS = 2, 5, (0.7, 0.1, 0.2)

# Questions of travelers with dependency trees: UD English-ATIS, Kuzgun, Cesur, Yildiz and others; CC BY-SA 4.0.
UD_URL = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-Atis/{}/en_atis-ud-{}.conllu"
UD_COMMITS = {
    "train": "066c7fe15d917193012a64e30dc8b77de3de3d31", "dev": "fabe1bfb51f66347599b0eecd9d0fca8ac898ba2",
}  # fmt: skip
FAULTS_FRACTIONS = (0.8, 0.07, 0.13)  # more than 1,000 graphs in the test split

SOURCES = {  # where the data come from and under which license, for readers
    "molecules7": "The data were made for this project by rules of valence and stability, with descriptions composed "
    "from the structure; license BSD-3-Clause.",
    "faults": "The data were made for this project from a rule book of a packaging line; license BSD-3-Clause.",
    "qm9": "The data are QM9 (Ramakrishnan and others, Scientific Data 1, 140022, 2014), computed molecules, as "
    "MoleculeNet publishes them.",
    "chembl": "The data are molecules of ChEMBL (license CC BY-SA 3.0), as Noutahi and others (2019) chose them.",
    "maintie": "The data are maintenance work orders, annotated by hand (Bikaun and others, MaintIE, 2024); license "
    "MIT.",
    "ud": "The data are questions of travelers with dependency trees (UD English-ATIS); license CC BY-SA 4.0.",
}
LOCAL = {  # in $ELEKIT_DATA_DIR
    "qm9": ("qm9/qm9.csv.gz", "qm9/qm9.csv", "qm9.csv.gz", "qm9.csv"),
    "chembl": ("chembl/chembl_part.csv.gz", "chembl/chembl_part.csv", "chembl_part.csv.gz", "chembl_part.csv"),
    "maintie": tuple(
        f"{folder}{name}.json{packed}"
        for folder in ("maintie/", "") for name in ("gold_release", "gold_part") for packed in ("", ".gz")
    ),
    **{
        f"ud {part}": tuple(
            f"{folder}en_atis-ud-{part}.conllu{packed}" for folder in ("ud_atis/", "") for packed in ("", ".gz")
        )
        for part in UD_COMMITS
    },
}  # fmt: skip
CACHED = {  # file and address
    "qm9": ("qm9.csv", QM9_URL),
    "chembl": ("chembl_dataset_fragments.txt", CHEMBL_URL),
    "maintie": ("maintie_gold_release.json", MAINTIE_URL),
    **{f"ud {part}": (f"en_atis-ud-{part}.conllu", UD_URL.format(one, part)) for part, one in UD_COMMITS.items()},
}
INPUTS = {  # columns by kind of input, the default first
    "molecules7": {"description": "description", "smiles": "random_smiles"},
    "faults": {"report": "report"},
    "qm9": {"smiles": "smiles"},
    "chembl": {"smiles": "smiles"},
    "maintie": {"text": "text"},
    "ud": {"text": "text"},
}
NAMES = tuple(INPUTS)


def load(
    name: str, *, inputs: str | None = None, vocabulary: GraphVocabulary | None = None, seed: int = 0,
    prepare: Prepare | None = None, level: int | None = None, progress: bool = False,
) -> Dataset:  # fmt: skip
    """Load a named data set in seeded splits.

    Args:
        name: "molecules7": molecules of up to 7 heavy atoms, shipped. "qm9": molecules of up to 9 heavy atoms, from
            `$ELEKIT_DATA_DIR/qm9/` if it is there, otherwise downloaded once (30 MB). "chembl": 16,000 drug-like
            molecules of 10 to 50 heavy atoms, from `$ELEKIT_DATA_DIR/chembl/` or downloaded (4 MB);
            `prepare=Prepare(max_nodes=24)` loads the smaller ones. "faults": reports of operators of a packaging line
            and the directed graphs of components, faults, causes and measures behind them, shipped. "maintie":
            1,076 work orders of maintenance with their entities and relations, from `$ELEKIT_DATA_DIR/maintie/` or
            downloaded (1 MB). "ud": questions of travelers with dependency trees, of UD English-ATIS, from
            `$ELEKIT_DATA_DIR/ud_atis/` or downloaded (3 MB); its dev file is the test split.
        inputs: For molecules7 "description" (default) or "smiles" (randomized); for other molecules "smiles", for
            faults "report", for maintie and ud "text".
        vocabulary: Vocabulary of an artifact, graphs that do not fit are skipped; None uses that of the data.
        seed: Seed of the splits. For maintie, seeds 0 to 4 are the five folds of a cross-validation, 5 to 9 those of
            another one, and so on: each work order is in the test split of one of five.
        prepare: How rows become graphs; None = `Prepare()`.
        level: For maintie, the levels of the hierarchy of entities, 1 (5 types), 2 (32) or 3 (224); None = that of
            `vocabulary`, or 2. There are six relations at each level, as in the publication.
        progress: Show a progress bar.

    Returns:
        The data set.

    Raises:
        ValueError: If the name, the kind of input or the level is unknown.
    """
    if name not in INPUTS:
        known = ", ".join(NAMES)
        raise ValueError(f"no data set named {name!r}; the names are {known}; for your own data use from_frame")
    inputs = inputs or next(iter(INPUTS[name]))
    if inputs not in INPUTS[name]:
        raise ValueError(f"{name} has no inputs {inputs!r}; it has {', '.join(INPUTS[name])}")
    if level is not None and (name != "maintie" or level not in (1, 2, 3)):
        raise ValueError(f"level must be 1, 2 or 3, for maintie only; got {level!r} for {name}")
    options: dict[str, Any] = {"seed": seed, "name": name, "prepare": prepare, "progress": progress}
    options["vocabulary"] = vocabulary
    if name == "ud":
        return from_conllu(_file("ud train"), test=_file("ud dev"), **options)
    if name == "maintie":
        if level is None and vocabulary:
            level = 1 + max(label.count("/") for label in vocabulary.node_labels)
        options |= {"level": level or MAINTIE_LEVEL, "folds": MAINTIE_FOLDS, "fractions": MAINTIE_FRACTIONS}
        return from_spert(_file(name), **options)
    if name == "faults":
        options |= {"duplicates": "keep", "fractions": FAULTS_FRACTIONS, "graph": "graph", "spans": "spans"}
        return from_frame(SHIPPED / "faults.csv.gz", input="report", **options)
    options["fractions"] = QM9_FRACTIONS if name == "qm9" else FRACTIONS
    return from_frame(_source(name), smiles="smiles", input=INPUTS[name][inputs], **options)


def _source(name: str) -> Path | pd.DataFrame:
    """The file or table of a named data set."""
    if name == "molecules7":
        return SHIPPED / "molecules7.csv"
    path = _file(name)
    if name == "qm9" or path == local_file(*LOCAL[name]):
        return path
    # The header has commas; the rows have tabs after the SMILES.
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if not header.startswith("smiles,"):
        raise ValueError(f"{CHEMBL_URL} is not the file it was: it begins with {header[:40]!r}")
    return pd.DataFrame({"smiles": [line.partition("\t")[0] for line in lines]})


def _file(name: str) -> Path:
    """A local file, or the one that is downloaded."""
    file, url = CACHED[name]
    return local_file(*LOCAL[name]) or download(url, file, QM9_SHA256 if name == "qm9" else None)


def available_offline(name: str) -> bool:
    """Test whether `load(name)` works without a download.

    Args:
        name: One of `NAMES`.

    Returns:
        True if the data is shipped, in `$ELEKIT_DATA_DIR` or cached.
    """
    files = [one for one in CACHED if one.split()[0] == name]  # none for what is shipped
    return all(local_file(*LOCAL[one]) or (cache_folder() / CACHED[one][0]).exists() for one in files)
