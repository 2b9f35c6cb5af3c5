"""Texts with the graphs that they say: dependency trees of CoNLL-U files, entities and relations of SpERT's files."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from elekit.datasets import tables
from elekit.datasets.frame import FRACTIONS, build
from elekit.datasets.splits import Dataset, assign_splits


def from_conllu(
    path: str | Path, *, test: str | Path | None = None, subtypes: bool = True, **options: Any
) -> Dataset:  # fmt: skip
    """Load sentences with their dependency trees from a CoNLL-U file (universaldependencies.org/format.html).

    A node is a word, in the order of the sentence, its label the part of speech (UPOS). An edge goes from head to
    dependent, its label is the relation (DEPREL). The root is the word without a head. Empty nodes (8.1), which are
    not in the tree, are left out. The words of a multiword token (1-2) share its letters. The input is the comment
    `text`, or, if it does not have these words, the words. Sentences that are no tree (a head that is missing or does
    not exist, a cycle, no root or several) or not in the format are skipped with a reason.

    Args:
        path: The file, also compressed.
        test: Another file, whose sentences are the test split; the sentences of `path` are then shared by training
            and validation, without those that are in both files. None splits the sentences of `path`.
        subtypes: Whether labels keep the subtypes of relations, as in "acl:relcl"; False = the universal part, "acl".
        **options: `fractions`, `seed`, `vocabulary`, `prepare`, `name` and `progress` of `from_frame`.

    Returns:
        The data set. Equal sentences share a split; equal trees of different sentences may be in several.

    Raises:
        ValueError: If a file cannot be read or has no valid sentence.
    """
    return _from_files(path, test, functools.partial(tables.read_conllu, subtypes=subtypes), **options)


def from_spert(
    path: str | Path, *, test: str | Path | None = None, level: int | None = None, **options: Any
) -> Dataset:  # fmt: skip
    """Load texts with entities and relations from a JSON file in the format of SpERT, which MaintIE uses, too.

    The file is a list of objects: `tokens`, a list of words; `entities`, a list of `type`, `start` and `end` (the
    first token and the one after the last); `relations`, a list of `type`, `head` and `tail` (numbers of entities).
    A node is an entity, in the order of the text; an edge goes from head to tail. Several relations of one pair of
    entities become one label, such as "contains + hasPart". The input is the tokens with blanks between them.

    Args:
        path: The file, also compressed.
        test: Another file, whose texts are the test split; see `from_conllu`.
        level: Levels of an entity type that are kept, from 1: "Activity/Repair" is "Activity" at level 1. None keeps
            all. Relations have the last part of their type, at each level.
        **options: `fractions`, `seed`, `vocabulary`, `prepare`, `name` and `progress` of `from_frame`.

    Returns:
        The data set. Equal texts share a split; equal graphs of different texts may be in several.

    Raises:
        ValueError: If a file cannot be read or has no valid text.
    """
    if level is not None and level < 1:
        raise ValueError(f"level must be at least 1, got {level}")
    return _from_files(path, test, functools.partial(tables.read_spert, level=level), **options)


def _from_files(
    path: str | Path, test: str | Path | None, reader: tables.Reader, *, seed: int = 0, folds: int = 1,
    fractions: Sequence[float] = FRACTIONS, **options: Any,
) -> Dataset:  # fmt: skip
    """A data set of texts, split by text; folds: see `assign_splits`."""
    table, refused = tables.read_file(path, reader)
    if test is None:
        table["split"] = assign_splits(table["text"].tolist(), fractions, seed, folds)
    else:
        others, unreadable = tables.read_file(test, reader)
        whole = sum(fractions[:2]) or 1.0
        learning = [part / whole for part in fractions[:2]] + [0.0] * len(fractions[2:])
        table["split"] = assign_splits(table["text"].tolist(), learning, seed)
        in_test = table["text"].isin(others["text"])
        refused = dict.fromkeys(in_test[in_test].index.tolist(), "a text of the test file") | refused
        refused |= {len(table) + row: reason for row, reason in unreadable.items()}
        table = pd.concat([table, others.assign(split="test")], ignore_index=True)
    notes = table.pop("left_out").tolist() if "left_out" in table else ()
    names = table["sent_id"].tolist() if "sent_id" in table else [""] * len(table)
    shown = [text or name for text, name in zip(table["text"].tolist(), names)]
    return build(
        table, refused, str(path), graph="graph", input="text", spans="spans", split="split", duplicates="keep",
        seed=seed, notes=notes, shown=shown, **options,
    )  # fmt: skip
