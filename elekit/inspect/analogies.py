"""Other pairs of graphs at the same distance for the same reason: does one edit mean the same everywhere?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.evaluation.formatting import figure
from elekit.evaluation.intervals import DRAWS, FEWEST, central
from elekit.graphs.edit_distance import edit_distance, edit_steps, isomorphic
from elekit.graphs.edits import SINGLE, all_edits
from elekit.graphs.features import cycle_rank, detailed_kinds, is_connected
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect._validation import one
from elekit.inspect.differences import Difference, apply_steps, difference
from elekit.inspect.edit_costs import interval, sample_edits
from elekit.inspect.edit_scan import valid
from elekit.model.loss import Psi, points_of

if TYPE_CHECKING:
    import pandas as pd

ALIKE = 0.25  # how far a loss may be from that of the pair asked about, as a share of it
SURELY = 0.95  # of other edits go a less similar way than an analogy does
SAME = 1.5  # 95 % quantile of the losses over the 5 % one, up to which an edit costs the same everywhere
MUCH = 0.5  # mean cosine of two displacements, from which on they go much the same way
FEW = 8  # pairs from which on anything is said about all of them
BLIND = 1e-9  # a loss below has no direction
TOGETHER = 200  # graphs in which places are looked for at a time
CONTROLS = 4  # edits of a graph, of which one that leaves it in one piece is held against the pair


@dataclass(frozen=True, eq=False)
class Analogies:
    """Pairs that differ in the same as a given pair; row i of everything is one of them.

    graph, other: the given pair, the second in the slots of the first. differs: what does, in words without
    positions. path: the edits in words. loss: between them, in [0, 4].
    table: analogous pairs first, then by cosine: graph (row of `among`), other (row of `among` that the second is, -1
    where it is none of them), path, loss, cosine (of psi(second) - psi(first) with that of the given pair), alike
    (the loss is that of the given pair up to 25 %), parallel (the cosine is above that of 95 % of other edits of the
    same graphs), analogous (both). graphs, others: the two sides, in the same slots.
    directions: (n, D) psi(second) - psi(first), of length 1; 0 where the two lie at one point.
    control: single edits of other kinds, one of each of the graphs: graph, kind, loss, cosine; control_directions.
    """

    graph: Graph
    other: Graph
    differs: str
    path: str
    loss: float
    table: "pd.DataFrame"
    graphs: Graph
    others: Graph
    directions: Tensor
    control: "pd.DataFrame"
    control_directions: Tensor

    def summary(self, *, seed: int = 0) -> "pd.DataFrame":
        """Two rows, "same difference" and "other edits": how much they cost and whether they go one way.

        Columns: pairs; loss (median), loss_low and loss_high (95 % interval of it), loss_q05 and loss_q95; cosine
        (median), cosine_q05 and cosine_q95, with the given pair; mutual (mean cosine of two different pairs of the
        row, 1 = all go one way, about 0 = each its own), mutual_low and mutual_high (95 % interval). Intervals by
        bootstrap over graphs, each of which gives one pair; nan from fewer than 5.
        """
        import pandas as pd

        rows, generator = [], np.random.default_rng(seed)
        same = ("same difference", self.table, self.directions)
        for name, table, directions in (same, ("other edits", self.control, self.control_directions)):
            row = {"of": name, "pairs": len(table)}
            for column in ("loss", "cosine"):
                values = table[column].dropna().to_numpy()
                row[column] = np.median(values) if len(values) else np.nan
                if column == "loss":
                    row["loss_low"], row["loss_high"] = interval(values, np.arange(len(values)), generator)
                for q in (5, 95):
                    row[f"{column}_q{q:02}"] = np.quantile(values, q / 100) if len(values) else np.nan
            row["mutual"], row["mutual_low"], row["mutual_high"] = _mutual(directions.double().numpy(), generator)
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def says(self) -> str:
        """Whether the difference costs the same everywhere and always goes the same way, in a few plain sentences."""
        if len(self.table) < FEW:
            many = f"only {len(self.table)} other pairs differ"
            number = ("no other pair differs", "only one other pair differs", many)[min(len(self.table), 2)]
            return f"Here {number} in this: {self.differs}. That is too few to say what it costs elsewhere."
        same, control = self.summary().to_dict("records")
        low, high = same["loss_q05"], same["loss_q95"]
        if high < BLIND:
            return f"In {same['pairs']} pairs that differ in this the loss sees no difference at all: {self.differs}."
        everywhere = "costs nearly" if high <= SAME * low else "does not cost"
        said = [
            f"This difference ({self.differs}) costs {figure(self.loss)} here. It {everywhere} the same everywhere: "
            f"{figure(same['loss'])} in the median of {same['pairs']} pairs, {figure(low)} to {figure(high)} in nine "
            "of ten."
        ]
        if not same["mutual_low"] > control["mutual_high"]:
            way = "has no direction in common"
        else:
            way = "goes much the same way everywhere" if same["mutual"] >= MUCH else "has some direction in common"
        said.append(
            f"It {way}: two such displacements have a mean cosine of {same['mutual']:.2f}, of two other edits of the "
            f"same graphs {control['mutual']:.2f}."
        )
        count = int(self.table["analogous"].sum())
        said.append(f"Of the pairs {count} are analogous to this one: about as far apart, in about this direction.")
        return " ".join(said)


def analogies(
    psi: Psi,
    graph: Graph,
    other: Graph,
    among: Graph,
    *,
    samples: int = 400,
    valid_only: bool = True,
    timeout: float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> Analogies:
    """Pairs (c, d) that differ in the same as (a, b): is `psi(d) - psi(c)` parallel to `psi(b) - psi(a)`, and as long?

    The difference is a shortest list of edits from graph to other (of several, one): which labels of nodes and edges
    become which, and how they hang together. It is made at a random place of `samples` graphs of `among` where it can
    be made, with the same gain or loss of rings and parts. Up to 8 random places of a graph are tried; of those that
    will do, one where the result is itself one of `among` is preferred. Each graph gives at most one pair, so that
    pairs are independent draws. What stands around the difference may be anything: that is what is asked. Pairs that
    fewer edits separate are left out.

    graph, other: batches of one, not isomorphic. among: any batch of the same labels; the graph itself in it is left
    out. valid_only: only pairs whose second graph is valid (see `elekit.inspect.edit_scan`). timeout: seconds in which a
    shortest list of edits is looked for. The second graphs are in one piece where `graph` and `other` are.
    On the sphere displacements are never quite parallel, even those of one kind; `summary` holds them against other
    edits of the same graphs. About 4 s for 400 pairs of molecules.
    Source: on displacements as relations Mikolov, Yih, Zweig (2013).
    Raises ValueError for other batches, different labels or slots, one graph twice, no graphs and samples below 1.
    """
    import pandas as pd

    graph, other = (one(y, what).detach().rounded() for y, what in ((graph, "graph"), (other, "other")))
    for what, y in (("other", other), ("among", among)):
        if y.vocabulary != graph.vocabulary or y.nodes.shape[1] != graph.nodes.shape[1]:
            raise ValueError(f"{what} has other labels or slots than the graph; read both with one vocabulary")
    if samples < 1 or not len(among):
        raise ValueError(f"want at least one graph to look among and one sample, got {len(among)} and {samples}")
    steps = edit_steps(graph, other, timeout=timeout)
    if not steps:
        raise ValueError("graph and other are one graph, so nothing differs; give two different ones")
    among, generator = among.detach().rounded(), np.random.default_rng(seed)
    other = apply_steps(graph, steps)
    whole = bool(is_connected(Graph.cat([graph, other])).all())
    with tqdm(total=samples, desc="pairs", unit="pair", disable=not progress) as bar:
        rows, results, also, paths = _pairs(
            graph, other, steps, among, samples, valid_only, whole, timeout, generator, bar
        )
    starts, own = among[rows], points_of(psi, graph)
    given = points_of(psi, other) - own
    before = points_of(psi, starts) if len(rows) else own[:0]
    moved = points_of(psi, results) - before if len(rows) else before
    control, control_moved = _control(psi, starts, before, _kind(graph, other), valid_only, whole, seed)
    control = control.assign(cosine=_cosine(control_moved, given), graph=rows.numpy()[control["graph"]])
    cosine, reference = _cosine(moved, given), float(given.double().square().sum())
    loss = moved.double().square().sum(1).numpy()
    table = pd.DataFrame(
        {
            "graph": rows.numpy(),
            "other": also,
            "path": paths,
            "loss": loss,
            "cosine": cosine,
            "alike": np.abs(loss - reference) <= ALIKE * reference,
            "parallel": cosine > control["cosine"].quantile(SURELY),
        }
    )
    table["analogous"] = table["alike"] & table["parallel"]
    table = table.sort_values(["analogous", "cosine"], ascending=False, kind="stable")
    best = torch.tensor(table.index.to_numpy())
    return Analogies(
        graph, other, difference(steps, graph, other), "; ".join(step.describe(graph.vocabulary) for step in steps), reference, table.reset_index(drop=True),
        starts[best], results[best], _directions(moved)[best], control, _directions(control_moved),
    )  # fmt: skip


def _pairs(graph, other, steps, among: Graph, samples: int, valid_only, whole: bool, timeout: float, generator, bar):
    """(rows of the first graphs, the second ones, rows of these or -1, paths) of up to `samples` pairs."""
    made, names = Difference(graph, other, steps), graph_hashes(among, ROUNDS)[:, -1].tolist()
    known, itself = {}, int(graph_hashes(graph, ROUNDS)[0, -1])
    for row, name in enumerate(names):
        known.setdefault(name, []).append(row)
    order = generator.permutation(len(among)).tolist()
    order = [row for row in order if names[row] != itself or not isomorphic(among[row], graph)]
    found = []
    for start in range(0, len(order), TOGETHER):
        rows, places = made.places(among, order[start : start + TOGETHER], generator)
        results = made.at(among[rows], places)
        fine = (cycle_rank(results) - cycle_rank(among[rows]) == made.rings) & (is_connected(results) | (not whole))
        fine &= ~isomorphic(results, among[rows])
        if valid_only:
            fine[fine.clone()] = valid(results[fine])
        of_a_graph = {}
        for i, name in zip(fine.nonzero()[:, 0].tolist(), graph_hashes(results[fine], ROUNDS)[:, -1].tolist()):
            row = next((row for row in known.get(name, ()) if isomorphic(among[row], results[i])), -1)
            before = of_a_graph.setdefault(int(rows[i]), (i, row))
            if before[1] < 0 <= row:  # rather a graph that is known
                of_a_graph[int(rows[i])] = (i, row)
        for row, (i, also) in of_a_graph.items():
            fewest = edit_distance(among[row], results[i], timeout=timeout) if len(steps) > 1 else None
            if fewest is None or int(fewest.distance) == len(steps):
                found.append((row, results[i], also, made.describe(places[i])))
                bar.update()
            if len(found) == samples:
                break
        if len(found) == samples:
            break
    rows, results, also, paths = zip(*found) if found else ((), (), (), ())
    return torch.tensor(rows, dtype=torch.long), Graph.cat(results) if found else among[:0], list(also), list(paths)


def _kind(graph: Graph, other: Graph) -> str | None:
    """What the single edit between two graphs of the same slots is called; None where it takes more."""
    edits = all_edits(graph, SINGLE)
    made, labels = edits.apply(*graph.labels()), other.labels()
    same = (made[0] == labels[0]).all(1) & (made[1] == labels[1]).flatten(1).all(1)
    return next(iter(detailed_kinds(edits[same], graph)), None)


def _control(psi: Psi, starts: Graph, before: Tensor, kind: str | None, valid_only: bool, whole: bool, seed: int):
    """One single edit of each graph, of another kind than this: table (graph, kind, loss) and displacements."""
    if not len(starts):
        import pandas as pd

        return pd.DataFrame({"graph": np.empty(0, int), "kind": np.empty(0, object), "loss": np.empty(0)}), before
    sample = sample_edits(starts, samples=CONTROLS, kinds=SINGLE, valid_only=valid_only, seed=seed)
    table = sample.table[(sample.table["kind"] != kind) & (sample.table["connected"] | (not whole))]
    table = table.sample(frac=1, random_state=seed).drop_duplicates("graph").sort_index()
    rows = torch.tensor(table.index.to_numpy())
    moved = points_of(psi, sample.results[rows]) - before[sample.edits.row[rows]] if len(rows) else before[:0]
    loss = moved.double().square().sum(1).numpy()
    return table[["graph", "kind"]].assign(loss=loss).reset_index(drop=True), moved


def _directions(moved: Tensor) -> Tensor:
    """(n, D) displacements, float64, of length 1; 0 of none."""
    moved = moved.double()
    length = moved.norm(dim=1, keepdim=True)
    return torch.where(length**2 > BLIND, moved / length.clamp_min(1e-30), 0)


def _cosine(moved: Tensor, given: Tensor) -> np.ndarray:
    """(n,) cosines of displacements with one, nan where either is none."""
    directions, given = _directions(moved), _directions(given)[0]
    cosine = (directions @ given).numpy()
    return np.where(directions.any(1).numpy() & bool(given.any()), cosine, np.nan)


def _mutual(directions: np.ndarray, generator) -> tuple[float, float, float]:
    """Mean cosine of two different ones of n unit vectors (n, D), zeros left out, and its interval."""
    directions = directions[directions.any(1)]
    n = len(directions)
    if n < 2:
        return np.nan, np.nan, np.nan

    def mean(weight):
        total, squares = weight.sum(-1), np.square(weight).sum(-1)
        return (np.square(weight @ directions).sum(-1) - squares) / (total**2 - squares)

    if n < FEWEST:
        return float(mean(np.ones(n))), np.nan, np.nan
    drawn = mean(generator.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float))
    return float(mean(np.ones(n))), *central(drawn)
