"""`Dataset` and `Split`, and the assignment of graphs to splits: equal graphs share a split."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs

SPLITS = ("train", "validation", "test")
LISTS = ("label", "charged atoms")  # how reasons begin that list several details
MAX_DETAILS, SHOWN_DETAILS = 1_000, 8


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

    def __repr__(self) -> str:
        return f"Split({self.graphs!r})"

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
        prepare: Options that the rows were prepared with, of `Prepare.to_json`.
        advice: Options that would save much time, in sentences.
    """

    name: str
    vocabulary: GraphVocabulary
    train: Split
    validation: Split
    test: Split
    skipped: pd.DataFrame
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    prepare: Mapping[str, Any] = field(default_factory=dict)
    advice: Sequence[str] = ()

    def report(self) -> dict[str, Any]:
        """Summarize the data set.

        Returns:
            Name, number of rows, sizes of the splits, skipped rows by kind of reason, details of these kinds, rows by
                what their graphs leave out, options of `Prepare`, advice, labels, max_nodes and digest.
        """
        sizes = {name: len(getattr(self, name)) for name in SPLITS}
        reasons = self.skipped["reason"].astype(str).tolist()
        details: dict[str, Counter[str]] = defaultdict(Counter)
        for reason in reasons:
            kind = kind_of(reason)
            if rest := reason[len(kind) + 2 :]:
                details[kind].update(rest.split(", ") if kind.startswith(LISTS) else [rest])
        return {
            "name": self.name,
            "rows": sum(sizes.values()) + len(self.skipped),
            **sizes,
            "skipped": dict(Counter(map(kind_of, reasons)).most_common()),
            "details": {kind: dict(found.most_common(MAX_DETAILS)) for kind, found in details.items()},
            "dropped": dict(self.dropped),
            "prepare": dict(self.prepare),
            "advice": list(self.advice),
            "node_labels": list(self.vocabulary.node_labels),
            "edge_labels": list(self.vocabulary.edge_labels),
            "directed": self.vocabulary.directed,
            "max_nodes": self.vocabulary.max_nodes,
            "digest": self.digest,
        }

    def __str__(self) -> str:
        """The report in lines, with reasons grouped."""
        found = self.report()
        lines = [f"{self.name}: {found['rows']:,} rows"]
        lines += [f"  {name:<11}{found[name]:>9,}" for name in SPLITS]
        lines += [f"  {'skipped':<11}{len(self.skipped):>9,}"]
        for kind, count in found["skipped"].items():
            of_kind = found["details"].get(kind, {})
            shown = ", ".join(f"{detail} {rows}" for detail, rows in list(of_kind.items())[:SHOWN_DETAILS])
            if len(of_kind) > 1:
                kinds = f"{len(of_kind)} kinds" if len(of_kind) < MAX_DETAILS else f"{MAX_DETAILS:,} kinds or more"
                shown = f"{kinds}, {shown}{', ...' if len(of_kind) > SHOWN_DETAILS else ''}"
            elif of_kind:
                shown = next(iter(of_kind))
            lines += [f"    {count:>7,}  {kind}{': ' if shown else ''}{shown}"]
        lines += [f"  {'left out':<11}{count:>9,}  {part}" for part, count in found["dropped"].items()]
        for kind in ("node", "edge"):
            plain = [v if v.isprintable() and v.split() == [v] else repr(v) for v in found[f"{kind}_labels"]]
            lines += [f"  {kind} labels  {' '.join(plain)}"]
        options = ", ".join(f"{name}={value!r}" for name, value in self.prepare.items() if name != "aromatic")
        lines += [f"  prepared with {options}"] if options else []
        lines += [f"  up to {found['max_nodes']} nodes; digest {found['digest'][:16]}"]
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.advice)])


def kind_of(reason: str) -> str:
    """The part of a reason to skip a row that other rows share: "more than 9 nodes", "charged atoms" of "...: N+"."""
    return reason.partition(": ")[0]


def assign_splits(keys: Sequence[str], fractions: Sequence[float], seed: int, folds: int = 1) -> list[str]:
    """Assign keys to splits by a seeded hash: equal keys get the same split, and their order does not matter.

    fractions: of the distinct keys for train, validation and test. With at least three distinct keys, no split of a
    positive fraction is empty. folds: With more than one, as many seeds, from a multiple of the number on, have
    disjoint test splits that make up the whole.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        needed = "three numbers >= 0 that sum to 1 (train, validation, test)"
        raise ValueError(f"fractions must be {needed}, got {fractions}")
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed // folds}:{key}".encode()).digest())
    total, least = len(ranked), int(len(ranked) >= 3)
    counts = [max(least, round(f * total)) if f > 0 else round(f * total) for f in fractions]
    if folds > 1:
        start, end = (total * (seed % folds + k) // folds for k in (0, 1))
        ranked, counts[2] = ranked[end:] + ranked[:end], end - start
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
