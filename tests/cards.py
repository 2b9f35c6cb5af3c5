"""Cards that the tests share: of a small untrained loss on molecules, and of one whose labels are markup."""

import contextlib
import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import random_vertices

from elekit import card, datasets
from elekit.card import cases, comparisons, context, measure, predictions
from elekit.datasets.splits import Dataset, Split
from elekit.graphs.graph import GraphVocabulary
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.vector import VectorBackbone

HOSTILE = "<script>alert(1)</script>"
SMALL = {
    (predictions, "JUDGED"): 24, (predictions, "TIMED"): 4, (context, "SAMPLES"): 6, (context, "PAIRS"): 12,
    (comparisons, "EXPLAINED"): 5, (cases, "DECODED"): 6, (cases, "ITERATIONS"): 4, (cases, "KNOWN"): 12,
    (measure, "REWRITTEN"): 20, (cases, "APPLIED"): 1,
}  # fmt: skip
ALL_DECODERS = predictions.decoders


def untrained(vocabulary: GraphVocabulary, seed: int = 0) -> GraphEmbedding:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=12, rounds=2, dim=16)).requires_grad_(False).eval()


def reads_vectors(features: int, dim: int = 16) -> SurrogateRegressor:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return SurrogateRegressor(VectorBackbone(features, BackboneConfig("vector", width=8), dim), dim).eval()


@contextlib.contextmanager
def few():
    """Few of everything that is asked."""
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in SMALL.items():
            patch.setattr(module, name, value)
        patch.setattr(
            predictions, "decoders", lambda known: dict(list(ALL_DECODERS(known).items())[:: 4 if known else 3])
        )
        yield patch


@functools.cache
def molecules() -> Dataset:
    whole = datasets.load("molecules7")
    small = replace(whole, train=whole.train.take(range(70)), validation=whole.validation.take(range(5)))
    return replace(small, test=whole.test.take(range(30)))


def artifact(seed: int = 0) -> artifacts.Artifact:
    psi = untrained(molecules().vocabulary, seed)
    psi.typical = molecules().train.graphs.average()
    return artifacts.Artifact("mine & <b>yours</b>", psi, about={"data": molecules().report(), "seed": 0})


@functools.cache
def made() -> card.Card:
    """A card of a loss that lies in a folder, with one repeat of its training."""
    with few(), tempfile.TemporaryDirectory() as folder:
        artifacts.save(artifact(), folder)
        return card.make(Path(folder), molecules(), repeats={"seed-1": artifact(seed=1)})


@functools.cache
def hostile() -> card.Card:
    """Graphs that are no molecules, labels that are markup, inputs that are vectors, no repeats."""
    names = GraphVocabulary((HOSTILE, '"><img src=x onerror=alert(1)>', "</script> to b"), ("<!--", "& to "), 5)
    graphs = random_vertices(names, 90, torch.Generator().manual_seed(0))
    inputs = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))

    def split(start: int, end: int) -> Split:
        keys = pd.DataFrame({"key": [str(row) for row in range(start, end)], "row": range(start, end)})
        return Split(inputs[start:end], graphs[start:end], keys)

    parts = [split(*ends) for ends in ((0, 60), (60, 65), (65, 90))]
    skipped = pd.DataFrame({"row": [90], "value": [HOSTILE], "reason": [f"refused {HOSTILE}"]})
    data = Dataset(f"table {HOSTILE}", names, *parts, skipped, datasets.splits.digest(parts))
    about = {"data": data.report(), "command": HOSTILE, "trained": {"by": HOSTILE, "at": "2026-01-01"}}
    with few():
        return card.make(
            artifacts.Artifact(f"loss {HOSTILE}", untrained(names), {HOSTILE: reads_vectors(3)}, about), data
        )
