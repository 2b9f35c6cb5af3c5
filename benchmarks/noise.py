"""Training pairs spoilt on purpose, and inputs with typos: how fast does a method get worse?"""

from dataclasses import replace

import torch

from elekit.datasets import Split
from elekit.graphs import augment
from elekit.graphs.graph import Graph

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def labels(split: Split, rate: float, generator: torch.Generator) -> Split:
    """A share `rate` of the graphs go round among themselves: their inputs now belong to other graphs."""
    n = len(split)
    chosen = torch.randperm(n, generator=generator)[: round(rate * n)]
    order = torch.arange(n)
    order[chosen] = chosen.roll(1)
    return replace(split, graphs=split.graphs[order])


def outputs(split: Split, rate: float, generator: torch.Generator) -> Split:
    """A share `rate` of the graphs are one or two random edits away from the true ones."""
    chosen = torch.rand(len(split), generator=generator) < rate
    counts = torch.randint(1, 3, (len(split),), generator=generator) * chosen
    return replace(split, graphs=augment.random_edits(split.graphs, counts, generator))


def missing(split: Split, rate: float, generator: torch.Generator) -> Split:
    """Each edge is lost with probability `rate`, then each node with half of it (with its edges); one node stays."""
    nodes, edges = split.graphs.labels()
    lost = (torch.rand(edges.shape, generator=generator) < rate).triu(1)
    edges = edges.masked_fill(lost | lost.transpose(1, 2), 0)
    gone = torch.rand(nodes.shape, generator=generator) < rate / 2
    gone &= ((nodes > 0) & ~gone).any(1, keepdim=True)  # a graph that would lose all loses none
    nodes = nodes.masked_fill(gone, 0)
    edges = edges.masked_fill(gone[:, :, None] | gone[:, None, :], 0)
    return replace(split, graphs=Graph.from_labels(nodes, edges, split.graphs.vocabulary))


def typos(texts: list[str], rate: float, generator: torch.Generator) -> list[str]:
    """Each character is lost, doubled, swapped with the next one or replaced by a letter, with probability `rate`."""
    spoilt = []
    for text in texts:
        hit = torch.rand(len(text), generator=generator) < rate
        kind = torch.randint(4, (len(text),), generator=generator).tolist()
        letter = torch.randint(len(LETTERS), (len(text),), generator=generator).tolist()
        made, i = [], 0
        while i < len(text):
            one = text[i]
            if not hit[i]:
                made.append(one)
            elif kind[i] == 1:
                made.append(2 * one)
            elif kind[i] == 2 and i + 1 < len(text):
                made.append(text[i + 1] + one)
                i += 1
            elif kind[i] == 3:
                made.append(LETTERS[letter[i]])
            i += 1
        spoilt.append("".join(made))
    return spoilt


KINDS = {"labels": labels, "outputs": outputs, "missing": missing, "typos": typos}


def spoils_exam(kind: str) -> bool:
    """Whether noise of this kind spoils the inputs of the exam; all else spoils the training pairs."""
    return kind == "typos"
