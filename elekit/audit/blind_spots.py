"""Different graphs that a loss hardly separates, found by search, and equal graphs that it separates."""

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.audit.patterns import rewrite
from elekit.graphs import augment
from elekit.graphs.edit_distance import edit_distance, edit_steps, isomorphic
from elekit.graphs.edits import all_edits
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.differences import difference
from elekit.inspect.edit_costs import edit_costs
from elekit.inspect.edit_scan import valid
from elekit.inspect.neighbors import distinct, nearest_other
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

BOUND = 0.05  # of a typical single edit; of 60,000 single edits under ten clean losses not one cost less
PRICED = 60  # graphs on which the typical price is measured
NEAREST = 2_000  # graphs among which nearest pairs are looked for
OF_A_START = 4  # pairs that one start of the search may give
BLOCK = 512
TRIES = 3  # node orders of each graph
KEKULE = 40  # molecules whose Kekule forms are compared


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of graphs; row i of everything is one pair.

    table: see the function that made it. graphs, others: the two sides.
    """

    table: "pd.DataFrame"
    graphs: Graph
    others: Graph

    def groups(self) -> "pd.DataFrame":
        """Pairs by what differs, most first: differs, pairs, loss (median), edits (median), example (a row)."""
        found = self.table.rename_axis("example").reset_index().groupby("differs", sort=False)
        counted = found.agg(pairs=("loss", "size"), loss=("loss", "median"), edits=("edits", "median"))
        counted["example"] = found["example"].first()
        return counted.reset_index().sort_values("pairs", ascending=False, kind="stable", ignore_index=True)


def blind_spots(
    psi: Psi,
    graphs: Graph,
    *,
    bound: float | None = None,
    starts: int = 24,
    width: int = 4,
    depth: int = 4,
    timeout: float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> Pairs:
    """Pairs of different graphs that lie within `bound` of each other: the loss hardly knows one from the other.

    Among the data: graphs whose nearest other one lies within the bound (of more than 2,000 a sample). By search:
    from `starts` of the graphs a beam of `width` goes over all single and paired edits, at first also over edges
    rewritten with both their ends, to the graphs that lie nearest to the start, `depth` times; of those within the
    bound the ones with the most edits are kept, and one with the fewest. Only valid graphs count.
    bound: loss in (0, 4]; None = 5 % of what a typical single edit costs here.

    table: differs (what does, in words without positions), edits (exact edit distance), proven, path (a shortest list
    of edits), loss, found ("data" or "search"), graph (row of the start), other (row, -1 where it was searched).
    No pair is isomorphic. Raises ValueError for fewer than 2 graphs and a bound that is not above 0.
    """
    import pandas as pd

    if len(graphs) < 2:
        raise ValueError(f"blind spots are looked for among at least 2 graphs, got {len(graphs)}")
    graphs, generator = graphs.detach().rounded(), torch.Generator().manual_seed(seed)
    order = torch.randperm(len(graphs), generator=generator)
    if bound is None:
        some = graphs[order[:PRICED]]
        bound = BOUND * float(edit_costs(psi, some, samples=24, seed=seed).summary()["median"].median())
    elif not bound > 0:
        raise ValueError(f"the bound is a loss above 0, got {bound}")
    found = _nearest_pairs(psi, graphs, order[:NEAREST], bound)
    for row in tqdm(order[:starts].tolist(), desc="blind spots", unit="start", disable=not progress):
        found += [
            (row, -1, graphs[row], other) for other in _search(psi, graphs[row], bound, width, depth, generator)
        ]
    columns = ["differs", "edits", "proven", "path", "loss", "found", "graph", "other"]
    if not found:
        return Pairs(pd.DataFrame(columns=columns), graphs[:0], graphs[:0])
    left, right = (Graph.cat([pair[side] for pair in found]) for side in (2, 3))
    distance = edit_distance(left, right, timeout=timeout)
    paths = [edit_steps(a, b, timeout=timeout) for a, b in zip(left, right)]
    table = pd.DataFrame(
        {
            "differs": [difference(path, a, b) for path, a, b in zip(paths, left, right)],
            "edits": distance.distance.long().numpy(),
            "proven": distance.proven.numpy(),
            "path": ["; ".join(step.describe(graphs.vocabulary) for step in path) for path in paths],
            "loss": paired_distance(points_of(psi, left), points_of(psi, right)).numpy(),
            "found": ["data" if other >= 0 else "search" for _, other, *_ in found],
            "graph": [row for row, *_ in found],
            "other": [other for _, other, *_ in found],
        },
        columns=columns,
    )
    table = table.sort_values(["edits", "loss"], ascending=[False, True], kind="stable")
    rows = torch.tensor(table.index.to_numpy())
    return Pairs(table.reset_index(drop=True), left[rows], right[rows])


def _nearest_pairs(psi: Psi, graphs: Graph, rows: Tensor, bound: float) -> list:
    """(row, row, graph, graph) of graphs whose nearest different one lies within the bound; each pair once."""
    rows = rows[distinct(graphs[rows])]
    points = points_of(psi, graphs[rows])
    best = nearest_other(points)
    fine = (paired_distance(points, points[best]) <= bound).nonzero()[:, 0]
    pairs = {tuple(sorted((i, int(best[i])))) for i in fine.tolist()}
    both = [(int(rows[i]), int(rows[j])) for i, j in sorted(pairs)]
    return [(i, j, graphs[i], graphs[j]) for i, j in both]


def _search(psi: Psi, start: Graph, bound: float, width: int, depth: int, generator) -> list[Graph]:
    """Valid graphs within the bound of one, from a beam over edits: those of most edits, and one of fewest."""
    vocabulary, own = start.vocabulary, points_of(psi, start)
    beam, found, seen = start, [], set(graph_hashes(start, ROUNDS)[:, -1].tolist())
    itself = next(iter(seen))
    for step in range(depth):
        edits, before = all_edits(beam), beam.labels()
        fits = (edits.valence_violation(*before, vocabulary) == 0).nonzero()[:, 0]
        made = Graph.from_labels(*edits[fits].apply(*before), vocabulary)
        if step == 0:
            made = Graph.cat([made, rewrite(start, generator)[0]])
        fresh = {}
        for i, name in enumerate(graph_hashes(made, ROUNDS)[:, -1].tolist()):
            if name not in seen or (name == itself and not isomorphic(made[i], start)):
                fresh.setdefault(name, i)
        if not fresh:
            break
        seen |= fresh.keys()
        made = made[torch.tensor(list(fresh.values()))]
        loss = paired_distance(points_of(psi, made), own)
        nearest = loss.argsort()
        found = list(made[nearest[: int((loss <= bound).sum())]][:OF_A_START]) + found  # more edits first
        beam = made[nearest[:width]]
    if not found:
        return []
    chosen = Graph.cat(found[: OF_A_START - 1] + found[OF_A_START - 1 :][-1:])
    return list(chosen[valid(chosen) & ~isomorphic(chosen, Graph.cat([start] * len(chosen)))])


def separated_equals(psi: Psi, graphs: Graph, *, samples: int = 100, seed: int = 0) -> Pairs:
    """Equal graphs told apart: the loss between two ways to write one graph, which should be 0.

    table: why, graph (row), loss (largest over the tries), of up to `samples` graphs. why is "node order" (3 random
    orders and the reverse), "padding" (absent nodes more; left out for a psi that takes only so many slots), "asked
    twice" (the same batch once more), "company" (alone, and in a batch) and, where graphs are molecules, "Kekule
    form" (another way to draw the double bonds of aromatic rings, of up to 40 molecules that have several).
    """
    import pandas as pd

    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(graphs), generator=generator)[:samples]
    some = graphs.detach().rounded()[rows]
    own, found = points_of(psi, some), []

    def compare(why: str, which: Tensor, others: Graph, before: Tensor):
        loss = paired_distance(before, points_of(psi, others)).numpy()
        found.append((pd.DataFrame({"why": why, "graph": rows[which].numpy(), "loss": loss}), some[which], others))

    every = torch.arange(len(some))
    reverse = torch.arange(some.nodes.shape[1]).flip(0)
    for others in [some.permuted(reverse)] + [augment.shuffled(some, generator) for _ in range(TRIES)]:
        compare("node order", every, others, own)
    compare("asked twice", every, some, own)
    alone = every[:8]
    compare("company", alone, some[alone], torch.cat([points_of(psi, graph) for graph in some[alone]]))
    with contextlib.suppress(Exception):  # whatever a psi of fixed size raises: it has no answer to this
        compare("padding", every, _padded(some, 2), own)
    which, forms = _kekule_forms(some)
    if len(which):
        compare("Kekule form", which, forms, own[which])
    table = pd.concat([t for t, *_ in found], ignore_index=True)
    left, right = ([graph for part in found for graph in part[side]] for side in (1, 2))
    worst = table.sort_values("loss", ascending=False, kind="stable").drop_duplicates(["why", "graph"])
    sides = (
        Graph.cat([_padded(side[i], 2 - (side[i].nodes.shape[1] - some.nodes.shape[1])) for i in worst.index])
        for side in (left, right)
    )
    return Pairs(worst.reset_index(drop=True), *sides)


def _padded(graph: Graph, extra: int) -> Graph:
    """The same graphs with `extra` absent nodes more."""
    nodes, edges = graph.labels()
    nodes = torch.nn.functional.pad(nodes, (0, extra))
    return Graph.from_labels(nodes, torch.nn.functional.pad(edges, (0, extra, 0, extra)), graph.vocabulary)


def _kekule_forms(graphs: Graph) -> tuple[Tensor, Graph]:
    """Which graphs (rows) can be drawn otherwise, and one such other form of each."""
    from elekit.graphs.smiles import is_molecular, kekule_forms, to_smiles

    found = []
    for row, smiles in enumerate(to_smiles(graphs) if is_molecular(graphs.vocabulary) else []):
        if len(found) == KEKULE:
            break
        if smiles is None or not re.search("[cnops]", smiles):  # aromatic atoms are lower case
            continue
        try:
            forms = kekule_forms(smiles, graphs.vocabulary)
        except ValueError:  # RDKit charges it otherwise than the vocabulary can say
            continue
        others = [form for form in forms if not isomorphic(form, graphs[row])]
        found += [(row, other) for other in others[:1]]
    if not found:
        return torch.empty(0, dtype=torch.long), graphs[:0]
    return torch.tensor([row for row, _ in found]), Graph.cat([form for _, form in found])
