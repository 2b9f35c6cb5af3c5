"""Is there a place that unrelated graphs are pulled to, and what do they have in common?"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elekit.graph import Graph
from elekit.inspect.findings.answers import Answers
from elekit.inspect.findings.basis import reference
from elekit.inspect.findings.finding import Finding, figure, percent
from elekit.inspect.patterns import held_patterns, pattern_name, ring_sizes

SAMPLE = 2_500  # edited graphs looked at, besides the others
ORIGINS = 6  # graphs that those of a place must come from
PULLED = 0.13  # loss between graphs that share a trait / between any; clean 0.23 and more
OF_USUAL = 0.2  # the same, by what the reference says
RINGS = (3, 4, 5, 6)


@dataclass(frozen=True, eq=False)
class Shared:
    """Traits that graphs may share. names: in words after "that". holds: (traits, graphs) bool. origin: (graphs,)."""

    graphs: Graph
    names: list[str]
    labels: list[tuple[str, ...]]
    holds: Tensor
    origin: Tensor
    rows: Tensor


def shared_traits(answers: Answers) -> Shared:
    """Graphs, some of their edits and the planted ones, with small patterns, label counts, ring sizes and sizes."""
    basis = answers.basis
    generator = np.random.default_rng(0)
    whole = np.flatnonzero(basis.sample.table["connected"].to_numpy())
    rows = torch.from_numpy(generator.permutation(whole)[:SAMPLE])
    graphs = Graph.cat([basis.graphs, basis.sample.results[rows], basis.planted])
    origin = torch.cat([torch.arange(len(basis.graphs)), basis.sample.edits.row[rows], basis.host])
    nodes, edges = (labels.long() for labels in graphs.labels())
    names, size, rings = graphs.vocabulary, (nodes > 0).sum(1), ring_sizes(edges, max(RINGS))
    found = [("hold a ring", (), rings.any(1)), ("hold no ring", (), ~rings.any(1))]
    found += [(f"hold a ring of {s} nodes", (), rings[:, s]) for s in RINGS]
    for s in range(int(size.min()), int(size.max())):
        found += [(f"have at most {s} nodes", (), size <= s), (f"have more than {s} nodes", (), size > s)]
    for k, label in enumerate(names.node_labels, start=1):
        count = (nodes == k).sum(1)
        found += [(f"contain {label}", (label,), count >= 1), (f"contain two {label}", (label, label), count >= 2)]
    for r, label in enumerate(names.edge_labels, start=1):
        found += [(f"contain an edge {label}", (label,), (edges == r).flatten(1).any(1))]
    linked = edges > 0
    for (a, one), (b, other) in itertools.combinations_with_replacement(enumerate(names.node_labels, start=1), 2):
        beside = ((nodes[:, :, None] == a) & linked & (nodes[:, None, :] == b)).flatten(1).any(1)
        found += [(f"contain {one} next to {other}", (one, other), beside)]
    for pattern, held in held_patterns(graphs):
        parts = [names.node_labels[k - 1] if i % 2 == 0 else names.edge_labels[k - 1] for i, k in enumerate(pattern)]
        found += [(f"contain {pattern_name(pattern, names)}", tuple(parts), held)]
    words, labels, holds = zip(*found)
    return Shared(graphs, list(words), list(labels), torch.stack(holds), origin, rows)


def pulled(answers: Answers, heavy: list[str]) -> tuple[list[Finding], np.ndarray]:
    """Traits whose graphs lie at one place though nothing else relates them; and (E,) edits that stay at such a place.

    heavy: labels that are known to outweigh others, and so pull together what holds several of them, if not all that
    hold one.
    """
    shared, basis, found = shared_traits(answers), answers.basis, []
    n = len(basis.graphs)
    points = torch.cat([answers.own, answers.results[shared.rows], answers.planted])
    usual_points = torch.cat([basis.reference[:n], basis.reference[n:][shared.rows], reference(basis.planted)])
    own = basis.reference[:n]
    usual_far = float(2 - 2 * (own.sum(0).square().sum() - n) / max(1, n * (n - 1)))
    explained, left = np.zeros(len(basis.sample.edits), dtype=bool), torch.ones(len(points), dtype=torch.bool)
    allowed = torch.tensor([len(labels) == 1 or not set(labels) & set(heavy) for labels in shared.labels])
    while len(found) < 3:
        holds = shared.holds & left
        within = contraction(points, shared.origin, holds).clip(0) / answers.far
        usual = contraction(usual_points, shared.origin, holds) / max(usual_far, 1e-9)
        fine = (within < PULLED) & (within < OF_USUAL * usual) & allowed.numpy()
        if not fine.any():
            break
        count = holds.sum(1).numpy()
        best = int(np.where(fine, count, 0).argmax())  # the most general of the traits
        some = holds[best]
        says = (
            f"An attractor, as a backdoor would be: graphs that {shared.names[best]} are all pulled to one place. "
            f"{int(some.sum())} of them, made from {len(shared.origin[some].unique())} different graphs, lie "
            f"{figure(within[best] * answers.far)} apart on average, where unrelated graphs lie {figure(answers.far)} apart "
            f"({percent(within[best])}; about 50 % is usual for graphs that share a motif). Whatever else they are made of "
            "hardly matters."
        )
        numbers = {"within": float(within[best] * answers.far), "far": answers.far, "graphs": int(some.sum())}
        trait = shared.names[best]
        found.append(
            Finding(
                f"attractor: {trait}",
                says,
                strength=1 - float(within[best]),
                figure=numbers,
                evidence=shared.graphs[some],
            )
        )
        centre = torch.nn.functional.normalize(points[some].mean(0), dim=0)
        near = 2 - 2 * answers.points @ centre < PULLED * answers.far
        explained |= (near[:n][basis.sample.edits.row] & near[n : n + len(explained)]).numpy()
        left &= ~some
    return found, explained


def contraction(points: Tensor, origin: Tensor, holds: Tensor) -> np.ndarray:
    """(traits,) mean loss between two graphs that hold a trait and come from different ones; nan of too few of these."""
    found = np.full(len(holds), np.nan)
    for t, some in enumerate(holds):
        rows = some.nonzero()[:, 0]
        _, which, count = origin[rows].unique(return_inverse=True, return_counts=True)
        if len(count) < ORIGINS:
            continue
        sums = points.new_zeros(len(count), points.shape[1]).index_add_(0, which, points[rows])
        cosine = (sums.sum(0).square().sum() - sums.square().sum()) / (len(rows) ** 2 - count.square().sum())
        found[t] = 2 - 2 * float(cosine)
    return found
