"""What a card is made from: an artifact, the data it is measured on, and the graphs sampled from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from elekit.audit.agreement import Agreement, agreement
from elekit.audit.blind_spots import Pairs, blind_spots
from elekit.datasets import Dataset
from elekit.datasets.splits import SPLITS, Split, digest
from elekit.draw.layouts import layout
from elekit.draw.scenes import scene
from elekit.evaluation.formatting import graph_names
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model import artifact as artifacts
from elekit.model.artifact import Artifact
from elekit.model.loss import Psi

ENOUGH = 100  # graphs of the test split; with fewer, all splits are used
MOST = 1_000  # graphs
SAMPLES = 24  # edits of each graph
PAIRS = 120  # of each kind, compared with known distances


@dataclass(frozen=True, eq=False)
class Context:
    """A loss and what it is measured on.

    Args:
        artifact: The loss.
        folder: The folder of the artifact; None if it was never saved.
        data: The data set; None if there is none.
        surrogate: Name of the predictor; None if there is none.
        repeats: Further trainings of the same loss, by name.
        seed: Seed of everything that is sampled.
    """

    artifact: Artifact
    folder: Path | None
    data: Dataset | None
    surrogate: str | None
    repeats: Mapping[str, Artifact] = field(default_factory=dict)
    seed: int = 0

    @property
    def psi(self) -> Psi:
        return self.artifact.psi

    @property
    def molecular(self) -> bool:
        from elekit.graphs.smiles import is_molecular

        return is_molecular(self.artifact.vocabulary)

    @property
    def train(self) -> Graph:
        """The training graphs, or the test graphs if there are none."""
        return self.data.train.graphs if len(self.data.train) else self.data.test.graphs

    @property
    def graphs(self) -> Graph:
        """Up to 1,000 graphs: of the test split if it has at least 100, otherwise of all splits."""
        test = self.data.test
        graphs = test.graphs if len(test) >= ENOUGH else Graph.cat([getattr(self.data, s).graphs for s in SPLITS])
        return graphs[torch.randperm(len(graphs), generator=torch.Generator().manual_seed(self.seed))[:MOST]]

    @cached_property
    def sample(self) -> EditSample:
        """Edits of `graphs`, the same for every training."""
        return sample_edits(self.graphs, samples=SAMPLES, kinds=SINGLE, seed=self.seed)

    @cached_property
    def blind_pairs(self) -> Pairs:
        """Blind spots of the loss."""
        return blind_spots(self.psi, self.train, seed=self.seed)

    @cached_property
    def agreement(self) -> Agreement:
        """Pairs of graphs with the loss and known distances."""
        return agreement(self.psi, self.graphs, pairs=PAIRS, seed=self.seed)

    def names(self, graphs: Graph) -> list[str]:
        """Names of graphs: SMILES of molecules, otherwise their sizes."""
        return graph_names(graphs)

    def same_data(self) -> bool | None:
        """Whether `data` are the data that the loss was trained on, by digest; None if the artifact has no digest."""
        about = self.artifact.about
        held = {entry.get("digest") for entry in about.get("surrogates", {}).values()}
        held = {*held, about.get("data", {}).get("digest")} - {None}
        if not held or self.data is None:
            return None
        bare = digest(
            [Split(None, part.graphs, part.frame) for part in (self.data.train, self.data.validation, self.data.test)]
        )
        return bool({self.data.digest, bare} & held)


def make_context(
    artifact: Artifact | str | Path,
    data: Dataset | str | None = None,
    *,
    repeats: Mapping[str, Artifact] | str | Path | None = None,
    surrogate: str | None = None,
    seed: int = 0,
) -> Context:
    """Load what is given by name; for the arguments see `elekit.card.make`."""
    from elekit import datasets

    folder = None if isinstance(artifact, Artifact) else artifacts.locate(artifact)
    artifact = artifacts.load(folder) if folder is not None else artifact
    if artifact.surrogates or surrogate is not None:
        surrogate, _ = artifact.surrogate(surrogate)
    if data is None and artifact.name in datasets.NAMES and datasets.available_offline(artifact.name):
        data = artifact.name
    if isinstance(data, str):
        trained_on = artifact.about.get("surrogates", {}).get(surrogate, {}).get("input") or [surrogate]
        vocabulary, split = artifact.vocabulary, artifact.about.get("seed", 0)
        kind = trained_on[0] if len(trained_on) == 1 else None
        data = datasets.load(data, inputs=kind, vocabulary=vocabulary, seed=split)
    if data is not None and data.vocabulary != artifact.vocabulary:
        raise ValueError(
            f"data {data.name!r} have another vocabulary than artifact {artifact.name!r}; read them with "
            "vocabulary=artifact.vocabulary"
        )
    if data is not None and not any(len(getattr(data, part)) for part in SPLITS):
        raise ValueError(f"data {data.name!r} have no graphs that fit artifact {artifact.name!r}")
    return Context(artifact, folder, data, surrogate, _repeats(folder, repeats), seed)


def _repeats(folder: Path | None, given) -> Mapping[str, Artifact]:
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
