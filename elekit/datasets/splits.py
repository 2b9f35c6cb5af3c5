"""`Dataset` and `Split`, and the assignment of graphs to splits: equal graphs share a split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """n inputs with their graphs.

    Args:
        inputs: n strings or a tensor (n, ...); None if only outputs are known.
        graphs: n discrete graphs; dense ones are packed.
        frame: n rows with the other columns of the data; the column `key` holds the canonical form of the graph.
    """

    inputs: Sequence[str] | torch.Tensor | None
    graphs: PackedGraphs
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "graphs", PackedGraphs.of(self.graphs))

    def __len__(self) -> int:
        return len(self.graphs)

    def take(self, rows: Any) -> "Split":
        """Select rows.

        Args:
            rows: Row numbers, a list or tensor, in the order of the result.

        Returns:
            A split of these rows.
        """
        rows = torch.as_tensor(rows, dtype=torch.long)
        inputs = self.inputs
        if inputs is not None:
            inputs = inputs[rows] if torch.is_tensor(inputs) else [inputs[i] for i in rows.tolist()]
        return Split(inputs, self.graphs[rows], self.frame.iloc[rows.tolist()].reset_index(drop=True))

    def sample(self, count: int, seed: int = 0) -> "Split":
        """Draw rows without replacement.

        Args:
            count: Number of rows; larger than n gives all rows, shuffled.
            seed: Equal seeds draw the same rows.

        Returns:
            A split of the drawn rows.
        """
        generator = torch.Generator().manual_seed(seed)
        return self.take(torch.randperm(len(self), generator=generator)[:count])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of one vocabulary, and the rows that were skipped.

    Args:
        name: Name of the data set or its file.
        vocabulary: Vocabulary of all graphs.
        train: Training split.
        validation: Validation split.
        test: Test split.
        skipped: Frame with the columns row (number in the source), value and reason.
        digest: sha256 of inputs and graphs of the splits, which artifacts store.
        dropped: Number of rows of the splits by what their graphs leave out of the source, such as stereochemistry.
    """

    name: str
    vocabulary: GraphVocabulary
    train: Split
    validation: Split
    test: Split
    skipped: pd.DataFrame
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Summarize the data set.

        Returns:
            Name, number of rows read, sizes of the splits, skipped rows by reason, rows by what their graphs leave
                out, labels, max_nodes and digest.
        """
        sizes = {name: len(getattr(self, name)) for name in SPLITS}
        return {
            "name": self.name,
            "rows": sum(sizes.values()) + len(self.skipped),
            **sizes,
            "skipped": {str(k): int(v) for k, v in self.skipped["reason"].value_counts().items()},
            "dropped": dict(self.dropped),
            "node_labels": list(self.vocabulary.node_labels),
            "edge_labels": list(self.vocabulary.edge_labels),
            "max_nodes": self.vocabulary.max_nodes,
            "digest": self.digest,
        }


def assign_splits(keys: Sequence[str], fractions: Sequence[float], seed: int) -> list[str]:
    """Assign keys to splits by a seeded hash: equal keys get the same split, and their order does not matter.

    fractions: of the distinct keys for train, validation and test. With at least three distinct keys, no split of a
    positive fraction is empty.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        needed = "three numbers >= 0 that sum to 1 (train, validation, test)"
        raise ValueError(f"fractions must be {needed}, got {fractions}")
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    total, least = len(ranked), int(len(ranked) >= 3)
    counts = [max(least, round(f * total)) if f > 0 else round(f * total) for f in fractions]
    spare = total - (least and fractions[0] > 0)
    while counts[1] + counts[2] > spare:  # rounding must not empty the training split
        counts[1 if counts[1] >= counts[2] else 2] -= 1
    first_test = total - counts[2]
    first_validation = first_test - counts[1] if fractions[0] > 0 else 0
    place = {key: SPLITS[(i >= first_validation) + (i >= first_test)] for i, key in enumerate(ranked)}
    return [place[key] for key in keys]


def digest(splits: Sequence[Split]) -> str:
    """sha256 of the graphs and inputs of the splits, in order."""
    running = hashlib.sha256()
    for split in splits:
        running.update(split.graphs.digest().encode())
        if torch.is_tensor(split.inputs):
            running.update(split.inputs.contiguous().numpy().tobytes())
        elif split.inputs is not None:
            running.update("\0".join(map(str, split.inputs)).encode())
        running.update(b"\1")
    return running.hexdigest()
