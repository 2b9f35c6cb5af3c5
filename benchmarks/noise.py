"""Noise: corrupted training pairs, and test inputs with typos."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from elekit.datasets import Split
from elekit.graphs import augment
from elekit.graphs.graph import Graph
from elekit.graphs.packed import PackedGraphs

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def labels(split: Split, rate: float, generator: torch.Generator) -> Split:
    """Shift a share `rate` of the graphs among each other, so that their inputs belong to other graphs."""
    n = len(split)
    chosen = torch.randperm(n, generator=generator)[: round(rate * n)]
    order = torch.arange(n)
    order[chosen] = chosen.roll(1)
    return replace(split, graphs=split.graphs[order])


def outputs(split: Split, rate: float, generator: torch.Generator) -> Split:
    """Apply one or two random edits to a share `rate` of the graphs."""
    chosen = torch.rand(len(split), generator=generator) < rate
    counts = torch.randint(1, 3, (len(split),), generator=generator) * chosen
    return replace(split, graphs=PackedGraphs.of(augment.random_edits(split.graphs.dense(), counts, generator)))


def missing(split: Split, rate: float, generator: torch.Generator) -> Split:
    """Remove each edge with probability `rate`, then each node (with its edges) with half of it; keep one node."""
    nodes, edges = split.graphs.labels()
    lost = (torch.rand(edges.shape, generator=generator) < rate).triu(1)
    edges = edges.masked_fill(lost | lost.transpose(1, 2), 0)
    gone = torch.rand(nodes.shape, generator=generator) < rate / 2
    gone &= ((nodes > 0) & ~gone).any(1, keepdim=True)  # a graph that would lose every node keeps all
    nodes = nodes.masked_fill(gone, 0)
    edges = edges.masked_fill(gone[:, :, None] | gone[:, None, :], 0)
    return replace(split, graphs=PackedGraphs.of(Graph.from_labels(nodes, edges, split.graphs.vocabulary)))


def typos(texts: list[str], rate: float, generator: torch.Generator) -> list[str]:
    """Delete, double, swap or replace each character with probability `rate`."""
    corrupted = []
    for text in texts:
        hit = torch.rand(len(text), generator=generator) < rate
        kind = torch.randint(4, (len(text),), generator=generator).tolist()
        letter = torch.randint(len(LETTERS), (len(text),), generator=generator).tolist()
        characters, i = [], 0
        while i < len(text):
            character = text[i]
            if not hit[i]:
                characters.append(character)
            elif kind[i] == 1:
                characters.append(2 * character)
            elif kind[i] == 2 and i + 1 < len(text):
                characters.append(text[i + 1] + character)
                i += 1
            elif kind[i] == 3:
                characters.append(LETTERS[letter[i]])
            i += 1
        corrupted.append("".join(characters))
    return corrupted


NOISE_KINDS: dict[str, Callable[..., Any]] = {
    "labels": labels,
    "outputs": outputs,
    "missing": missing,
    "typos": typos,
}


def corrupts_test_inputs(kind: str) -> bool:
    """True if noise of this kind corrupts the test inputs; every other kind corrupts the training pairs."""
    return kind == "typos"
