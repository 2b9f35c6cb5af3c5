"""The benchmark tasks: data set, splits, sizes and what is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch

from benchmarks import noise as noise_kinds
from benchmarks.coloring import coloring
from benchmarks.methods import ABLATION_PREFIX
from benchmarks.task_data import Budget, TestData, TrainingData
from elekit import datasets
from elekit.datasets import Dataset, Split
from elekit.evaluation.structures import relation_scores, tree_scores
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model import artifact as artifacts

MAX_VALIDATION = 500  # validation pairs; also never more than training pairs
MAX_TEST = 1_000  # test pairs
SELECTED_METHODS = (
    "ele", "ele-graph-head", "part-weights", "environment-weights", "sequence", "nearest-neighbor", "ile-tanimoto",
    "ile-wl", "nnbary-fgw", "ridge-counts", "biaffine", "span-pairs",
)  # fmt: skip
NOISE_SEED = 1_000_003  # added to the seed of the run


@dataclass(frozen=True)
class Task:
    """One benchmark task.

    Args:
        name: Name on the command line.
        title: Name in the report.
        description: What goes in and what comes out.
        input_kind: "smiles", "text" or "image".
        load: Loads the data set, split by a seed.
        sizes: Numbers of labeled pairs; None for all.
        full_size: Size at which every method runs (0: at none). At other sizes, and with noise, only
            `SELECTED_METHODS` run; ablations of psi run on clean pairs at every size.
        seeds: Runs per size. All pairs are run once, unless seeds are folds.
        folds: True if the seed selects a fold.
        budget: Training budget by number of pairs.
        artifact: Shipped artifact whose psi was trained on the training graphs of this data set.
        noise: Noise kinds and rates.
        randomize_smiles: Rewrite each input SMILES along a random path.
        retrieval: Retrieve the true graphs from a gallery, which consists of the test graphs.
        gallery_size: Fill the gallery up to this size with other graphs.
        decode: True if graphs are predicted.
        edit_distance: True if edit distances of the predictions are computed.
        scores: Further metrics of predictions, see `elekit.evaluation.structures`.
    """

    name: str
    title: str
    description: str
    input_kind: str
    load: Callable[[int, bool], Dataset]
    sizes: tuple[int | None, ...] = (None,)
    full_size: int | None = None
    seeds: int = 3
    folds: bool = False
    budget: Callable[[int], Budget] = lambda labels: Budget(2_000)
    artifact: str | None = None
    noise: tuple[tuple[str, float], ...] = ()
    randomize_smiles: bool = False
    retrieval: bool = False
    gallery_size: int | None = None
    decode: bool = True
    edit_distance: bool = True
    scores: Callable[[GraphBatch, GraphBatch], dict[str, float]] | None = None

    def select_methods(self, methods: list[str], size: int | None, noise: tuple[str, float] | None) -> list[str]:
        """The methods, of the given ones, that run at a size and with a noise."""
        every = noise is None and size == self.full_size
        return [name for name in methods if every or name in SELECTED_METHODS or name.startswith(ABLATION_PREFIX)]

    def load_data(
        self,
        *,
        labels: int | None = None,
        seed: int = 0,
        noise: tuple[str, float] | None = None,
        progress: bool = False,
    ) -> tuple[TrainingData, TestData, dict]:
        """Load the data of one run.

        Args:
            labels: Number of labeled training pairs, drawn by the seed; None for all.
            seed: Seed of the split (or the fold) and of all draws.
            noise: Kind and rate of noise. "typos" corrupts the test inputs, every other kind the training pairs.
            progress: Show progress bars.

        Returns:
            Training data, test data, and a report of the data set (counts and digest).

        Raises:
            ValueError: If there are fewer training pairs than `labels`, or if the noise kind is unknown.
        """
        data = self.load(seed, progress)
        if labels is not None and not 0 < labels <= len(data.train):
            raise ValueError(f"{self.name} has {len(data.train)} labeled training pairs, got labels={labels}")
        train = data.train if labels is None else data.train.sample(labels, seed)
        shuffled = data.validation.sample(len(data.validation))
        tuning = min(MAX_VALIDATION, len(train), len(shuffled) // 2)
        validation, calibration = shuffled.take(range(tuning)), shuffled.take(range(tuning, len(shuffled)))
        test, outputs = data.test.sample(MAX_TEST), data.train.graphs
        if self.randomize_smiles:
            train, validation, calibration, test = map(_randomize, (train, validation, calibration, test))
        if noise is not None:
            kind, rate = noise
            if kind not in noise_kinds.NOISE_KINDS:
                raise ValueError(f"unknown noise {kind!r}; known kinds: {', '.join(noise_kinds.NOISE_KINDS)}")
            generator = torch.Generator().manual_seed(NOISE_SEED + seed)
            if noise_kinds.corrupts_test_inputs(kind):
                test = replace(test, inputs=noise_kinds.typos(cast(list[str], test.inputs), rate, generator))
            else:
                train = noise_kinds.NOISE_KINDS[kind](train, rate, generator)
                outputs = train.graphs if kind != "labels" else outputs  # "labels" moves inputs, not graphs
        clean_outputs = outputs is data.train.graphs
        artifact = self.artifact if clean_outputs and _trained_on(self.artifact, data) else None
        budget = self.budget(len(train))
        training_data = TrainingData(self.name, self.input_kind, train, validation, outputs, budget, artifact)
        sizes = {"train_pairs": len(train), "validation_pairs": len(validation), "examined": len(test)}
        report = {**data.report(), **sizes}
        if self.input_kind == "smiles":  # a method that writes SMILES can copy canonical inputs
            report["inputs_canonical"] = sum(map(str.__eq__, cast(list[str], test.inputs), test.frame["key"])) / len(
                test
            )
        gallery = None
        if self.retrieval:
            gallery = test.graphs if self.gallery_size is None else fill_gallery(test, data, self.gallery_size)
        test_data = TestData(
            test, calibration, gallery, torch.arange(len(test)), self.decode, self.edit_distance, self.scores
        )
        return training_data, test_data, report


def _randomize(split: Split) -> Split:
    from elekit.graphs.smiles import randomize_smiles  # RDKit loads here

    return replace(split, inputs=randomize_smiles(cast(list[str], split.inputs), seed=NOISE_SEED))


def fill_gallery(test: Split, data: Dataset, size: int) -> GraphBatch:
    """The test graphs, followed by other distinct graphs of the data set (test split first) up to `size`."""
    parts, seen = [test.graphs], set(test.frame["key"])
    for split in (data.test, data.train, data.validation):
        rows = []
        for row, key in enumerate(split.frame["key"]):
            if key not in seen and len(seen) < size:
                rows.append(row)
                seen.add(key)
        parts.append(split.graphs[rows])
    return PackedGraphs.cat(parts)


def _trained_on(artifact: str | None, data: Dataset) -> bool:
    """True if the psi of a shipped artifact was trained on the training graphs of this data set."""
    return (
        artifact is not None
        and artifacts.verify(artifacts.locate(artifact))["about"]["data"]["digest"] == data.digest
    )


def _load_qm9(seed: int, progress: bool) -> Dataset:
    return datasets.load("qm9", progress=progress)  # one split for all seeds: the split of the shipped psi


def _load_molecules7(seed: int, progress: bool) -> Dataset:
    return datasets.load("molecules7", progress=progress)


def _load_coloring(seed: int, progress: bool) -> Dataset:
    return coloring()  # one data set for all seeds: psi is trained once


def _load_chebi20(fold: int, progress: bool) -> Dataset:
    from benchmarks import chebi20  # RDKit loads here

    return chebi20.load_folds(fold, progress=progress)


def _load_chebi20_small(fold: int, progress: bool) -> Dataset:
    from benchmarks import chebi20

    return chebi20.load_small(fold, progress=progress)


def _load_chebi20_public(seed: int, progress: bool) -> Dataset:
    from benchmarks import chebi20

    return chebi20.load_public(progress=progress)


def _load_faults(seed: int, progress: bool) -> Dataset:
    return datasets.load("faults", progress=progress)


def _load_maintie(level: int, fold: int, progress: bool) -> Dataset:
    return datasets.load("maintie", level=level, seed=fold, progress=progress)


def _load_ud(seed: int, progress: bool) -> Dataset:
    return datasets.load("ud", progress=progress)  # the test split is a file of its own


def _steps(labels: int) -> Budget:
    """What the slowest method can train in about 20 minutes on two cores."""
    return Budget(1_200 if labels <= 1_000 else 2_000, 128 if labels <= 5_000 else 256)


TASKS = {
    task.name: task
    for task in (
        Task(
            "smi2mol",
            "SMI2Mol on QM9",
            "Input: a SMILES string. Output: the graph of the molecule",
            "smiles",
            _load_qm9,
            sizes=(None, 5_000, 1_000, 300, 100),
            full_size=5_000,
            budget=_steps,
            artifact="qm9",
        ),
        Task(
            "smi2mol-random",
            "SMI2Mol on QM9, random SMILES",
            "Input: a SMILES string written along a random path, so that copying it is no answer. Output: the "
            "graph of the molecule",
            "smiles",
            _load_qm9,
            sizes=(5_000,),
            budget=_steps,
            artifact="qm9",
            randomize_smiles=True,
        ),
        Task(
            "noise",
            "Noise on molecules7",
            "Input: a text description. Output: the graph of the molecule. Training pairs or test "
            "inputs are corrupted",
            "text",
            _load_molecules7,
            full_size=0,
            seeds=1,
            budget=lambda labels: Budget(1_400),
            artifact="molecules7",
            noise=(
                *((kind, rate) for kind in ("labels", "outputs", "missing") for rate in (0.1, 0.3)),
                ("typos", 0.02),  # per character: two or three in a description
                ("typos", 0.1),
            ),
        ),
        Task(
            "coloring",
            "Coloring",
            "Input: an image of colored regions. Output: the graph of adjacent regions",
            "image",
            _load_coloring,
            budget=lambda labels: Budget(10_000, 64),
        ),
        Task(
            "text2mol",
            "Text2Mol on ChEBI-20",
            "Input: a text description. The molecule is retrieved from 1,000 distinct molecules; five folds",
            "text",
            _load_chebi20,
            seeds=5,  # folds
            folds=True,
            retrieval=True,
            decode=False,
        ),
        Task(
            "text2mol-small",
            "Text2Mol on ChEBI-20, up to 16 heavy atoms",
            "Input: a text description. Output: the graph of the molecule, which is also retrieved from 250 distinct "
            "molecules; one fold",
            "text",
            _load_chebi20_small,
            full_size=0,
            seeds=1,
            budget=_steps,
            retrieval=True,
        ),
        Task(
            "text2mol-public",
            "Text2Mol on ChEBI-20, public split",
            "Input: a text description. The molecule is retrieved from 10,000 distinct molecules. Kernels of all "
            "pairs take 20 GB",
            "text",
            _load_chebi20_public,
            sizes=(5_000, None),
            full_size=5_000,
            retrieval=True,
            gallery_size=10_000,
            decode=False,
        ),
        Task(
            "faults",
            "Reports of faults",
            "Input: a report of an operator of a packaging line. Output: the directed graph of components, faults, "
            "causes and measures. With noise, test inputs have typos",
            "text",
            _load_faults,
            full_size=0,
            budget=lambda labels: Budget(1_200, 64),
            noise=(("typos", 0.02),),
        ),
        *(
            Task(
                f"maintie-{level}",
                f"MaintIE, level {level}",
                "Input: a work order of maintenance. Output: the directed graph of its entities and relations; "
                f"entity types at level {level} of their hierarchy, five folds",
                "text",
                partial(_load_maintie, level),
                full_size=0,
                seeds=5,  # folds
                folds=True,
                budget=lambda labels: Budget(800, 64),
                scores=relation_scores,
            )
            for level in (1, 2)
        ),
        Task(
            "ud",
            "UD English-ATIS",
            "Input: a question of a traveler. Output: its dependency tree; a node is a word with its part of speech",
            "text",
            _load_ud,
            full_size=0,
            budget=lambda labels: Budget(1_000, 64),
            edit_distance=False,
            scores=tree_scores,
        ),
    )
}
