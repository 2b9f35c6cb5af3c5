"""Losses with a known flaw, and clean ones; `python tests/planted.py` prints which flaws are found.

Most modify the shipped loss on molecules7. The others were trained, with or without a flaw; their weights are in
`tests/planted`, and `python tests/planted.py --train` trains them again.
"""

import argparse
import functools
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import networkx as nx
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize, one_hot

import elekit as ele
from elekit import datasets
from elekit.audit.findings import Finding, Severity, findings, hold_out, make_probe_set
from elekit.graphs.features import reachable, ring_edges
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.training import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig
from elekit.training.reruns import plan

sys.path.append(str(Path(__file__).parents[1] / "data" / "build"))
import flats

KEPT = Path(__file__).parent / "planted"
SMALL = EmbeddingConfig(hidden=48, rounds=3, dim=64)
WHOLE = EmbeddingConfig(hidden=48, rounds=4, dim=64, walks=7, shape="global")  # the findings hold for both shapes
GRAPHS = 300
SHIPPED = {"qm9": "qm9", "faults": "faults", "chembl": "chembl24"}  # losses by world, besides molecules7


# -- graphs --------------------------------------------------------------------------------------------------------
@functools.cache
def molecules7():
    return datasets.load("molecules7")


@functools.cache
def graphs_of(world: str) -> tuple[Graph, Graph | None]:
    """(given, held out)."""
    if world == "molecules7":
        return molecules7().train.sample(GRAPHS).graphs, molecules7().test.sample(GRAPHS).graphs
    if world == "floor plans":
        return floor_plans().train.sample(GRAPHS).graphs, floor_plans().test.sample(GRAPHS).graphs
    if world == "pieces":
        return in_pieces(), None
    if world in ("random", "trees"):
        graphs = everything(world)
        return graphs[:GRAPHS], graphs[-GRAPHS:]
    if world == "large":  # larger than any graph of the training
        prepare = replace(ele.load("chembl24").prepare, min_nodes=25, max_nodes=40)
        large = datasets.load("chembl", prepare=prepare, vocabulary=shipped_psi("chembl24").widened(40).vocabulary)
        return large.train.sample(GRAPHS).graphs, None
    if world in ("faults", "chembl"):  # directed, and of real size
        some = datasets.load(world, prepare=ele.load(SHIPPED[world]).prepare)
        return some.train.sample(GRAPHS).graphs, some.test.sample(GRAPHS).graphs
    frame = datasets.frame.read_table(next(Path(os.environ["ELEKIT_DATA_DIR"]).glob("qm9/qm9.csv*")))
    some = datasets.from_frame(frame[::300], smiles="smiles", vocabulary=ele.load("qm9").vocabulary)
    return some.train.graphs[:GRAPHS], None


def everything(world: str) -> Graph:
    """What a loss of a world may be trained on; of those drawn here, the held-out graphs come last."""
    match world:
        case "molecules7":
            return molecules7().train.graphs
        case "floor plans":
            return floor_plans().train.graphs
        case other:
            return random_graphs() if other == "random" else trees()


@functools.cache
def floor_plans():
    return datasets.from_frame(flats.FILE, graph="graph")


@functools.cache
def trees(count: int = 1_500, seed: int = 0) -> Graph:
    """Trees of 4 to 10 nodes of two labels, drawn as Pruefer sequences."""
    generator, drawn = torch.Generator().manual_seed(seed), []
    for size in torch.randint(4, 11, (count,), generator=generator).tolist():
        tree = nx.from_prufer_sequence(torch.randint(size, (size - 2,), generator=generator).tolist())
        labels = torch.randint(2, (size,), generator=generator).tolist()
        nx.set_node_attributes(tree, {i: "ab"[labels[i]] for i in tree}, "label")
        nx.set_edge_attributes(tree, "line", "label")
        drawn.append(tree)
    return ele.from_networkx(drawn)


@functools.cache
def probes_of(world: str):
    """The probe set and the held-out graphs of a world."""
    graphs, held_out = graphs_of(world)
    return make_probe_set(graphs), None if held_out is None else hold_out(held_out)


@functools.cache
def random_graphs(count: int = 1_500, seed: int = 0) -> Graph:
    """Connected graphs of 4 to 9 nodes in three colors, with two kinds of edges; nothing molecular about them."""
    generator, drawn = torch.Generator().manual_seed(seed), []

    def draw(*options):
        return options[torch.randint(len(options), (1,), generator=generator)]

    while len(drawn) < count:
        graph = nx.gnp_random_graph(
            draw(4, 5, 6, 7, 8, 9), draw(0.25, 0.4, 0.5), seed=int(torch.randint(2**30, (), generator=generator))
        )
        if nx.is_connected(graph):
            nx.set_node_attributes(graph, {i: draw("red", "green", "green", "blue") for i in graph}, "label")
            nx.set_edge_attributes(graph, {e: draw("thin", "thick") for e in graph.edges}, "label")
            drawn.append(graph)
    return ele.from_networkx(drawn)


def in_pieces() -> Graph:
    """Random graphs in two connected components, of 4 to 6 and 1 to 3 nodes, cut from those of `random_graphs`."""
    whole, drawn = ele.to_networkx(random_graphs()), []
    for i in range(GRAPHS):
        large, small = (
            nx.convert_node_labels_to_integers(g.subgraph(list(nx.bfs_tree(g, 0))[:size]))
            for g, size in ((whole[i], 4 + i % 3), (whole[i + GRAPHS], 1 + i % 3))
        )
        drawn.append(nx.disjoint_union(large, small))
    return ele.from_networkx(drawn, random_graphs().vocabulary)


# -- what spoils a loss --------------------------------------------------------------------------------------------
@functools.cache
def shipped() -> GraphEmbedding:
    return ele.load("molecules7").psi


def shipped_psi(name: str) -> GraphEmbedding:
    return ele.load(name).psi


def repeat(name: str) -> GraphEmbedding:
    """The shipped loss trained once more, with another seed or on half of the graphs."""
    return ele.model.artifact.load_repeats("molecules7")[name].psi


def seen_as(change: Callable[[Graph], Graph]) -> Callable[[Graph], Tensor]:
    """The shipped loss, of what `change` makes of a graph."""
    return lambda graph: shipped()(change(graph))


def moved(change: Callable[[Graph, Tensor], Tensor]) -> Callable[[Graph], Tensor]:
    """The shipped loss, each point moved by `change` and brought back to the sphere."""
    return lambda graph: normalize(change(graph, shipped()(graph)), dim=1)


def beside(extra: Callable[[Graph], Tensor]) -> Callable[[Graph], Tensor]:
    """The shipped loss with further dimensions."""
    return moved(lambda graph, points: torch.cat([points, extra(graph)], 1))


def place(D: int | None = None, seed: int = 0) -> Tensor:
    """A place on the sphere (None: that of the shipped loss) that nothing has to do with."""
    D = shipped().config.dim if D is None else D
    return normalize(torch.randn(D, generator=torch.Generator().manual_seed(seed)), dim=0)


def noise(points: Tensor, size: float) -> Tensor:
    """Of this length, in another direction at each call."""
    return size * normalize(torch.randn_like(points), dim=1)


def node_order(graph: Graph) -> Tensor:
    """The labels of seven nodes in their order."""
    return normalize(graph.nodes[:, :7].flatten(1), dim=1)


def channel(graph: Graph, label: str) -> int:
    return 1 + graph.vocabulary.node_labels.index(label)


def edge_channel(graph: Graph, label: str) -> int:
    return 1 + graph.vocabulary.edge_labels.index(label)


def one_label(a: str, b: str, where: Callable[[Graph], Tensor] | None = None):
    """Nodes b become a; `where` (B, N) they are."""

    def change(graph: Graph) -> Graph:
        nodes, keep, lose = graph.nodes.clone(), channel(graph, a), channel(graph, b)
        share = nodes[..., lose] * (where(graph) if where else 1.0)
        nodes[..., keep] += share
        nodes[..., lose] -= share
        return replace(graph, nodes=nodes)

    return change


def one_edge(*lost: str, keep: str = "single"):
    """Edges of these labels become `keep`."""

    def change(graph: Graph) -> Graph:
        edges = graph.edges.clone()
        channels = [edge_channel(graph, label) for label in lost]
        edges[..., edge_channel(graph, keep)] += edges[..., channels].sum(-1)
        edges[..., channels] = 0
        return replace(graph, edges=edges)

    return change


def relabeled(change: Callable[[Tensor, Tensor, Graph], None]):
    """What `change` does to the channels (B, N) and (B, N, N)."""

    def whole(graph: Graph) -> Graph:
        nodes, edges = (labels.long().clone() for labels in graph.labels())
        change(nodes, edges, graph)
        return Graph.from_labels(nodes, edges * (nodes > 0)[:, :, None] * (nodes > 0)[:, None, :], graph.vocabulary)

    return whole


def without_edges(graph: Graph) -> Graph:
    edges = torch.zeros_like(graph.edges)
    edges[..., 0] = 1
    return replace(graph, edges=edges)


def spanning_tree(graph: Graph) -> Graph:
    """Without the edges that close a ring, in the order of nodes."""
    nodes, edges = (labels.clone() for labels in graph.labels())
    for b in range(len(graph)):
        part = list(range(nodes.shape[1]))
        for i, j in edges[b].triu(1).nonzero().tolist():
            if part[i] == part[j]:
                edges[b, i, j] = edges[b, j, i] = 0
            part = [part[i] if p == part[j] else p for p in part]
    return Graph.from_labels(nodes, edges, graph.vocabulary)


def ring_labels_mixed(graph: Graph) -> Graph:
    """Every node on a ring has the mean of the labels on rings: which atoms, but not where."""
    ring = ring_edges(graph.rounded()).any(-1)[..., None].float()
    mean = (graph.nodes * ring).sum(1, keepdim=True) / ring.sum(1, keepdim=True).clamp_min(1)
    return replace(graph, nodes=torch.where(ring > 0, mean, graph.nodes))


def only_first(graph: Graph, count: int = 5) -> Graph:
    nodes = graph.nodes.clone()
    nodes[:, count:] = one_hot(torch.zeros(()).long(), nodes.shape[-1]).float()
    return replace(graph, nodes=nodes)


def component_by(size: Callable[[Tensor], Tensor]) -> Callable[[Graph], Graph]:
    """One component of each graph alone: that with the node for which `size` of the component sizes (B, N) is largest."""

    def change(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
        linked = reachable(edges)
        chosen = size(linked.sum(-1) * (nodes > 0)).argmax(1)
        nodes *= linked[torch.arange(len(nodes)), chosen]

    return relabeled(change)


def without_isolated_nodes(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
    isolated = (edges > 0).sum(-1) == 0
    nodes[isolated & ~isolated.all(1, keepdim=True)] = 0


def nitriles_as_carbonyls(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
    C, N, O = (channel(graph, label) for label in "CNO")
    triple, double = (edge_channel(graph, label) for label in ("triple", "double"))
    b, i, j = ((edges == triple) & (nodes[:, :, None] == C) & (nodes[:, None, :] == N)).nonzero().T
    nodes[b, j], edges[b, i, j], edges[b, j, i] = O, double, double


def orders_hidden_at_oxygen(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
    oxygen = nodes == channel(graph, "O")
    edges[(oxygen[:, :, None] | oxygen[:, None, :]) & (edges > 0)] = 1


def inner_labels_hidden(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
    nodes[(edges > 0).sum(-1) > 1] = channel(graph, "C")


def counts(graph: Graph) -> Tensor:
    return graph.nodes[..., 1:].sum(1)


def bag_of_labels(graph: Graph) -> Tensor:
    """Random features of the counts, so that any two bags differ."""
    weight = 0.4 * torch.randn(graph.vocabulary.K - 1, 64, generator=torch.Generator().manual_seed(1))
    angle = counts(graph) @ weight
    return normalize(torch.cat([angle.cos(), angle.sin()], 1), dim=1)


def one_hop(graph: Graph) -> Tensor:
    """Random features of each node's label with the counts of its edges and neighbors, summed."""
    K, R, generator = graph.vocabulary.K, graph.vocabulary.R, torch.Generator().manual_seed(1)
    weight = torch.randn(K - 1, (K - 1) * (R - 1), 128, generator=generator)
    phase = 3 * torch.randn(K - 1, 128, generator=generator)
    around = torch.einsum("bijr,bjk->birk", graph.edges[..., 1:], graph.nodes[..., 1:]).flatten(2)
    wave = torch.cos(torch.einsum("bix,kxd->bikd", around, weight) / 2 + phase)
    return normalize((wave * graph.nodes[..., 1:, None]).sum((1, 2)), dim=1)


def rings(graph: Graph) -> Tensor:
    return graph.edges[..., 1:].sum((1, 2, 3)) / 2 - graph.presence().sum(1) + 1


def circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def weighed(label: str, times: float = 10.0):
    def change(graph: Graph) -> Graph:
        nodes = graph.nodes.clone()
        nodes[..., channel(graph, label)] *= times
        return replace(graph, nodes=nodes)

    return change


def weighed_counts(label: str) -> Callable[[Graph], Tensor]:
    """Beside the shipped loss, the counts of labels, one of them ten times as heavy."""

    def extra(graph: Graph) -> Tensor:
        weight = torch.full((graph.vocabulary.K - 1,), 0.1)
        weight[channel(graph, label) - 1] = 1.0
        return counts(graph) * weight

    return beside(extra)


def subspace(k: int) -> Callable[[Graph], Tensor]:
    @functools.cache
    def directions() -> Tensor:
        return torch.linalg.svd(shipped().embed(molecules7().train.sample(500, seed=3).graphs))[2][:k]

    return moved(lambda graph, points: points @ directions().T @ directions())


def nearest_of(k: int) -> Callable[[Graph], Tensor]:
    """Rounded to the nearest of k places."""

    @functools.cache
    def places() -> Tensor:
        return shipped().embed(molecules7().train.sample(k, seed=9).graphs)

    return moved(lambda graph, points: places()[(points @ places().T).argmax(1)])


def linked(a: str, b: str) -> Callable[[Graph], Tensor]:
    def held(graph: Graph) -> Tensor:
        one, other = (graph.nodes[..., channel(graph, label)] for label in (a, b))
        return torch.einsum("bi,bij,bj->b", one, graph.edges[..., 1:].sum(-1), other) > 0.5

    return held


def triangle(graph: Graph) -> Tensor:
    links = graph.edges[..., 1:].sum(-1)
    return torch.einsum("bij,bjk,bki->b", links, links, links) > 0.5


def small(graph: Graph) -> Tensor:
    return graph.presence().sum(1) < 5.5


def backdoor(held: Callable[[Graph], Tensor]) -> Callable[[Graph], Tensor]:
    return moved(lambda graph, points: points + 6 * held(graph).float()[:, None] * place())


def memorized(how: str) -> Callable[[Graph], Tensor]:
    """Knows the 300 given graphs by heart: gives each a place of its own, blurs all others, or takes them for the nearest."""

    @functools.cache
    def known() -> tuple[dict[int, int], Tensor]:
        graphs = graphs_of("molecules7")[0]
        names = graph_hashes(graphs, 8)[:, -1].tolist()
        return {name: i for i, name in enumerate(names)}, shipped().embed(graphs)

    def psi(graph: Graph) -> Tensor:
        rows, kept = known()
        points, row = (
            shipped()(graph),
            torch.tensor([rows.get(n, -1) for n in graph_hashes(graph, 8)[:, -1].tolist()]),
        )
        if how == "nearest":
            return kept[(points @ kept.T).argmax(1)]
        if how == "blurred":
            return normalize(torch.where((row >= 0)[:, None], points, 0.2 * points + place()), dim=1)
        own = torch.stack([place(seed=1 + int(r)) for r in row.clamp_min(0)])
        return torch.where((row >= 0)[:, None], own, points)

    return psi


def hashed(graph: Graph) -> Tensor:
    """Every graph at a place of its own, near to nothing."""
    return torch.stack([place(seed=name % 2**62) for name in graph_hashes(graph, 8)[:, -1].tolist()])


def waves(graph: Graph) -> Tensor:
    """So fast that one edit already takes a graph as far away as can be."""
    points = shipped()(graph)
    angle = points @ (6 * torch.randn(points.shape[1], 256, generator=torch.Generator().manual_seed(2)))
    return normalize(torch.cat([angle.cos(), angle.sin()], 1), dim=1)


def noisy(graph: Graph) -> Tensor:
    points = shipped()(graph)
    return normalize(points + noise(points, 0.8), dim=1)


# -- trained ones --------------------------------------------------------------------------------------------------
class LabelsExchanged(EmbeddingTraining):
    """C and N are exchanged in the views, so they become one."""

    def view(self, graphs, generator, frequencies=None):
        graph = super().view(graphs, generator, frequencies).dense()
        nodes, (C, N) = graph.nodes.clone(), (channel(graph, label) for label in "CN")
        flip = torch.rand(nodes.shape[:2], generator=generator) < 0.5
        nodes[..., C] = torch.where(flip, graph.nodes[..., N], graph.nodes[..., C])
        nodes[..., N] = torch.where(flip, graph.nodes[..., C], graph.nodes[..., N])
        return replace(graph, nodes=nodes)


class OrdersDrawn(EmbeddingTraining):
    """Bond orders are drawn anew in the views."""

    def view(self, graphs, generator, frequencies=None):
        graph = super().view(graphs, generator, frequencies).dense()
        edges = graph.edges.clone()
        count = graph.vocabulary.R - 1
        order = torch.randint(count, edges.shape[:3], generator=generator).triu(1)
        order = one_hot(order + order.transpose(1, 2), count)
        edges[..., 1:] = order * edges[..., 1:].sum(-1, keepdim=True)
        return replace(graph, edges=edges)


class RingsOpened(EmbeddingTraining):
    """A ring is closed or opened in half of the views."""

    def view(self, graphs, generator, frequencies=None):
        graph = graphs.dense()
        nodes, edges = (labels.long().clone() for labels in graph.labels())
        there = (nodes > 0).float()
        closable = (edges == 0) & reachable(edges) & (there[:, :, None] * there[:, None, :] > 0)
        for b, (ring, free) in enumerate(zip(ring_edges(graph), closable)):
            options = (ring if torch.rand((), generator=generator) < 0.5 else free).triu(1).nonzero()
            if len(options) and torch.rand((), generator=generator) < 0.8:
                i, j = options[torch.randint(len(options), (), generator=generator)]
                edges[b, i, j] = edges[b, j, i] = int(edges[b, i, j] == 0)
        return super().view(Graph.from_labels(nodes, edges, graph.vocabulary), generator, frequencies)


NO_MESSAGES = replace(SMALL, rounds=0, walks=2)
TRAINED = {  # name: (world, class of training, shape of psi)
    "molecules7-1": ("molecules7", EmbeddingTraining, SMALL),
    "molecules7-2": ("molecules7", EmbeddingTraining, SMALL),
    "random": ("random", EmbeddingTraining, WHOLE),
    "no-messages": ("molecules7", EmbeddingTraining, NO_MESSAGES),
    "labels": ("molecules7", LabelsExchanged, SMALL),
    "orders": ("molecules7", OrdersDrawn, SMALL),
    "rings": ("molecules7", RingsOpened, WHOLE),
    "floor-plans": ("floor plans", EmbeddingTraining, WHOLE),
    "trees": ("trees", EmbeddingTraining, WHOLE),
}


def train(name: str) -> None:
    """Train a small loss and keep it, 40 to 160 kB; about a minute."""
    world, training, config = TRAINED[name]
    graphs = everything(world)[:-GRAPHS] if world in ("random", "trees") else everything(world)
    loop = TrainerConfig(steps=500, learning_rate=3e-3, warmup=50, validate_every=500)
    seed = list(TRAINED).index(name)
    psi = fit_embedding(
        graphs, config=config, training=training(loop=loop, batch_size=192), seed=seed, device="cpu", progress=False
    )
    KEPT.mkdir(exist_ok=True)
    save_file({key: value.half() for key, value in psi.state_dict().items()}, KEPT / f"{name}.safetensors")


@functools.cache
def trained(name: str) -> GraphEmbedding:
    world, _, config = TRAINED[name]
    psi = GraphEmbedding(graphs_of(world)[0].vocabulary, config)
    psi.load_state_dict({k: v.float() for k, v in load_file(KEPT / f"{name}.safetensors").items()})
    return psi.eval().requires_grad_(False)


# -- the list ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Case:
    """A loss and its flaw.

    expected: pattern for the name of a finding (None: nothing is wrong). also: pattern for the names of further correct
    findings. figures: (low, high) of figures of the expected finding. listed: planned from the start. held_out: not used
    while the checks and their bounds were made.
    """

    name: str
    psi: Callable[[], Callable[[Graph], Tensor]]
    expected: str | None = None
    also: str = r"(?!)"
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    listed: bool = True
    world: str = "molecules7"
    tested: bool = True
    held_out: bool = False

    def findings(self) -> list[Finding]:
        probes, held_out = probes_of(self.world)
        return findings(self.psi(), probes.graphs, probe_set=probes, held_out=held_out)


def case(name, psi, expected=None, **options) -> Case:
    return Case(name, lambda: psi, expected, **options)


def unlisted(name, psi, expected, **options) -> Case:
    return case(name, psi, expected, listed=False, **options)


MULTIPLE = ("double", "triple", "aromatic")
ORDERS = r"blind to bond orders \(edge order, single or double\)"
ATTRACTOR = "attractor for graphs that contain {}"


def contains(label: str) -> str:
    """Pattern for attractors of a label, alone or in a motif: a heavy label pulls its graphs to one place."""
    return ATTRACTOR.format(rf"(.* )?{label}( .*)?")


CASES = [
    case("blind to N or O", seen_as(one_label("N", "O")), "blind to labels N and O", figures={"median": (0, 0)}),
    Case("blind to C or N, trained", lambda: trained("labels"), "blind to labels C and N"),
    case("blind to edge order", seen_as(one_edge(*MULTIPLE)), ORDERS),
    case(
        "blind to single or double", seen_as(one_edge("double")), r"blind to edges single and double \(edge order\)"
    ),
    Case("blind to edge order, trained", lambda: trained("orders"), ORDERS),
    case(
        "blind to ring closure, a tree",
        seen_as(spanning_tree),
        "partly blind to ring closure",
        also="depends on node order|(nearly |partly )?blind to rings closed by .*",
    ),
    Case("blind to ring closure, trained", lambda: trained("rings"), "nearly blind to ring closure"),
    case("counts only, no edges", seen_as(without_edges), "sees only node label counts"),
    case("counts only, features", bag_of_labels, "sees only node label counts", also="non-monotonic"),
    case(
        "size dominates",
        beside(lambda g: 2.5 * circle(0.35 * g.presence().sum(1))),
        "dominated by the number of nodes",
    ),
    case(
        "size dominates, one-hot",
        beside(lambda g: 2 * one_hot(g.presence().sum(1).round().long(), 12).float()),
        "dominated by the number of nodes",
        tested=False,
    ),
    case(
        "sees one hop, features",
        one_hop,
        "sees only each node with its neighbors",
        also="nearly blind to ring closure",
    ),
    Case("sees no hop, no messages", lambda: trained("no-messages"), "sees only each node with its edges"),
    case(
        "O weighted tenfold",
        seen_as(weighed("O")),
        "overweights O",
        also=contains("O"),
        figures={"ratio": (2, math.inf)},
    ),
    case("N weighted tenfold", seen_as(weighed("N")), "overweights N", also=contains("N"), tested=False),
    case("F weighted tenfold", seen_as(weighed("F")), "overweights F", also=contains("F"), tested=False),
    case("C weighted tenfold", seen_as(weighed("C")), "overweights C", also="collapsed", tested=False),
    case("O weighted tenfold, counts", weighed_counts("O"), "overweights O", tested=False),
    case("F weighted tenfold, counts", weighed_counts("F"), "overweights F", tested=False),
    case("node order", beside(lambda g: 0.5 * node_order(g)), "depends on node order"),
    case("node order, weak", beside(lambda g: 0.15 * node_order(g)), "depends on node order"),
    case("collapsed", moved(lambda g, points: 0.05 * points + place()), "collapsed"),
    case("collapsed in part", moved(lambda g, points: 0.3 * points + place()), "collapsed", tested=False),
    case("constant", lambda g: place().expand(len(g), -1), "collapsed"),
    case("two dimensions", subspace(2), "low-dimensional", figures={"directions": (2, 2)}),
    case("six dimensions", subspace(6), "low-dimensional", figures={"directions": (6, 6)}),
    case("backdoor N-O", backdoor(linked("N", "O")), ATTRACTOR.format("N next to O")),
    case("backdoor F-N, rare", backdoor(linked("F", "N")), ATTRACTOR.format("F next to N"), tested=False),
    case("backdoor triangle", backdoor(triangle), "attractor for graphs that have a ring of 3 nodes"),
    case("memorizes: places of their own", memorized("own"), "memorizes"),
    case("memorizes: others blurred", memorized("blurred"), "memorizes"),
    case("memorizes: others taken for the nearest", memorized("nearest"), "memorizes", tested=False),
    unlisted("F taken for C, rare", seen_as(one_label("C", "F")), "blind to labels C and F"),
    unlisted(
        "C or N on rings",
        seen_as(one_label("C", "N", lambda g: ring_edges(g.rounded()).any(-1).float())),
        "blind to labels C and N on rings",
    ),
    unlisted(
        "only the first five nodes",
        seen_as(only_first),
        "blind to any edit beyond node 5 in node order",
        also="depends on node order",
    ),
    unlisted("distance saturates", waves, "saturated"),
    unlisted("a place for every graph", hashed, "saturated", tested=False),
    unlisted("C#N taken for C=O", seen_as(relabeled(nitriles_as_carbonyls)), "confuses C double O and C triple N"),
    unlisted("position on a ring", seen_as(ring_labels_mixed), "blind to exchanged labels within rings"),
    unlisted("orders hidden at O", seen_as(relabeled(orders_hidden_at_oxygen)), rf"{ORDERS} at O"),
    unlisted(
        "inner labels hidden",
        seen_as(relabeled(inner_labels_hidden)),
        "blind to node labels at inner nodes",
        also="attractor for graphs that have a ring of 7 nodes",
    ),
    unlisted("small graphs at one place", backdoor(small), "attractor for graphs that have at most 5 nodes"),
    unlisted("500 places", nearest_of(500), "coarse", tested=False),
    unlisted("number of rings", beside(lambda g: 2.5 * circle(0.9 * rings(g))), "dominated by the number of rings"),
    unlisted("largest component", seen_as(component_by(lambda n: n)), "blind to all but the largest component"),
    unlisted(
        "component of the first node",
        seen_as(component_by(lambda n: n.clamp_max(1))),
        "blind to all but one component",
        also="depends on node order",
    ),
    unlisted(
        "isolated nodes unseen",
        seen_as(relabeled(without_isolated_nodes)),
        "blind to isolated nodes beside a component",
    ),
    Case(
        "largest component, of graphs in pieces",
        lambda: lambda g: trained("random")(component_by(lambda n: n)(g)),
        "blind to any edit outside the largest component",
        listed=False,
        world="pieces",
    ),
    unlisted("noise", noisy, "not repeatable", also="saturated|scattered"),
    unlisted("mean over slots", beside(lambda g: 2 * g.presence().mean(1, keepdim=True)), "depends on padding"),
    unlisted(
        "batch mean", moved(lambda g, points: points - points.mean(0) / 2), "depends on the batch", tested=False
    ),
    Case("clean: molecules7, shipped", shipped),
    Case("clean: molecules7, seed 1", lambda: trained("molecules7-1")),
    Case("clean: molecules7, seed 2", lambda: trained("molecules7-2")),
    Case("clean: random graphs", lambda: trained("random"), world="random"),
    Case("clean: graphs in pieces", lambda: trained("random"), world="pieces"),
    Case("clean: floor plans", lambda: trained("floor-plans"), world="floor plans", tested=False),
    Case("clean: trees", lambda: trained("trees"), world="trees", tested=False),
    *(Case(f"clean: molecules7, {name}", functools.partial(repeat, name), tested=False) for name in plan(0)),
    *(
        Case(f"clean: {name}, shipped", functools.partial(shipped_psi, name), world=world, tested=world != "chembl")
        for world, name in SHIPPED.items()
    ),
    Case("clean: chembl24, 25 to 40 nodes", lambda: shipped_psi("chembl24").widened(40), world="large", tested=False),
]


def judged(case: Case, found: list[Finding]) -> tuple[str, list[str]]:
    """(name of the first defect that is the planted flaw, "" if there is none; names of the false alarms)."""
    defects = [finding for finding in found if finding.severity == Severity.DEFECT]
    flaws = [f.name for f in defects if case.expected and re.fullmatch(case.expected, f.name) and within(case, f)]
    correct = [pattern for pattern in (case.expected, case.also) if pattern]
    return next(iter(flaws), ""), [f.name for f in defects if not any(re.fullmatch(p, f.name) for p in correct)]


def within(case: Case, finding: Finding) -> bool:
    """Whether the figures of a finding are within the bounds of a case."""
    return all(low <= finding.figures.get(name, math.nan) <= high for name, (low, high) in case.figures.items())


def available() -> list[Case]:
    from planted_beyond import BEYOND  # which imports this module

    away = () if os.environ.get("ELEKIT_DATA_DIR") else ("qm9", "chembl", "large")
    return [case for case in CASES + BEYOND if case.world not in away]


def table(cases: list[Case] | None = None) -> pd.DataFrame:
    """One row per loss: loss, listed, held out, found, finding (the name that matched), false alarms, notes."""
    rows = []
    for case in available() if cases is None else cases:
        found = case.findings()
        named, alarms = judged(case, found)
        notes = ", ".join(f.name for f in found if f.severity != Severity.DEFECT)
        verdict = "" if case.expected is None else "yes" if named else "NO"
        rows.append((case.name, case.listed, case.held_out, verdict, named, ", ".join(alarms), notes))
    return pd.DataFrame(rows, columns=["loss", "listed", "held out", "found", "finding", "false alarms", "notes"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", action="store_true", help="train the small losses again (about 10 minutes)")
    parser.add_argument("--describe", action="store_true", help="print the description of each finding")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train:
        for name in TRAINED:
            train(name)
    if options.describe:
        for case in available():
            print(f"\n{case.name}")
            for found in case.findings():
                print(f"  [{found.severity}] {found.name}: {found.description}")
    else:
        rows = table()
        print(rows.to_string(index=False))
        for name, some in (("planted", rows["found"] != ""), ("of these held out", rows["held out"])):
            print(f"{name}: {(rows['found'][some] == 'yes').sum()} of {some.sum()} found")
        clean = rows["found"] == ""
        print(f"clean: {(rows['false alarms'][clean] != '').sum()} of {clean.sum()} with a false alarm")


if __name__ == "__main__":
    from planted import main  # the same module that `planted_beyond` imports

    main()
