"""What a card is made from: an artifact, the data it is measured on, and the graphs sampled from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from elekit import datasets
from elekit.audit import agreement, blind_spots
from elekit.audit.agreement import Agreement
from elekit.audit.blind_spots import Pairs
from elekit.datasets import Dataset
from elekit.datasets.splits import SPLITS, Split, digest
from elekit.draw.layouts import layout
from elekit.draw.scenes import scene
from elekit.graphs.budget import Clock
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph
from elekit.graphs.packed import PackedGraphs
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model import artifact as artifacts
from elekit.model.artifact import Artifact
from elekit.model.loss import Psi

ENOUGH = 100  # graphs of the test split; with fewer, all splits are used
MOST = 1_000  # graphs
SAMPLES = 24  # edits of each graph
SHARE, LONGEST = 1 / 8, 120.0  # of the time left, and seconds: of a measurement that can be cut short
FEW = 20  # graphs, below which edits of a kind are pooled with others
PAIRS = 400  # of each kind, compared with known distances


@dataclass(frozen=True, eq=False)
class Context:
    """A loss and what it is measured on; for the fields see `elekit.card.make`.

    folder: of the artifact; None if it was never saved. dataset: None if there is none. replicate: measure everything
    again on `second`. half: of the training graphs, if they are divided.
    """

    artifact: Artifact
    folder: Path | None
    dataset: Dataset | None
    surrogate: str | None
    repeats: Mapping[str, Artifact] = field(default_factory=dict)
    seed: int = 0
    clock: Clock = field(default_factory=Clock)
    replicate: bool = False
    half: int = 0

    @property
    def psi(self) -> Psi:
        return self.artifact.psi

    @property
    def data(self) -> Dataset:
        if self.dataset is None:
            raise ValueError("there are no data to measure on; name them with --data")
        return self.dataset

    @property
    def train(self) -> PackedGraphs:
        """Every second of the training graphs if there are enough; the test graphs if there are none."""
        graphs = self.data.train.graphs if len(self.data.train) else self.data.test.graphs
        return graphs[self.half :: 2] if len(self.data.train) >= 2 * ENOUGH else graphs

    @property
    def held_out(self) -> PackedGraphs | None:
        """The test graphs; None if there are none, or no training graphs to compare them with."""
        return self.data.test.graphs if len(self.data.train) and len(self.data.test) else None

    @property
    def graphs(self) -> PackedGraphs:
        """Up to 1,000 different graphs: of the test split if it has at least 100, otherwise of all splits."""
        test = self.data.test
        splits = [test] if len(test) >= ENOUGH else [getattr(self.data, name) for name in SPLITS]
        keys = pd.concat([split.frame["key"] for split in splits], ignore_index=True)
        different = torch.from_numpy(np.flatnonzero(~keys.duplicated()))
        graphs = PackedGraphs.cat([split.graphs for split in splits])
        return graphs[different[shuffled(len(different), self.seed)[:MOST]]]

    @cached_property
    def second(self) -> "Context | None":
        """Other graphs, with another seed: of the training graphs the other half, and validation in place of test.

        None if there are not enough graphs.
        """
        data = self.data
        if len(data.train) < 2 * ENOUGH or min(len(data.test), len(data.validation)) < ENOUGH:
            return None
        swapped = replace(data, test=data.validation, validation=data.test)
        return replace(self, dataset=swapped, seed=self.seed + 1, half=1 - self.half)

    @cached_property
    def sample(self) -> EditSample:
        """Edits of `graphs`, the same for every training; kinds that few graphs have are pooled."""
        sample = sample_edits(self.graphs, samples=SAMPLES, kinds=SINGLE, seed=self.seed, budget=self.part())
        return sample.pooled(FEW)

    @cached_property
    def blind_pairs(self) -> Pairs:
        """Blind spots of the loss."""
        return blind_spots(self.psi, self.train, seed=self.seed, budget=self.part())

    @cached_property
    def agreement(self) -> Agreement:
        """Pairs of graphs with the loss and known distances."""
        return agreement(self.psi, self.graphs, pairs=PAIRS, seed=self.seed, budget=self.part())

    def part(self) -> Clock:
        """The time of one measurement."""
        return self.clock.part(SHARE, LONGEST)

    def same_data(self) -> bool | None:
        """Whether `data` are the data that the loss was trained on, by digest; None if the artifact has no digest."""
        about = self.artifact.about
        held = {entry.get("digest") for entry in about.get("surrogates", {}).values()}
        held = {*held, about.get("data", {}).get("digest")} - {None}
        if not held:
            return None
        parts = self.data.train, self.data.validation, self.data.test
        return bool({self.data.digest, digest([Split(None, part.graphs, part.frame) for part in parts])} & held)


def make_context(
    artifact: Artifact | str | Path,
    data: Dataset | str | None = None,
    *,
    repeats: Mapping[str, Artifact] | str | Path | None = None,
    surrogate: str | None = None,
    seed: int = 0,
    budget: float | Clock | None = None,
    replicate: bool = False,
) -> Context:
    """Load what is given by name; for the arguments see `elekit.card.make`."""
    folder = None if isinstance(artifact, Artifact) else artifacts.locate(artifact)
    loss = artifact if isinstance(artifact, Artifact) else artifacts.load(artifact)
    if loss.surrogates or surrogate is not None:
        surrogate, _ = loss.surrogate(surrogate)
    if data is None and loss.data_name in datasets.NAMES and datasets.available_offline(loss.data_name):
        data = loss.data_name
    if isinstance(data, str):
        inputs = [surrogate] if surrogate is None else input_columns(loss, surrogate)
        kind, split = inputs[0] if len(inputs) == 1 else None, loss.about.get("seed", 0)
        data = datasets.load(data, inputs=kind, vocabulary=loss.vocabulary, seed=split, prepare=loss.prepare)
    if data is not None and data.vocabulary != loss.vocabulary:
        raise ValueError(
            f"data {data.name!r} have another vocabulary than artifact {loss.name!r}; read them with "
            "vocabulary=artifact.vocabulary"
        )
    if data is not None and not any(len(getattr(data, part)) for part in SPLITS):
        raise ValueError(f"data {data.name!r} have no graphs that fit artifact {loss.name!r}")
    return Context(loss, folder, data, surrogate, _repeats(folder, repeats), seed, Clock.of(budget), replicate)


def input_columns(artifact: Artifact, predictor: str) -> list[str]:
    """The columns of the training data that a predictor read; where that is not recorded, that of its name."""
    return artifact.about.get("surrogates", {}).get(predictor, {}).get("input") or [predictor]


def shuffled(length: int, seed: int) -> torch.Tensor:
    """The numbers below `length` in random order."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))


def _repeats(folder: Path | None, given: Mapping[str, Artifact] | str | Path | None) -> Mapping[str, Artifact]:
    if isinstance(given, Mapping):
        return given
    if given is None:
        return artifacts.load_repeats(folder) if folder is not None else {}
    paths = sorted(path.parent for path in Path(given).glob(f"*/{artifacts.JSON_NAME}"))
    if not paths:
        raise ValueError(f"{given} has no artifacts in its folders; make them with elekit train repeats")
    return {path.name: artifacts.load(path) for path in paths}


def drawing(graphs: list[Graph], words: list[str], row: int, *, positions=None, changed=((), ())) -> dict:
    """The drawing for a row of a table; `positions` of each graph, by default their own layouts."""
    positions = [layout(graph) for graph in graphs] if positions is None else positions
    return {
        "row": row,
        "graphs": [scene(graph, where) for graph, where in zip(graphs, positions)],
        "words": words,
        "changed": [list(changed[0]), [list(pair) for pair in changed[1]]],
    }
