"""What a card is about: an artifact, the data it is held against, and the graphs that are asked about."""

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
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph
from elekit.inspect._validation import called
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model import artifact as artifacts
from elekit.model.artifact import Artifact
from elekit.model.loss import Psi

ENOUGH = 100  # graphs of the test split; with fewer, all graphs are asked about
ASKED = 1_000  # graphs at most
SAMPLES = 24  # edits of each graph
PAIRS = 120  # of each kind, that known distances are asked about


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss, and what it is asked about.

    artifact, folder: the loss, and where it lies (None for one that was never saved). data: None where none is at
    hand. surrogate: name of the h that predictions are made with, None for none. repeats: the same training done
    again, by name.
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
        """Graphs that the loss was trained on, or all there are."""
        return self.data.train.graphs if len(self.data.train) else self.data.test.graphs

    @property
    def asked(self) -> Graph:
        """Up to 1,000 graphs, of the test split where that has 100 or more, otherwise of all splits."""
        test = self.data.test
        graphs = test.graphs if len(test) >= ENOUGH else Graph.cat([getattr(self.data, s).graphs for s in SPLITS])
        return graphs[torch.randperm(len(graphs), generator=torch.Generator().manual_seed(self.seed))[:ASKED]]

    @cached_property
    def sample(self) -> EditSample:
        """Edits of the graphs that are asked about: every training is asked about the same."""
        return sample_edits(self.asked, samples=SAMPLES, kinds=SINGLE, seed=self.seed)

    @cached_property
    def blind_pairs(self) -> Pairs:
        """Blind spots of the loss."""
        return blind_spots(self.psi, self.train, seed=self.seed)

    @cached_property
    def known_distances(self) -> Agreement:
        """Pairs of graphs with the loss and known distances."""
        return agreement(self.psi, self.asked, pairs=PAIRS, seed=self.seed)

    def names(self, graphs: Graph) -> list[str]:
        """What graphs are called: SMILES of molecules, otherwise how large they are."""
        return called(graphs)

    def known_data(self) -> bool | None:
        """Whether these are the data that the loss was trained on, by their digest; None where it names none."""
        about = self.artifact.about
        held = {entry.get("digest") for entry in about.get("surrogates", {}).values()}
        held = {*held, about.get("data", {}).get("digest")} - {None}
        if not held or self.data is None:
            return None
        bare = digest(
            [Split(None, part.graphs, part.frame) for part in (self.data.train, self.data.validation, self.data.test)]
        )
        return bool({self.data.digest, bare} & held)


def subject(
    artifact: Artifact | str | Path,
    data: Dataset | str | None = None,
    *,
    repeats: Mapping[str, Artifact] | str | Path | None = None,
    surrogate: str | None = None,
    seed: int = 0,
) -> Subject:
    """Read what is given by name. data: None takes the data set that a shipped artifact is called after.

    repeats: a folder of artifacts, or artifacts by name; None = those beside the artifact.
    Raises ValueError for data of other labels and for a surrogate that there is not.
    """
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
            f"data {data.name!r} have another vocabulary than the artifact {artifact.name!r}; read them with "
            "vocabulary=artifact.vocabulary"
        )
    if data is not None and not any(len(getattr(data, part)) for part in SPLITS):
        raise ValueError(f"data {data.name!r} hold no graphs that fit the artifact {artifact.name!r}")
    return Subject(artifact, folder, data, surrogate, _repeats(folder, repeats), seed)


def _repeats(folder: Path | None, given) -> Mapping[str, Artifact]:
    if isinstance(given, Mapping):
        return given
    if given is None:
        return artifacts.load_repeats(folder) if folder is not None else {}
    paths = sorted(path.parent for path in Path(given).glob(f"*/{artifacts.JSON_NAME}"))
    if not paths:
        raise ValueError(f"{given} holds no artifacts in its folders; make them with elekit train repeats")
    return {path.name: artifacts.load(path) for path in paths}


def drawn(graphs: list[Graph], words: list[str], row: int, *, positions=None, changed=((), ())) -> dict:
    """What is drawn for a row of a table; positions: of each graph, None = its own layout."""
    positions = [layout(graph) for graph in graphs] if positions is None else positions
    return {
        "row": row,
        "graphs": [scene(graph, where) for graph, where in zip(graphs, positions)],
        "words": words,
        "changed": [list(changed[0]), [list(pair) for pair in changed[1]]],
    }
