"""`Dataset` and `Split`, and the split by canonical form: no graph stands in two of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from elekit.graphs.graph import Graph, GraphVocabulary

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and graphs side by side.

    inputs: n of them, strings or a tensor (n, ...); None where only outputs are known.
    graphs: batch of n vertices. frame: n rows, what else the data says; column `key` is the canonical form.
    """

    inputs: Sequence[str] | torch.Tensor | None
    graphs: Graph
    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.graphs)

    def take(self, rows) -> "Split":
        """The rows of these numbers (a list or tensor), in this order."""
        rows = torch.as_tensor(rows, dtype=torch.long)
        inputs = self.inputs
        if inputs is not None:
            inputs = inputs[rows] if torch.is_tensor(inputs) else [inputs[i] for i in rows.tolist()]
        return Split(inputs, self.graphs[rows], self.frame.iloc[rows.tolist()].reset_index(drop=True))

    def sample(self, count: int, seed: int = 0) -> "Split":
        """`count` rows drawn without replacement (all, shuffled, if there are fewer)."""
        generator = torch.Generator().manual_seed(seed)
        return self.take(torch.randperm(len(self), generator=generator)[:count])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of one vocabulary, and what was left out.

    skipped: a frame with columns row (number in the source), value, reason. digest: sha256 over inputs and graphs
    of the three splits; a checkpoint names it.
    """

    name: str
    vocabulary: GraphVocabulary
    train: Split
    validation: Split
    test: Split
    skipped: pd.DataFrame
    digest: str

    def report(self) -> dict:
        """Counts: rows read, kept in each split, skipped by reason."""
        sizes = {name: len(getattr(self, name)) for name in SPLITS}
        return {
            "name": self.name,
            "rows": sum(sizes.values()) + len(self.skipped),
            **sizes,
            "skipped": {str(k): int(v) for k, v in self.skipped["reason"].value_counts().items()},
            "node_labels": list(self.vocabulary.node_labels),
            "edge_labels": list(self.vocabulary.edge_labels),
            "max_nodes": self.vocabulary.max_nodes,
            "digest": self.digest,
        }


def assign_splits(keys: Sequence[str], fractions: Sequence[float], seed: int) -> list[str]:
    """Which split each key falls in; equal keys fall together, and the order of the rows does not matter.

    Keys are ranked by a seeded hash and cut at the fractions (train, validation, test; they sum to 1).
    With three distinct keys or more, no split whose fraction is above zero stays empty.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions must be three numbers >= 0 that sum to 1 (train, validation, test), got {fractions}"
        )
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    wanted = [
        max(1, round(f * len(ranked))) if f > 0 and len(ranked) >= 3 else round(f * len(ranked)) for f in fractions
    ]
    spare = len(ranked) - (fractions[0] > 0) if len(ranked) >= 3 else len(ranked)
    while wanted[1] + wanted[2] > spare:  # rounding must not leave the first ones without any
        wanted[1 if wanted[1] >= wanted[2] else 2] -= 1
    first_test = len(ranked) - wanted[2]
    first_validation = first_test - wanted[1] if fractions[0] > 0 else 0
    place = {key: SPLITS[(i >= first_validation) + (i >= first_test)] for i, key in enumerate(ranked)}
    return [place[key] for key in keys]


def digest(splits: Sequence[Split]) -> str:
    """sha256 of what a model could learn from: the splits' graphs and inputs, in order."""
    running = hashlib.sha256()
    for split in splits:
        running.update(split.graphs.digest().encode())
        if torch.is_tensor(split.inputs):
            running.update(split.inputs.contiguous().numpy().tobytes())
        elif split.inputs is not None:
            running.update("\0".join(map(str, split.inputs)).encode())
        running.update(b"\1")
    return running.hexdigest()
