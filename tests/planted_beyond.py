"""Further flaws: weaker ones, two at once, other kinds; `python tests/planted.py` lists them.

A random half is held out: it was not used while the checks and their bounds were made.
"""

import functools
import math

import networkx as nx
import torch
from planted import (
    ATTRACTOR,
    MULTIPLE,
    ORDERS,
    Case,
    backdoor,
    bag_of_labels,
    beside,
    case,
    channel,
    circle,
    contains,
    counts,
    edge_channel,
    graphs_of,
    linked,
    molecules7,
    moved,
    node_order,
    noise,
    one_edge,
    one_label,
    place,
    relabeled,
    rings,
    seen_as,
    shipped,
    trained,
    triangle,
    weighed,
)
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from elekit.graphs.features import ring_edges
from elekit.graphs.graph import Graph, to_networkx
from elekit.graphs.weisfeiler_lehman import graph_hashes, node_colors


def mix(share: float, one, other=None):
    """The loss is `share` of one loss, the rest of another (None: the shipped one)."""
    return lambda graph: torch.cat([share**0.5 * one(graph), (1 - share) ** 0.5 * (other or shipped())(graph)], 1)


def names(graph: Graph) -> Tensor:
    """(B,) a number for each graph, whatever the order of its nodes."""
    return graph_hashes(graph, 8)[:, -1]


def at_random(numbers: Tensor) -> Tensor:
    """(B, D) a place for each number."""
    return torch.stack([place(seed=number % 2**62) for number in numbers.tolist()])


def features(values: Tensor, scale: float, D: int = 64) -> Tensor:
    """Random features of counts (B, F), so that any two differ."""
    weight = scale * torch.randn(values.shape[1], D, generator=torch.Generator().manual_seed(1))
    angle = values.float() @ weight
    return normalize(torch.cat([angle.cos(), angle.sin()], 1), dim=1)


def changed(change):
    """Edges (B, N, N) of the given graphs, changed in place by `change(b, nodes, edges, cycle)` for each small cycle."""

    def whole(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
        for b, drawn in enumerate(to_networkx(graph.rounded())):
            for cycle in nx.minimum_cycle_basis(drawn):
                change(b, nodes, edges, cycle, graph)

    return seen_as(relabeled(whole))


def six_orders(b, nodes, edges, cycle, graph):
    for i, j in zip(cycle, cycle[1:] + cycle[:1]) if len(cycle) == 6 else ():
        edges[b, i, j] = edges[b, j, i] = edges[b, i, j].clamp_max(1)


def five_labels(b, nodes, edges, cycle, graph):
    if len(cycle) == 5:
        nodes[b, cycle] = channel(graph, "C")


def skeleton(nodes: Tensor, edges: Tensor, graph: Graph) -> None:
    nodes[nodes > 0] = channel(graph, "C")


def labels_hidden_in_large(nodes, edges, graph):
    nodes[(nodes > 0) & ((nodes > 0).sum(1) >= 7)[:, None]] = channel(graph, "C")


def orders_hidden_in_small(nodes, edges, graph):
    edges[(edges > 0) & ((nodes > 0).sum(1) <= 5)[:, None, None]] = 1


def orders_hidden_off_rings(nodes, edges, graph):
    edges[(edges > 0) & ~ring_edges(graph.rounded())] = 1


def labels_hidden_at_leaves(nodes, edges, graph):
    nodes[((edges > 0).sum(-1) == 1) & (nodes > 0)] = channel(graph, "C")


def held(label: str, count: float = 0.5):
    return lambda graph: graph.nodes[..., channel(graph, label)].sum(1) > count


def flag(holds: Tensor) -> Tensor:
    return holds.float()[:, None]


def scattered(share: float, where=None):
    """Each graph (where) moved to a place of its own."""
    return moved(lambda g, points: points + share * (flag(where(g)) if where else 1) * at_random(names(g)))


def pulled_to(times: float, where, target):
    return moved(lambda g, points: points + times * flag(where(g)) * target())


def own_place(g: Graph) -> Tensor:
    """A fifth of the given graphs have places of their own."""
    known = {name: i for i, name in enumerate(names(graphs_of("molecules7")[0][:60]).tolist())}
    rows = torch.tensor([known.get(name, -1) for name in names(g).tolist()])
    return torch.where((rows >= 0)[:, None], at_random(rows.clamp_min(0) + 1), shipped()(g))


def given(g: Graph) -> Tensor:
    known = set(names(graphs_of("molecules7")[0]).tolist())
    return torch.tensor([name in known for name in names(g).tolist()])


@functools.cache
def spectrum_of_points() -> tuple[Tensor, Tensor, Tensor]:
    points = shipped().embed(molecules7().train.sample(800, seed=3).graphs)
    weight = torch.full((points.shape[1],), 0.15)
    weight[:4] = 1.0
    return points.mean(0), torch.linalg.svd(points - points.mean(0), full_matrices=False)[2], weight


def five_directions(g: Graph) -> Tensor:
    mean, directions, weight = spectrum_of_points()
    return normalize((shipped()(g) - mean) @ directions.T * weight, dim=1)


def two_hops(g: Graph) -> Tensor:
    colors = node_colors(g.rounded(), 2)[-1]
    points = torch.zeros(len(g), 128)
    for b, row in enumerate(colors.tolist()):
        for color in filter(None, row):
            points[b] += place(128, seed=color % 2**62)
    return normalize(points, dim=1)


def degrees(g: Graph) -> Tensor:
    degree = ((g.edges[..., 1:].sum(-1) > 0.5).sum(-1) * (g.presence() > 0.5)).long()
    return features(one_hot(degree, 8).float().sum(1)[:, 1:], 0.6)


def moments(g: Graph) -> Tensor:
    """Of the spectrum of the labeled graph without the labels of its edges."""
    diagonal = torch.diag_embed(0.7 * g.nodes[..., 1:] @ torch.arange(g.vocabulary.K - 1.0))
    values = torch.linalg.eigvalsh(g.edges[..., 1:].sum(-1) + diagonal)
    return features(torch.stack([(values**k).sum(1) / 3**k for k in range(1, 6)], 1), 0.5)


def on_a_grid(g: Graph, points: Tensor) -> Tensor:
    step = 2.7 / points.shape[1] ** 0.5  # times the root of the mean square
    return (points / step).round() * step + 1e-9


def by_rarity(g: Graph) -> Tensor:
    return torch.tensor(
        [2.0 if label == "F" else 0.05 if label == "C" else 0.2 for label in g.vocabulary.node_labels]
    )


def branchings(g: Graph) -> Tensor:
    return (g.edges[..., 1:].sum((2, 3)) > 2.5).float().sum(1)


def order_told_with_fluorine(g: Graph) -> Tensor:
    return 0.6 * flag(held("F")(g)) * node_order(g)


def edges_of(g: Graph, label: str) -> Tensor:
    return g.edges[..., edge_channel(g, label)].sum((1, 2)) / 2


def edge_weighed(label: str, times: float):
    def change(graph: Graph) -> Graph:
        edges = graph.edges.clone()
        edges[..., edge_channel(graph, label)] *= times
        return Graph(graph.nodes, edges, graph.vocabulary)

    return seen_as(change)


def rows(g: Graph) -> Tensor:
    return 0.4 * circle(0.05 * torch.arange(len(g)).float())


def no_longer_a_unit(g: Graph) -> Tensor:
    return shipped()(g) * (1 - flag(held("F")(g)))


def random_world(change):
    """A case's psi of the loss that was trained on random graphs."""
    return lambda: lambda g: change(g, trained("random"))


def looked_at(name, psi, expected, **options) -> Case:
    return case(name, psi, expected, listed=False, **{"tested": False, **options})


def held_out(name, psi, expected, **options) -> Case:
    return looked_at(name, psi, expected, held_out=True, **options)


N_AND_O = seen_as(one_label("N", "O"))
BEYOND = [
    looked_at("97 % blind to N or O", mix(0.97, N_AND_O), "blind to labels N and O"),
    looked_at("90 % blind to N or O", mix(0.9, N_AND_O), "nearly blind to labels N and O"),
    held_out("90 % blind to edge order", mix(0.9, seen_as(one_edge(*MULTIPLE))), rf"nearly {ORDERS}"),
    held_out(
        "80 % blind to single or double",
        mix(0.8, seen_as(one_edge("double"))),
        "nearly blind to (edges|bond orders) .*",
    ),
    looked_at("all labels of nodes", seen_as(relabeled(skeleton)), "blind to node labels"),
    looked_at(
        "skeleton and counts, not what is where",
        mix(0.67, seen_as(relabeled(skeleton)), bag_of_labels),
        "blind to exchanged labels",
    ),
    looked_at(
        "labels in graphs of 7 nodes",
        seen_as(relabeled(labels_hidden_in_large)),
        "blind to node labels in graphs that have at least 7 nodes",
    ),
    held_out(
        "orders in graphs of up to 5 nodes",
        seen_as(relabeled(orders_hidden_in_small)),
        rf"{ORDERS} in graphs that have (exactly|at most) 5 nodes",
    ),
    held_out("orders on rings of 6", changed(six_orders), rf"{ORDERS} (on|in .*) rings? of 6 nodes"),
    looked_at("labels on rings of 5", changed(five_labels), "blind to node labels on rings of 5"),
    held_out("orders off rings", seen_as(relabeled(orders_hidden_off_rings)), rf"{ORDERS} off rings"),
    held_out("labels of leaves", seen_as(relabeled(labels_hidden_at_leaves)), "blind to node labels at leaves"),
    looked_at(
        "triple taken for single", seen_as(one_edge("triple")), r"blind to edges single and triple \(edge order\)"
    ),
    looked_at(
        "two at once: N or O, size dominates",
        lambda g: normalize(torch.cat([N_AND_O(g), 2.5 * circle(0.35 * g.presence().sum(1))], 1), dim=1),
        "blind to labels N and O",
        also="dominated by the number of nodes",
        tested=True,
    ),
    looked_at(
        "two at once: edge order, a backdoor",
        lambda g: normalize(seen_as(one_edge(*MULTIPLE))(g) + 6 * flag(linked("N", "O")(g)) * place(), dim=1),
        ATTRACTOR.format("N next to O"),
        also=ORDERS,
    ),
    looked_at("scattered at random", scattered(0.7), "scattered", figures={"floor": (0.6, math.inf)}, tested=True),
    looked_at("scattered gently", scattered(0.4), "scattered", figures={"floor": (0.6, math.inf)}),
    looked_at(
        "a fifth scattered",
        scattered(3, lambda g: names(g) % 5 == 0),
        "scattered",
        figures={"share": (0.05, 0.5)},
        tested=True,
    ),
    looked_at(
        "N next to O scattered",
        scattered(3, linked("N", "O")),
        "overprices any edit in graphs that contain N next to O",
    ),
    looked_at("place in the batch", beside(rows), "depends on the batch"),
    looked_at("node order, of graphs with F", beside(order_told_with_fluorine), "depends on node order"),
    held_out("node order, the first node", beside(lambda g: 0.3 * g.nodes[:, 0]), "depends on node order"),
    held_out("slight noise", moved(lambda g, p: p + noise(p, 0.32)), "not repeatable"),
    held_out("graphs with F have no place", no_longer_a_unit, "not of unit length", also=".*F"),
    looked_at(
        "backdoor: 6 nodes",
        backdoor(lambda g: (g.presence().sum(1) - 6).abs() < 0.5),
        "attractor for graphs that have exactly 6 nodes",
        tested=True,
    ),
    looked_at(
        "backdoor: two rings", backdoor(lambda g: rings(g) > 1.5), "attractor for graphs that have at least 2 rings"
    ),
    looked_at("backdoor: two N", backdoor(held("N", 1.5)), "attractor for graphs that contain at least 2 N"),
    looked_at("backdoor, weak", pulled_to(2, linked("N", "O"), place), ATTRACTOR.format("N next to O")),
    held_out(
        "backdoor: triple edges to a given graph",
        pulled_to(6, lambda g: edges_of(g, "triple") > 0.5, lambda: shipped()(molecules7().train.graphs[5:6])),
        "attractor for graphs that contain an edge triple",
        also="overweights edge triple",
    ),
    held_out(
        "backdoor: F and a triangle together",
        backdoor(lambda g: held("F")(g) & triangle(g)),
        "attractor for graphs that .*(F|ring of 3).*",
        also="coincident graphs",
    ),
    looked_at(
        "two heaps at random",
        moved(lambda g, p: p + 2 * (1 - 2.0 * (names(g) % 2))[:, None] * place()),
        "two clusters",
        tested=True,
    ),
    held_out(
        "more edges cost less: their parity",
        beside(lambda g: 1.5 * circle(3.14159 * g.edges[..., 1:].sum((1, 2, 3)) / 2)),
        "two clusters by whether graphs have an (even|odd) number of edges",
    ),
    held_out(
        "opposite sides by parity of double edges",
        moved(lambda g, p: p * (1 - 2 * (edges_of(g, "double").round() % 2))[:, None]),
        ".*edge double.*",
    ),
    held_out(
        "three of N, O and F count as none",
        lambda g: normalize(
            torch.cat([0.7 * seen_as(relabeled(skeleton))(g), circle(2.094 * g.nodes[..., 2:].sum((1, 2)))], 1), dim=1
        ),
        "blind to labels N and O",
        also="(nearly )?blind to labels .*|overweights .*",
    ),
    held_out(
        "labels of edges counted, nothing else",
        lambda g: features(g.edges[..., 1:].sum((1, 2)) / 2, 0.5),
        "sees only node( and edge)? label counts",
        also=".*single.*",
    ),
    looked_at(
        "degrees counted, nothing else",
        degrees,
        "blind to node labels",
        also="sees only each node .*|.*bond orders.*|.*leaves.*|saturated",
    ),
    held_out("moments of the spectrum", moments, ORDERS, also="overweights .*"),
    held_out("two hops", two_hops, "sees only what lies within two edges of each node"),
    held_out("five directions", five_directions, "low-dimensional"),
    held_out("rounded to a grid", moved(on_a_grid), "coarse"),
    looked_at("memorizes a fifth", own_place, "memorizes", figures={"share": (0.195, 0.205)}, tested=True),
    held_out("given graphs drawn together", moved(lambda g, p: p + flag(given(g)) * place()), "memorizes"),
    looked_at("double edges weighted fivefold", edge_weighed("double", 5.0), "overweights edge double"),
    held_out(
        "triple edges weighted eightfold",
        edge_weighed("triple", 8.0),
        "overweights edge triple",
        also=".*edge triple",
    ),
    looked_at("O weighted fourfold", seen_as(weighed("O", 4.0)), "overweights O"),
    looked_at(
        "F counts most, as the rarest",
        beside(lambda g: counts(g) * by_rarity(g)),
        "overweights F",
        also=contains("F"),
    ),
    looked_at(
        "size dominates, gently",
        beside(lambda g: 1.2 * circle(0.5 * g.presence().sum(1))),
        "dominated by the number of nodes",
    ),
    looked_at(
        "branchings dominate",
        beside(lambda g: 2.5 * circle(0.5 * branchings(g))),
        "dominated by the number of branchings",
    ),
    Case(
        "random graphs: red taken for blue",
        random_world(lambda g, psi: psi(one_label("red", "blue")(g))),
        "blind to labels blue and red",
        listed=False,
        world="random",
        tested=False,
        held_out=True,
    ),
    Case(
        "random graphs: five edges at a node",
        random_world(
            lambda g, psi: normalize(
                psi(g) + 6 * flag((g.edges[..., 1:].sum((2, 3)) > 4.5).any(1)) * place(64), dim=1
            )
        ),
        "attractor for graphs that have at least 5 edges at one node",
        listed=False,
        world="random",
        tested=False,
    ),
]
