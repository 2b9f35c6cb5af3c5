"""ChEBI-20: descriptions of molecules by chemists, and the molecules.

Source: Edwards, Zhai, Ji, "Text2Mol" (EMNLP 2021), made of ChEBI (CC BY 4.0) and PubChem. The pairs with SMILES are
those of Edwards et al., "Translation between Molecules and Natural Language" (EMNLP 2022), in
github.com/blender-nlp/MolT5. Graphs have no stereochemistry, so several rows may be one graph.
"""

import csv
import functools
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from elekit.datasets.files import download, local_file
from elekit.datasets.splits import SPLITS, Dataset, Split, digest
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import ParsedSmiles, molecule_vocabulary, parse_smiles

# The publisher gives no hashes, and none was taken here: an entry is None until someone who has compared the files
# with the publisher's fills it in. Until then the address names a commit, columns and number of rows are checked, and
# a file is only used as long as it is the one that was downloaded first (see `download`).
SHA256: dict[str, str | None] = {"train.txt": None, "validation.txt": None, "test.txt": None}
URL = "https://raw.githubusercontent.com/blender-nlp/MolT5/7de07af8a2fb033bfd4935ebdd166e6ae6507df9/ChEBI-20_data/{}"
PUBLIC = {"train": ("train.txt", 26_407), "validation": ("validation.txt", 3_301), "test": ("test.txt", 3_300)}
PART = "chebi20_part.tsv.gz"  # validation and test together, for development

FOLDS = 5


def load_folds(
    fold: int, *, tested: int = 1_000, validated: int = 400, largest: int | None = None, progress: bool = False
) -> Dataset:
    """Load one of five folds of the public validation and test pairs, from `$ELEKIT_DATA_DIR/chebi20/` or downloaded.

    Molecules are ranked by a hash; fold f tests on ranks `f tested` to `(f + 1) tested - 1`, so folds are disjoint
    and no graph is in two splits. Test and validation keep the first row of each graph, training keeps all rows.
    largest: number of heavy atoms; None keeps all.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold must be in 0 to {FOLDS - 1}, got {fold}")
    part = _local(PART)
    table = _table(part) if part else pd.concat([_public(name) for name in ("validation", "test")])
    everything, skipped, vocabulary = read(table, progress, largest)
    ranked = sorted(set(everything.frame["key"]), key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(ranked) < FOLDS * tested or len(ranked) <= tested + validated:
        raise ValueError(f"{FOLDS} folds of {tested} test molecules need more than the {len(ranked)} molecules read")
    rest = ranked[: fold * tested] + ranked[(fold + 1) * tested :]
    drawn = np.random.default_rng(fold).permutation(len(rest))[:validated]
    place = dict.fromkeys(rest, "train") | dict.fromkeys(ranked[fold * tested : (fold + 1) * tested], "test")
    place |= {rest[i]: "validation" for i in drawn}
    limit = "" if largest is None else f", up to {largest} heavy atoms"
    name = f"chebi20, {part.name if part else 'validation and test'}{limit}, fold {fold} of {FOLDS}"
    return _dataset(name, everything, everything.frame["key"].map(place), skipped, vocabulary)


# Folds of molecules with at most 16 heavy atoms, which can be decoded.
load_small = functools.partial(load_folds, tested=250, validated=200, largest=16)


def load_public(*, progress: bool = False) -> Dataset:
    """Load the public split of 26,407, 3,301 and 3,300 pairs, from `$ELEKIT_DATA_DIR/chebi20/` or downloaded (10 MB).

    Without stereochemistry, a few graphs are in two splits.
    """
    table = pd.concat([_public(name).assign(split=name) for name in SPLITS])
    everything, skipped, vocabulary = read(table, progress)
    return _dataset("chebi20", everything, everything.frame["split"], skipped, vocabulary)


def read(
    table: pd.DataFrame, progress: bool = False, largest: int | None = None
) -> tuple[Split, pd.DataFrame, GraphVocabulary]:
    """All valid pairs of a table (cid, smiles, description), the skipped rows, and the vocabulary."""
    table = table.reset_index(drop=True)
    bar = tqdm(table["smiles"], desc="reading SMILES", disable=not progress, mininterval=0.5)
    parsed = [parse_smiles(text, aromatic=True) for text in bar]
    if largest is not None:
        too_large = ParsedSmiles(error=f"more than {largest} heavy atoms")
        parsed = [too_large if len(one.nodes) > largest else one for one in parsed]
    errors = [(row, table["smiles"][row], one.error) for row, one in enumerate(parsed) if one.error]
    skipped = pd.DataFrame(errors, columns=["row", "value", "reason"])
    kept = [row for row, one in enumerate(parsed) if not one.error]
    valid = [parsed[row] for row in kept]
    if not valid:
        raise ValueError(f"none of {len(table)} SMILES is valid")
    labels = {label for one in valid for label in one.nodes}
    vocabulary = molecule_vocabulary(labels, max(len(one.nodes) for one in valid), aromatic=True)
    frame = table.iloc[kept].reset_index(drop=True)
    frame.insert(0, "row", kept)
    frame.insert(1, "key", [one.canonical for one in valid])
    graphs = PackedGraphs.from_edge_lists([(one.nodes, one.edges) for one in valid], vocabulary)
    return Split(frame["description"].astype(str).tolist(), graphs, frame), skipped, vocabulary


def _dataset(
    name: str, everything: Split, places: pd.Series, skipped: pd.DataFrame, vocabulary: GraphVocabulary
) -> Dataset:
    """Splits by place; validation and test keep only the first row of each graph."""
    repeated = everything.frame.assign(place=places).duplicated(["key", "place"]) & (places != "train")
    repeats = everything.frame.loc[repeated, ["row", "smiles"]].rename(columns={"smiles": "value"})
    skipped = pd.concat([skipped, repeats.assign(reason="graph of an earlier row")]).reset_index(drop=True)
    rows = [np.flatnonzero((places == place) & ~repeated) for place in SPLITS]
    train, validation, test = splits = [everything.take(own) for own in rows]
    return Dataset(name, vocabulary, train, validation, test, skipped, digest(splits))


def _table(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE)
    table.columns = [str(column).lower() for column in table.columns]
    if list(table.columns) != ["cid", "smiles", "description"]:
        raise ValueError(f"{path}: columns should be cid, smiles, description, they are {', '.join(table.columns)}")
    return table


def _public(name: str) -> pd.DataFrame:
    file, rows = PUBLIC[name]
    path = _local(file) or download(URL.format(file), f"chebi20-{file}", SHA256[file])
    table = _table(path)
    if len(table) != rows:
        raise ValueError(f"{path} has {len(table)} pairs, the public split {name} has {rows}; delete and reload it")
    return table


def _local(file: str) -> Path | None:
    return local_file(f"chebi20/{file}")
