"""Checks of notebook 01: a graph built by hand, and where rounding flips."""

from collections import Counter

import networkx as nx
import torch

from checks.verdict import Verdict, number, quoted
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, from_networkx, to_networkx
from elekit.graphs.smiles import from_smiles, molecule_vocabulary

RING = "O=C1CCOCC1"
ROOMY = molecule_vocabulary(["C", "N", "O", "F"], 24)  # so that a graph too large is told apart, not refused


def ring_wanted() -> Graph:
    """What is to be built: a ring of five C and an O, and across from that O another, by a double edge; 7 slots."""
    return from_smiles(RING, molecule_vocabulary(["C", "N", "O", "F"], 7))


def check_ring(answer) -> Verdict:
    """Whether a SMILES, a networkx graph or a `Graph` is the ring that was asked for, up to the order of its nodes."""
    try:
        given = _read(answer)
    except ValueError as refused:
        return Verdict(False, f"this cannot be read as a graph: {refused}.")
    if given is None:
        what = "a SMILES text, a networkx graph or a Graph"
        return Verdict(False, f"give {what}; {quoted(answer)} is {type(answer).__name__}.")
    if len(given) != 1:
        return Verdict(
            False, f"one graph is asked for, this is a batch of {len(given)}; take one of them, as in y[0]."
        )
    wanted = ring_wanted()
    (mine,), (asked,) = to_networkx(given), to_networkx(wanted)
    hint = _difference(mine, asked)
    if hint is None and not isomorphic(given, wanted).item():
        hint = "the parts are right, but joined elsewhere; follow the ring from its O: after how many steps are you across?"
    if hint:
        return Verdict(False, hint)
    return Verdict(True, "the same graph, whatever the order of your nodes.")


def _read(answer) -> Graph | None:
    if isinstance(answer, str):
        return from_smiles(answer, ROOMY)
    if isinstance(answer, nx.Graph):
        return from_networkx([answer], ROOMY)
    return answer if isinstance(answer, Graph) else None


def _difference(mine: nx.Graph, asked: nx.Graph) -> str | None:
    """The first thing that two graphs do not share, from coarse to fine; it tells what there is, not what there should be."""
    found, missing = len(mine), len(asked) - len(mine)
    if missing:
        many = "few" if missing > 0 else "many"
        return f"too {many} nodes: {found}. Count those of the ring, and those that hang on it."
    labels, wanted = (Counter(label for _, label in g.nodes(data="label")) for g in (mine, asked))
    if labels != wanted:
        listed = ", ".join(f"{count} {label}" for label, count in sorted(labels.items()))
        return f"as many nodes as asked for, but their labels are {listed}; read the sentence again for each O."
    pieces = nx.number_connected_components(mine)
    if pieces > 1:
        return f"your graph falls into {pieces} pieces; which edge is missing?"
    rings = nx.cycle_basis(mine)
    if not rings:
        return "the ring is not closed: one edge should join its last node with its first."
    if len(rings) > 1:
        return f"it has {len(rings)} rings, one is asked for; an edge is too many."
    if len(rings[0]) != 6:
        return f"your ring has {len(rings[0])} nodes, six are asked for."
    kinds, wanted = (Counter(label for *_, label in g.edges(data="label")) for g in (mine, asked))
    if kinds != wanted:
        listed = ", ".join(f"{count} {label}" for label, count in sorted(kinds.items()))
        return f"the nodes are right, but the edges are {listed}; which one is not single?"
    return None


def check_flip(answer, graph: Graph, other: Graph) -> Verdict:
    """Whether a weight, to a hundredth, is the smallest at which `(1 - w) graph + w other` rounds to another graph.

    graph, other: batches of one, of one vocabulary.
    """
    weight = number(answer)
    if weight is None:
        return Verdict(False, f"the weight is one number, such as 0.25; {quoted(answer)} is none.")
    if not 0 <= weight <= 1:
        return Verdict(
            False, f"{weight:g} lies outside 0 to 1: the two weights of a mixture are shares, and sum to 1."
        )
    here, before = (
        not isomorphic(_mixed(graph, other, w).rounded(), graph.rounded()).item() for w in (weight, weight - 0.01)
    )
    if not here:
        return Verdict(
            False, f"at {weight:.2f} rounding still gives the graph you began with; the other must weigh more."
        )
    if before:
        return Verdict(
            False, f"at {weight:.2f} it has flipped, but at {weight - 0.01:.2f} it already had; go back to the first."
        )
    return Verdict(True, f"just below {weight:.2f} rounding still gives the first graph, at {weight:.2f} no longer.")


def _mixed(graph: Graph, other: Graph, weight: float) -> Graph:
    nodes = torch.lerp(graph.nodes, other.nodes, weight)
    return Graph(nodes, torch.lerp(graph.edges, other.edges, weight), graph.vocabulary)
