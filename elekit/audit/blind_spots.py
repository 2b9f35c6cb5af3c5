"""Different graphs that a loss hardly separates, found by search, and equal graphs that it separates."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad

from elekit.audit.patterns import rewrite
from elekit.graphs import Graph, augment
from elekit.graphs.budget import Clock
from elekit.graphs.edit_distance import edit_distance, isomorphic
from elekit.graphs.edits import all_edits
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.differences import describe_difference
from elekit.inspect.edit_costs import edit_costs
from elekit.inspect.edit_scan import valid
from elekit.inspect.neighbors import distinct, nearest_other
from elekit.model.loss import Psi, paired_distance, points_of

BOUND = 0.05  # of a typical single edit; of 60,000 single edits under ten clean losses not one cost less
PRICED = 60  # graphs for the typical cost
MAX_NEAREST = 2_000  # graphs among which nearest pairs are searched
WIDTH, PER_START = 4, 4  # graphs kept per step of the search, pairs from one start
MAX_EDITS = 20_000  # of a step of the search; of more, some are drawn
TIMEOUT = 1.0  # seconds per pair for the exact edit distance
TRIES = 3  # random node orders
MAX_KEKULE = 40  # molecules whose Kekule forms are compared


class Variation(StrEnum):
    """How two forms of the same graph differ."""

    NODE_ORDER = "node order"
    PADDING = "padding"
    REPEATED = "repeated"
    BATCH = "batch"
    KEKULE_FORM = "Kekule form"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of graphs, and a table with a row for each; the function that returns them lists its columns."""

    table: pd.DataFrame
    graphs: Graph
    others: Graph

    def groups(self) -> pd.DataFrame:
        """Pairs of `blind_spots` by what differs, largest group first: differs, pairs, medians of loss and edits."""
        found = self.table.rename_axis("example").reset_index().groupby("differs", sort=False)
        counted = found.agg(pairs=("loss", "size"), loss=("loss", "median"), edits=("edits", "median"))
        counted["example"] = found["example"].first()
        return counted.reset_index().sort_values("pairs", ascending=False, kind="stable", ignore_index=True)


def blind_spots(
    psi: Psi,
    graphs: GraphBatch,
    *,
    bound: float | None = None,
    starts: int = 24,
    depth: int = 4,
    seed: int = 0,
    budget: float | Clock | None = None,
    progress: bool | None = None,
) -> Pairs:
    """Pairs of different graphs that a loss hardly separates.

    Compares each graph with its nearest other graph, and runs a beam search over single and paired edits (first also
    over rewritten edges) for valid graphs near some graphs. Keeps those with most edits and one with fewest.

    Args:
        psi: Maps graphs to unit vectors.
        graphs: At least 2 graphs; of more than 2,000 a sample is compared.
        bound: Largest loss of a pair, in (0, 4]; None for 5 % of the cost of a typical single edit.
        starts: Graphs from which the search starts.
        depth: Steps of the search.
        seed: Seed of every random choice.
        budget: Seconds for the whole call; then the search has fewer starts, and fewer edit distances are proven.
        progress: As in `Clock.track`.

    Returns:
        Non-isomorphic pairs, with columns differs (without positions), edits (edit distance), proven, path (shortest
        list of edits), loss, found ("data" or "search"), graph (row) and other (row; -1 for one from the search).

    Raises:
        ValueError: If there are fewer than 2 graphs, or the bound is not positive.
    """
    if len(graphs) < 2:
        raise ValueError(f"blind_spots needs at least 2 graphs, got {len(graphs)}")
    graphs, generator = PackedGraphs.of(graphs), torch.Generator().manual_seed(seed)
    order = torch.randperm(len(graphs), generator=generator)
    if bound is not None and not bound > 0:
        raise ValueError(f"bound must be positive, got {bound}")
    columns = ["differs", "edits", "proven", "path", "loss", "found", "graph", "other"]
    with Clock.of(budget) as clock:
        if bound is None:
            some = graphs[order[:PRICED]]
            priced = edit_costs(psi, some, samples=24, seed=seed, budget=clock.part(1 / 4), progress=False)
            bound = BOUND * float(priced.summary()["median"].median())
        found = _nearest_pairs(psi, graphs, order[:MAX_NEAREST], bound)
        for row in clock.part(1 / 2).track(order[:starts].tolist(), "blind spots", progress=progress):
            others = _search(psi, graphs[row].dense(), bound, depth, generator, clock)
            found += [(row, -1, graphs[row].dense(), other) for other in others]
        if not found:
            return Pairs(pd.DataFrame(columns=columns), graphs[:0].dense(), graphs[:0].dense())
        rows, other_rows, *sides = zip(*found)
        left, right = map(Graph.cat, sides)
        edits = edit_distance(left, right, timeout=TIMEOUT, budget=clock, progress=progress)
    paths = edits.paths
    differs = [describe_difference(path, a, b) for path, a, b in zip(paths, left, right)]
    descriptions = ["; ".join(step.describe(graphs.vocabulary) for step in path) for path in paths]
    loss = paired_distance(points_of(psi, left), points_of(psi, right)).numpy()
    origin = ["data" if other >= 0 else "search" for other in other_rows]
    values = (
        differs,
        edits.distance.long().numpy(),
        edits.proven.numpy(),
        descriptions,
        loss,
        origin,
        rows,
        other_rows,
    )
    table = pd.DataFrame(dict(zip(columns, values)))
    table = table.sort_values(["edits", "loss"], ascending=[False, True], kind="stable")
    kept = torch.tensor(table.index.to_numpy())
    return Pairs(table.reset_index(drop=True), left[kept], right[kept])


def _nearest_pairs(psi: Psi, graphs: GraphBatch, rows: Tensor, bound: float) -> list[tuple[int, int, Graph, Graph]]:
    """(row, row, graph, graph) of graphs whose nearest different graph lies within the bound; each pair once."""
    rows = rows[distinct(graphs[rows])]
    points = points_of(psi, graphs[rows])
    best = nearest_other(points)
    fine = (paired_distance(points, points[best]) <= bound).nonzero()[:, 0]
    pairs = {tuple(sorted((i, int(best[i])))) for i in fine.tolist()}
    both = [(int(rows[i]), int(rows[j])) for i, j in sorted(pairs)]
    return [(i, j, graphs[i].dense(), graphs[j].dense()) for i, j in both]


def _search(
    psi: Psi, start: Graph, bound: float, depth: int, generator: torch.Generator, clock: Clock
) -> list[Graph]:
    """Valid graphs within the bound of one, from a beam search: those with the most edits, one with the fewest."""
    vocabulary, own = start.vocabulary, points_of(psi, start)
    beam, seen = start, set(graph_hashes(start, ROUNDS)[:, -1].tolist())
    found: list[Graph] = []
    itself = next(iter(seen))
    for step in range(depth):
        if clock.over:
            break
        edits = all_edits(beam)
        if len(edits) > MAX_EDITS:
            edits = edits[torch.randperm(len(edits), generator=generator)[:MAX_EDITS]]
        fits = (edits.valence_violation(*beam.labels(), vocabulary) == 0).nonzero()[:, 0]
        made = edits[fits].results(beam)
        if step == 0:
            made = PackedGraphs.cat([made, rewrite(start, generator)[0]])
        fresh: dict[int, int] = {}
        for i, name in enumerate(graph_hashes(made, ROUNDS)[:, -1].tolist()):
            if name not in seen or (name == itself and not isomorphic(made[i].dense(), start)):
                fresh.setdefault(name, i)
        if not fresh:
            break
        seen |= fresh.keys()
        made = made[torch.tensor(list(fresh.values()))]
        loss = paired_distance(points_of(psi, made), own)
        nearest = loss.argsort()
        found = list(made[nearest[: int((loss <= bound).sum())]][:PER_START].dense()) + found  # most edits first
        beam = made[nearest[:WIDTH]].dense()
    if not found:
        return []
    chosen = Graph.cat(found[: PER_START - 1] + found[PER_START - 1 :][-1:])
    return list(chosen[valid(chosen) & ~isomorphic(chosen, Graph.cat([start] * len(chosen)))])


def invariance_gaps(
    psi: Psi, graphs: GraphBatch, *, samples: int = 100, seed: int = 0, budget: float | Clock | None = None
) -> Pairs:
    """The loss between two forms of the same graph, which should be 0.

    Args:
        psi: Maps graphs to unit vectors.
        graphs: Any batch.
        samples: Graphs that are drawn.
        seed: Seed of every random choice.
        budget: Seconds for the whole call; then some variations are missing.

    Returns:
        Pairs with columns variation, graph (row) and loss (largest over several tries). Variations: "node order" (4
        orders), "padding" (two more slots; missing for a psi of fixed size), "repeated" (evaluated twice), "batch"
        (evaluated alone) and "Kekule form" (other double bonds in aromatic rings; up to 40 molecules).
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(graphs), generator=generator)[:samples]
    some = graphs[rows].dense().detach().rounded()
    own = points_of(psi, some)
    found: list[tuple[pd.DataFrame, Graph, Graph]] = []

    def variations() -> Iterator[tuple[Variation, Tensor, Graph, Tensor]]:
        """What varies, the graphs that do, their other forms, and the points before."""
        every = torch.arange(len(some))
        reverse = torch.arange(some.nodes.shape[1]).flip(0)
        for others in [some.permuted(reverse)] + [augment.shuffled(some, generator) for _ in range(TRIES)]:
            yield Variation.NODE_ORDER, every, others, own
        yield Variation.REPEATED, every, some, own
        alone = every[:8]
        yield Variation.BATCH, alone, some[alone], torch.cat([points_of(psi, graph) for graph in some[alone]])
        yield Variation.PADDING, every, _padded(some, 2), own
        which, forms = _kekule_forms(some)
        if len(which):
            yield Variation.KEKULE_FORM, which, forms, own[which]

    clock = Clock.of(budget)
    for variation, which, others, before in variations():
        if found and clock.over:
            break
        # a psi of fixed size may raise anything where graphs have more slots
        with contextlib.suppress(*([Exception] if variation is Variation.PADDING else [])):
            loss = paired_distance(before, points_of(psi, others)).numpy()
            table = pd.DataFrame({"variation": str(variation), "graph": rows[which].numpy(), "loss": loss})
            found.append((table, some[which], others))
    table = pd.concat([t for t, *_ in found], ignore_index=True)
    worst = table.sort_values("loss", ascending=False, kind="stable").drop_duplicates(["variation", "graph"])
    left, right = ([graph for part in found for graph in part[side]] for side in (1, 2))
    slots = some.nodes.shape[1] + 2
    padded = ([_padded(side[i], slots - side[i].nodes.shape[1]) for i in worst.index] for side in (left, right))
    return Pairs(worst.reset_index(drop=True), *map(Graph.cat, padded))


def _padded(graph: Graph, extra: int) -> Graph:
    nodes, edges = graph.labels()
    return Graph.from_labels(pad(nodes, (0, extra)), pad(edges, (0, extra, 0, extra)), graph.vocabulary)


def _kekule_forms(graphs: Graph) -> tuple[Tensor, Graph]:
    """Rows of graphs with several Kekule forms, and one other form of each."""
    from elekit.graphs.smiles import is_molecular, kekule_forms, to_smiles

    found: list[tuple[int, Graph]] = []
    for row, smiles in enumerate(to_smiles(graphs) if is_molecular(graphs.vocabulary) else []):
        if len(found) == MAX_KEKULE:
            break
        if smiles is None or not re.search("[cnops]", smiles):  # aromatic atoms are lower case
            continue
        try:
            forms = kekule_forms(smiles, graphs.vocabulary)
        except ValueError:  # RDKit gives it charges that the vocabulary lacks
            continue
        others = [form for form in forms if not isomorphic(form, graphs[row])]
        found += [(row, other) for other in others[:1]]
    if not found:
        return torch.empty(0, dtype=torch.long), graphs[:0]
    return torch.tensor([row for row, _ in found]), Graph.cat([form for _, form in found])
