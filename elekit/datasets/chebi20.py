"""ChEBI-20: descriptions of molecules by chemists, and the molecules.

Source: Edwards, Zhai, Ji, "Text2Mol" (EMNLP 2021), made of ChEBI (CC BY 4.0) and PubChem. Its repository
(github.com/cnedwards/text2mol) holds fingerprints in place of SMILES; the same pairs with SMILES are those of
Edwards et al., "Translation between Molecules and Natural Language" (EMNLP 2022), in github.com/blender-nlp/MolT5.
"""

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from elekit.datasets.files import cache_folder, download
from elekit.datasets.molecules import Molecules
from elekit.datasets.splits import SPLITS, Dataset, Split, digest
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.smiles import ParsedSmiles, from_parsed, molecule_vocabulary, parse_smiles

# No digest of these files was at hand: the address names a commit, and what comes must have that many rows.
URL = "https://raw.githubusercontent.com/blender-nlp/MolT5/7de07af8a2fb033bfd4935ebdd166e6ae6507df9/ChEBI-20_data/{}"
PUBLIC = {"train": ("train.txt", 26_407), "validation": ("validation.txt", 3_301), "test": ("test.txt", 3_300)}
PART = "chebi20_part.tsv.gz"  # of validation and test together, for development

FOLDS = 5
TESTED = 1_000  # molecules of a fold, no two of them equal
VALIDATED = 400
LARGEST, FEW_TESTED, FEW_VALIDATED = 16, 250, 200  # of `load_small`


def load_folds(
    fold: int, *, tested: int = TESTED, validated: int = VALIDATED, largest: int | None = None, progress: bool = False
) -> Dataset:
    """One fold of the pairs of validation and test together: `tested` molecules to test on, the others to learn from.

    Molecules are ranked by a hash of their canonical form, and fold f tests on those of rank `f tested` to
    `(f + 1) tested - 1`: folds are disjoint, and no graph stands in two splits. `validated` of the other molecules,
    drawn by the fold, are for validation. Several rows may be one graph, since graphs have no stereochemistry: to
    learn from, all rows stay; of those to test on or to validate on, the first row of each graph.
    largest: see `read`.
    Read from `$ELEKIT_DATA_DIR/chebi20/` (the part for development, or the public files) or downloaded once.
    Raises ValueError for a fold that there is not, and for data of fewer molecules than folds need.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"there are folds 0 to {FOLDS - 1}, got {fold}")
    part = _local(PART)
    table = _table(part) if part else pd.concat([_public(name) for name in ("validation", "test")])
    everything, skipped, vocabulary = read(table, progress, largest)
    ranked = sorted(set(everything.frame["key"]), key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(ranked) < FOLDS * tested or len(ranked) <= tested + validated:
        raise ValueError(f"{FOLDS} folds of {tested} molecules, and others to learn from, asked of {len(ranked)}")
    rest = ranked[: fold * tested] + ranked[(fold + 1) * tested :]
    drawn = np.random.default_rng(fold).permutation(len(rest))[:validated]
    place = dict.fromkeys(rest, "train") | dict.fromkeys(ranked[fold * tested : (fold + 1) * tested], "test")
    place |= {rest[i]: "validation" for i in drawn}
    limit = "" if largest is None else f", up to {largest} heavy atoms"
    name = f"chebi20, {part.name if part else 'validation and test'}{limit}, fold {fold} of {FOLDS}"
    return _dataset(name, everything, everything.frame["key"].map(place), skipped, vocabulary)


def load_small(
    fold: int,
    *,
    tested: int = FEW_TESTED,
    validated: int = FEW_VALIDATED,
    largest: int = LARGEST,
    progress: bool = False,
) -> Dataset:
    """As `load_folds`, of molecules of up to `largest` heavy atoms alone, as dense graphs, which can be decoded."""
    return load_folds(fold, tested=tested, validated=validated, largest=largest, progress=progress)


def load_public(*, progress: bool = False) -> Dataset:
    """The public split: 26,407 pairs to learn from, 3,301 for validation, 3,300 to test on.

    As published, so that a few graphs stand in two splits (stereochemistry is left out). Read from
    `$ELEKIT_DATA_DIR/chebi20/` or downloaded once (10 MB).
    """
    table = pd.concat([_public(name).assign(split=name) for name in SPLITS])
    everything, skipped, vocabulary = read(table, progress)
    return _dataset("chebi20", everything, everything.frame["split"], skipped, vocabulary)


def public_available_offline() -> bool:
    """Whether `load_public` needs no download."""
    return all(_local(file) or (cache_folder() / f"chebi20-{file}").exists() for file, _ in PUBLIC.values())


def read(
    table: pd.DataFrame, progress: bool = False, largest: int | None = None
) -> tuple[Split, pd.DataFrame, GraphVocabulary]:
    """Descriptions and molecules of a table (cid, smiles, description), what was skipped, and the vocabulary.

    largest: heavy atoms, at most; the graphs are dense then, and larger molecules are skipped. None: all molecules.
    """
    table = table.reset_index(drop=True)
    readings = [
        parse_smiles(text)
        for text in tqdm(table["smiles"], desc="reading SMILES", disable=not progress, mininterval=0.5)
    ]
    if largest is not None:
        too_large = ParsedSmiles(error=f"more than {largest} heavy atoms")
        readings = [too_large if len(reading.nodes) > largest else reading for reading in readings]
    refused = [row for row, reading in enumerate(readings) if reading.error]
    skipped = pd.DataFrame(
        [(row, table["smiles"][row], readings[row].error) for row in refused], columns=["row", "value", "reason"]
    )
    kept = [row for row, reading in enumerate(readings) if not reading.error]
    read_ = [readings[row] for row in kept]
    if not read_:
        raise ValueError(f"none of {len(table)} SMILES can be read")
    labels = {label for one in read_ for label in one.nodes}
    vocabulary = molecule_vocabulary(labels, max(len(one.nodes) for one in read_))
    frame = table.iloc[kept].reset_index(drop=True)
    frame.insert(0, "row", kept)
    frame.insert(1, "key", [one.canonical for one in read_])
    graphs = Molecules.of(read_, vocabulary) if largest is None else from_parsed(read_, vocabulary)
    split = Split(frame["description"].astype(str).tolist(), graphs, frame)
    return split, skipped, vocabulary


def _dataset(name: str, everything: Split, places: pd.Series, skipped: pd.DataFrame, vocabulary) -> Dataset:
    """The splits; of what is not learned from only the first row of each graph, the others are skipped."""
    left_out = everything.frame.assign(place=places).duplicated(["key", "place"]) & (places != "train")
    more = everything.frame[left_out]
    skipped = pd.concat(
        [skipped, pd.DataFrame({"row": more["row"], "value": more["smiles"], "reason": "graph of an earlier row"})]
    ).reset_index(drop=True)
    train, validation, test = splits = [
        everything.take(np.flatnonzero((places == place) & ~left_out)) for place in SPLITS
    ]
    return Dataset(name, vocabulary, train, validation, test, skipped, digest(splits))


def _table(path: Path) -> pd.DataFrame:
    """Columns cid, smiles, description; ValueError names the file where they are not there."""
    table = pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE)
    table.columns = [str(column).lower() for column in table.columns]
    if list(table.columns) != ["cid", "smiles", "description"]:
        raise ValueError(f"{path}: columns should be cid, smiles, description, they are {', '.join(table.columns)}")
    return table


def _public(name: str) -> pd.DataFrame:
    file, rows = PUBLIC[name]
    path = _local(file) or download(URL.format(file), f"chebi20-{file}")
    table = _table(path)
    if len(table) != rows:
        raise ValueError(f"{path} holds {len(table)} pairs, the public split {name} has {rows}; load it anew")
    return table


def _local(file: str) -> Path | None:
    folder = os.environ.get("ELEKIT_DATA_DIR")
    path = Path(folder) / "chebi20" / file if folder else None
    return path if path and path.exists() else None
