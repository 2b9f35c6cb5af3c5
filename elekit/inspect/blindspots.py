"""Different graphs that a loss hardly separates, found by search, and equal graphs that it separates."""

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit import augment
from elekit.edits import all_edits
from elekit.graph import Graph, to_networkx
from elekit.inspect.patterns import rewrite
from elekit.inspect.prices import apart, price_list
from elekit.inspect.scan import valid
from elekit.loss import Psi, points_of
from elekit.metrics import edit_distance, edit_path, isomorphic
from elekit.refinement import ROUNDS, refined

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
        bound = BOUND * float(price_list(psi, some, samples=24, seed=seed).summary()["median"].median())
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
    paths = [edit_path(a, b, timeout=timeout) for a, b in zip(left, right)]
    table = pd.DataFrame(
        {
            "differs": [difference(path, a, b) for path, a, b in zip(paths, left, right)],
            "edits": distance.distance.long().numpy(),
            "proven": distance.proven.numpy(),
            "path": ["; ".join(path) for path in paths],
            "loss": apart(points_of(psi, left), points_of(psi, right)).numpy(),
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
    best = nearest(points)
    fine = (apart(points, points[best]) <= bound).nonzero()[:, 0]
    pairs = {tuple(sorted((i, int(best[i])))) for i in fine.tolist()}
    both = [(int(rows[i]), int(rows[j])) for i, j in sorted(pairs)]
    return [(i, j, graphs[i], graphs[j]) for i, j in both]


def nearest(points: Tensor) -> Tensor:
    """(n,) row of the nearest other point to each of n >= 2 points of the sphere (n, D)."""
    found = []
    for start in range(0, len(points), BLOCK):
        near = points[start : start + BLOCK] @ points.T
        near[torch.arange(len(near)), torch.arange(start, start + len(near))] = -2.0  # itself
        found.append(near.argmax(1))
    return torch.cat(found)


def distinct(graphs: Graph) -> Tensor:
    """Rows, ascending, of graphs that are not isomorphic to an earlier one."""
    kept, seen = [], {}
    for row, name in enumerate(refined(graphs, ROUNDS)[:, -1].tolist()):
        alike = seen.setdefault(name, [])
        if not (alike and bool(isomorphic(graphs[alike], Graph.cat([graphs[row]] * len(alike))).any())):
            alike.append(row)
            kept.append(row)
    return torch.tensor(kept)


def _search(psi: Psi, start: Graph, bound: float, width: int, depth: int, generator) -> list[Graph]:
    """Valid graphs within the bound of one, from a beam over edits: those of most edits, and one of fewest."""
    vocabulary, own = start.vocabulary, points_of(psi, start)
    beam, found, seen = start, [], set(refined(start, ROUNDS)[:, -1].tolist())
    itself = next(iter(seen))
    for step in range(depth):
        edits, before = all_edits(beam), beam.labels()
        fits = (edits.excess(*before, vocabulary) == 0).nonzero()[:, 0]
        made = Graph.from_labels(*edits[fits].apply(*before), vocabulary)
        if step == 0:
            made = Graph.cat([made, rewrite(start, generator)[0]])
        fresh = {}
        for i, name in enumerate(refined(made, ROUNDS)[:, -1].tolist()):
            if name not in seen or (name == itself and not isomorphic(made[i], start)):
                fresh.setdefault(name, i)
        if not fresh:
            break
        seen |= fresh.keys()
        made = made[torch.tensor(list(fresh.values()))]
        loss = apart(points_of(psi, made), own)
        nearest = loss.argsort()
        found = list(made[nearest[: int((loss <= bound).sum())]][:OF_A_START]) + found  # more edits first
        beam = made[nearest[:width]]
    if not found:
        return []
    chosen = Graph.cat(found[: OF_A_START - 1] + found[OF_A_START - 1 :][-1:])
    return list(chosen[valid(chosen) & ~isomorphic(chosen, Graph.cat([start] * len(chosen)))])


def difference(path: list[str], graph: Graph, other: Graph) -> str:
    """What differs between two graphs without saying where: "C to N", "ring closed, single to double"; sorted.

    path: of `elekit.metrics.edit_path`. Names stand in alphabetical order, so either direction gives the same words.
    """
    lost = gained = 0
    said = set()
    for part in path:
        old, new = re.fullmatch(r"(?:node|edge) [\d-]+: (.*) to (.*?)", part, re.DOTALL).groups()
        if part.startswith("node"):
            end = {old, new} - {"nothing"}
            said.add(f"a {end.pop()} more" if len(end) == 1 else "{} to {}".format(*sorted(end)))
        elif "no edge" in (old, new):
            lost, gained = lost + (new == "no edge"), gained + (old == "no edge")
        else:
            said.add("{} to {}".format(*sorted((old, new))))
    if lost or gained:
        rings = [
            len(g.edges) - len(g) + nx.number_connected_components(g) for g in to_networkx(Graph.cat([graph, other]))
        ]
        if rings[0] != rings[1]:
            said.add("ring closed")
        elif not any(words.endswith(" more") for words in said):
            said.add("edges moved")
    return ", ".join(sorted(said))


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
        loss = apart(before, points_of(psi, others)).numpy()
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
    from elekit import chem

    found = []
    for row, smiles in enumerate(chem.to_smiles(graphs) if chem.is_molecular(graphs.vocabulary) else []):
        if len(found) == KEKULE:
            break
        if smiles is None or not re.search("[cnops]", smiles):  # aromatic atoms are lower case
            continue
        try:
            forms = chem.kekule_forms(smiles, graphs.vocabulary)
        except ValueError:  # RDKit charges it otherwise than the vocabulary can say
            continue
        others = [form for form in forms if not isomorphic(form, graphs[row])]
        found += [(row, other) for other in others[:1]]
    if not found:
        return torch.empty(0, dtype=torch.long), graphs[:0]
    return torch.tensor([row for row, _ in found]), Graph.cat([form for _, form in found])
