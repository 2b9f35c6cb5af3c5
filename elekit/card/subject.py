"""What a card is about: an artefact, the data it is held against, and the graphs that are asked about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from elekit import release
from elekit.datasets import Dataset
from elekit.datasets.splits import SPLITS, Split, digest
from elekit.draw.layouts import layout
from elekit.draw.scenes import scene
from elekit.edits import SINGLE
from elekit.graph import Graph
from elekit.inspect.agreement import Agreement, agreement
from elekit.inspect.asking import called
from elekit.inspect.blindspots import Pairs, blind_spots
from elekit.inspect.prices import EditSample, sample_edits
from elekit.loss import Psi
from elekit.release import Artefact

ENOUGH = 100  # graphs of the test split; with fewer, all graphs are asked about
ASKED = 1_000  # graphs at most
SAMPLES = 24  # edits of each graph
PAIRS = 120  # of each kind, that known distances are asked about


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss, and what it is asked about.

    artefact, folder: the loss, and where it lies (None for one that was never saved). data: None where none is at
    hand. surrogate: name of the h that predictions are made with, None for none. repeats: the same training done
    again, by name.
    """

    artefact: Artefact
    folder: Path | None
    data: Dataset | None
    surrogate: str | None
    repeats: Mapping[str, Artefact] = field(default_factory=dict)
    seed: int = 0

    @property
    def psi(self) -> Psi:
        return self.artefact.psi

    @property
    def molecular(self) -> bool:
        from elekit import chem

        return chem.is_molecular(self.artefact.vocabulary)

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
        about = self.artefact.about
        held = {entry.get("digest") for entry in about.get("surrogates", {}).values()}
        held = {*held, about.get("data", {}).get("digest")} - {None}
        if not held or self.data is None:
            return None
        bare = digest(
            [Split(None, part.graphs, part.frame) for part in (self.data.train, self.data.validation, self.data.test)]
        )
        return bool({self.data.digest, bare} & held)


def subject(
    artefact: Artefact | str | Path,
    data: Dataset | str | None = None,
    *,
    repeats: Mapping[str, Artefact] | str | Path | None = None,
    surrogate: str | None = None,
    seed: int = 0,
) -> Subject:
    """Read what is given by name. data: None takes the data set that a shipped artefact is called after.

    repeats: a folder of artefacts, or artefacts by name; None = those beside the artefact.
    Raises ValueError for data of other labels and for a surrogate that there is not.
    """
    from elekit import datasets

    folder = None if isinstance(artefact, Artefact) else release.locate(artefact)
    artefact = release.load(folder) if folder is not None else artefact
    if artefact.surrogates or surrogate is not None:
        surrogate, _ = artefact.surrogate(surrogate)
    if data is None and artefact.name in datasets.NAMES and datasets.at_hand(artefact.name):
        data = artefact.name
    if isinstance(data, str):
        trained_on = artefact.about.get("surrogates", {}).get(surrogate, {}).get("input") or [surrogate]
        vocabulary, split = artefact.vocabulary, artefact.about.get("seed", 0)
        kind = trained_on[0] if len(trained_on) == 1 else None
        data = datasets.load(data, inputs=kind, vocabulary=vocabulary, seed=split)
    if data is not None and data.vocabulary != artefact.vocabulary:
        raise ValueError(
            f"data {data.name!r} have another vocabulary than the artefact {artefact.name!r}; read them with "
            "vocabulary=artefact.vocabulary"
        )
    if data is not None and not any(len(getattr(data, part)) for part in SPLITS):
        raise ValueError(f"data {data.name!r} hold no graphs that fit the artefact {artefact.name!r}")
    return Subject(artefact, folder, data, surrogate, _repeats(folder, repeats), seed)


def _repeats(folder: Path | None, given) -> Mapping[str, Artefact]:
    if isinstance(given, Mapping):
        return given
    if given is None:
        return release.repeats(folder) if folder is not None else {}
    paths = sorted(path.parent for path in Path(given).glob(f"*/{release.JSON_NAME}"))
    if not paths:
        raise ValueError(f"{given} holds no artefacts in its folders; make them with elekit train repeats")
    return {path.name: release.load(path) for path in paths}


def drawn(graphs: list[Graph], words: list[str], row: int, *, positions=None, changed=((), ())) -> dict:
    """What is drawn for a row of a table; positions: of each graph, None = its own layout."""
    positions = [layout(graph) for graph in graphs] if positions is None else positions
    return {
        "row": row,
        "graphs": [scene(graph, where) for graph, where in zip(graphs, positions)],
        "words": words,
        "changed": [list(changed[0]), [list(pair) for pair in changed[1]]],
    }
