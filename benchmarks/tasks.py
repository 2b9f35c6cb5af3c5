"""The tasks of the field: which data, which splits, what is judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from benchmarks import noise
from benchmarks.coloring import coloring
from benchmarks.methods import ABLATION
from benchmarks.task_data import Budget, Exam, Problem
from elekit import datasets
from elekit.datasets import Dataset, Split
from elekit.graphs.graph import Graph
from elekit.model import artifact as artifacts

VALIDATION = 500  # labelled pairs to tune on, at most, and never more than there are to train
EXAMINED = 1_000  # pairs of the test split
SELECTED = ("ele", "sequence", "neighbour", "ile-tanimoto", "ile-wl", "nnbary-fgw", "ridge-counts")
SPOILT = 1_000_003  # seed of what spoils, beside that of the run


@dataclass(frozen=True)
class Task:
    """name: on the command line. title, about: for readers. kind: of inputs. load: the data, split by a seed.

    sizes: numbers of labelled pairs, None for all. full: the size at which every method runs (0: nowhere); at others,
    and where something is spoilt, those of SELECTED do, and at any size psi without an ingredient (`runner.planned`).
    seeds: how many runs of one size; of all pairs one is enough, unless seeds are folds. budget: by number of pairs.
    artefact: a shipped one whose psi was learned from the training graphs. noises: kinds and rates.
    rewritten: inputs are SMILES, each written anew along a random path.
    retrieval: truths are looked for among the test graphs; among: and others, so many in all. decoded: graphs are
    predicted.
    """

    name: str
    title: str
    about: str
    kind: str
    load: Callable[[int, bool], Dataset]
    sizes: tuple[int | None, ...] = (None,)
    full: int | None = None
    seeds: int = 3
    folds: bool = False
    budget: Callable[[int], Budget] = lambda labels: Budget(2_000)
    artifact: str | None = None
    noises: tuple[tuple[str, float], ...] = ()
    rewritten: bool = False
    retrieval: bool = False
    among: int | None = None
    decoded: bool = True

    def asks(self, methods: list[str], size: int | None, spoilt: tuple[str, float] | None) -> list[str]:
        """Which of these methods run at a size, and so spoilt."""
        whole = spoilt is None and size == self.full
        return [name for name in methods if whole or name in SELECTED or name.startswith(ABLATION)]

    def pose(
        self,
        *,
        labels: int | None = None,
        seed: int = 0,
        spoilt: tuple[str, float] | None = None,
        progress: bool = False,
    ) -> tuple[Problem, Exam, dict]:
        """A problem, its exam, and where both come from (counts, digest).

        labels: how many pairs to learn from, drawn by the seed; None: all. spoilt: kind and rate of noise: "typos" in
        the inputs of the exam, all else in the training pairs.
        Raises ValueError for more labels than there are, and for a kind of noise that there is not.
        """
        data = self.load(seed, progress)
        if labels is not None and not 0 < labels <= len(data.train):
            raise ValueError(f"{self.name} has {len(data.train)} labelled pairs to learn from, asked for {labels}")
        train = data.train if labels is None else data.train.sample(labels, seed)
        shuffled = data.validation.sample(len(data.validation))
        tuned = min(VALIDATION, len(train), len(shuffled) // 2)
        validation, calibration = shuffled.take(range(tuned)), shuffled.take(range(tuned, len(shuffled)))
        test, known = data.test.sample(EXAMINED), data.train.graphs
        if self.rewritten:
            train, validation, calibration, test = map(_rewritten, (train, validation, calibration, test))
        if spoilt is not None:
            kind, rate = spoilt
            if kind not in noise.KINDS:
                raise ValueError(f"no noise {kind!r}; there are {', '.join(noise.KINDS)}")
            generator = torch.Generator().manual_seed(SPOILT + seed)
            if noise.spoils_exam(kind):
                test = replace(test, inputs=noise.typos(test.inputs, rate, generator))
            else:
                train = noise.KINDS[kind](train, rate, generator)
                known = train.graphs if kind != "labels" else known  # the graphs are the same, only their inputs not
        unspoilt = known is data.train.graphs
        artifact = self.artifact if unspoilt and _learned_from(self.artifact, data) else None
        problem = Problem(self.name, self.kind, train, validation, known, self.budget(len(train)), artifact)
        about = {
            **data.report(),
            "train_pairs": len(train),
            "validation_pairs": len(validation),
            "examined": len(test),
        }
        if self.kind == "smiles":  # where they are the canonical SMILES, what writes SMILES has but to copy
            about["inputs_canonical"] = sum(map(str.__eq__, test.inputs, test.frame["key"])) / len(test)
        gallery = None
        if self.retrieval:
            gallery = test.graphs if self.among is None else distracted(test, data, self.among)
        return problem, Exam(test, calibration, gallery, torch.arange(len(test)), self.decoded), about


def _rewritten(split: Split) -> Split:
    from elekit.graphs.smiles import randomize_smiles  # RDKit loads here

    return replace(split, inputs=randomize_smiles(split.inputs, seed=SPOILT))


def distracted(test: Split, data: Dataset, count: int) -> Graph:
    """Graphs of the examined pairs, then others, first of the test split, up to `count` graphs that all differ."""
    found, seen = [test.graphs], set(test.frame["key"])
    for split in (data.test, data.train, data.validation):
        rows = []
        for row, key in enumerate(split.frame["key"]):
            if key not in seen and len(seen) < count:
                rows.append(row)
                seen.add(key)
        found.append(split.graphs[rows])
    return type(test.graphs).cat(found)


def _learned_from(artifact: str | None, data: Dataset) -> bool:
    """Whether the psi of a shipped artefact was learned from the training graphs of these data."""
    return (
        artifact is not None
        and artifacts.verify(artifacts.locate(artifact))["about"]["data"]["digest"] == data.digest
    )


def _chebi20(fold: int, progress: bool) -> Dataset:
    from elekit.datasets import chebi20  # RDKit loads here

    return chebi20.load_folds(fold, progress=progress)


def _chebi20_small(fold: int, progress: bool) -> Dataset:
    from elekit.datasets import chebi20

    return chebi20.load_small(fold, progress=progress)


def _chebi20_public(seed: int, progress: bool) -> Dataset:
    from elekit.datasets import chebi20

    return chebi20.load_public(progress=progress)


def _steps(labels: int) -> Budget:
    """As long as about twenty minutes of two cores let the slowest method go, and no longer than it takes."""
    return Budget(1_200 if labels <= 1_000 else 2_000, 128 if labels <= 5_000 else 256)


TASKS = {
    task.name: task
    for task in (
        Task(
            "smi2mol",
            "SMI2Mol on QM9",
            "a SMILES string in, the molecule's graph out",
            "smiles",
            lambda seed, progress: datasets.load("qm9", progress=progress),  # one split, that of the shipped psi
            sizes=(None, 5_000, 1_000, 300, 100),
            full=5_000,
            budget=_steps,
            artifact="qm9",
        ),
        Task(
            "smi2mol-random",
            "SMI2Mol on QM9, SMILES written at random",
            "a SMILES string in, written along a random path, so that no answer can be copied from it; the graph out",
            "smiles",
            lambda seed, progress: datasets.load("qm9", progress=progress),
            sizes=(5_000,),
            budget=_steps,
            artifact="qm9",
            rewritten=True,
        ),
        Task(
            "noise",
            "Noise on molecules7",
            "a description in, the molecule's graph out; training pairs or inputs are spoilt",
            "text",
            lambda seed, progress: datasets.load("molecules7", progress=progress),
            full=0,
            seeds=1,
            budget=lambda labels: Budget(1_400),
            artifact="molecules7",
            noises=(
                *((kind, rate) for kind in ("labels", "outputs", "missing") for rate in (0.1, 0.3)),
                ("typos", 0.02),  # of each character: two or three in a description
                ("typos", 0.1),
            ),
        ),
        Task(
            "coloring",
            "Coloring",
            "an image of coloured regions in, the graph of which regions touch out",
            "image",
            lambda seed, progress: coloring(),  # one data set: psi is learned once, from its training graphs
            budget=lambda labels: Budget(10_000, 64),
        ),
        Task(
            "text2mol",
            "Text2Mol on ChEBI-20",
            "a description in, found among 1,000 different molecules; five folds",
            "text",
            _chebi20,
            seeds=5,  # folds
            folds=True,
            retrieval=True,
            decoded=False,
        ),
        Task(
            "text2mol-small",
            "Text2Mol on ChEBI-20, up to 16 heavy atoms",
            "a description in, the molecule's graph out, and found among 250 different ones; one fold",
            "text",
            _chebi20_small,
            full=0,
            seeds=1,
            budget=_steps,
            retrieval=True,
        ),
        Task(
            "text2mol-public",
            "Text2Mol on ChEBI-20, public split",
            "a description in, found among 10,000 different molecules; kernels of all pairs take 20 GB",
            "text",
            _chebi20_public,
            sizes=(5_000, None),
            full=5_000,
            retrieval=True,
            among=10_000,
            decoded=False,
        ),
    )
}
