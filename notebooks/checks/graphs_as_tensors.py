"""Checks of notebook 01: a graph built by hand, and the weight at which rounding flips."""

from collections import Counter

import networkx as nx
import torch
from matplotlib.figure import Figure

from checks.verdict import Verdict, as_number, quote
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, from_networkx, to_networkx
from elekit.graphs.smiles import from_smiles, molecule_vocabulary

RING = "O=C1CCOCC1"
LARGE = molecule_vocabulary(["C", "N", "O", "F"], 24)  # a graph that is too large gets a hint instead of an error


def draw_target() -> Figure:
    """Draw the graph to build: a ring of five C and an O, and a second O across from it, on a double edge."""
    return draw_graph(_target())


def _target() -> Graph:
    return from_smiles(RING, molecule_vocabulary(["C", "N", "O", "F"], 7))


def check_ring(answer) -> Verdict:
    """Check that a SMILES string, a networkx graph or a `Graph` is the graph of `draw_target`."""
    try:
        given = _parse(answer)
    except ValueError as error:
        return Verdict(False, f"This is not a valid graph: {error}.")
    if given is None:
        types = "a SMILES string, a networkx graph or a Graph"
        return Verdict(False, f"{quote(answer)} is of type {type(answer).__name__}. Give {types}.")
    if len(given) != 1:
        return Verdict(False, f"This is a batch of {len(given)} graphs. Select one, as in y[0].")
    target = _target()
    hint = _first_difference(*to_networkx(given), *to_networkx(target))
    if hint is None and not isomorphic(given, target).item():
        hint = "The parts are right, but joined elsewhere. How many steps from the ring's O lead straight across?"
    if hint:
        return Verdict(False, hint)
    return Verdict(True, "This is the same graph; the order of your nodes does not matter.")


def _parse(answer) -> Graph | None:
    if isinstance(answer, str):
        return from_smiles(answer, LARGE)
    if isinstance(answer, nx.Graph):
        return from_networkx([answer], LARGE)
    return from_networkx(to_networkx(answer), LARGE) if isinstance(answer, Graph) else None  # of any vocabulary


def _first_difference(given: nx.Graph, target: nx.Graph) -> str | None:
    """A hint on the first difference, from coarse to fine. It describes the given graph, not the target."""
    if len(given) != len(target):
        few_or_many = "few" if len(given) < len(target) else "many"
        return f"Your graph has {len(given)} nodes, too {few_or_many}. Count those in the ring and those outside."
    found, expected = (Counter(label for _, label in g.nodes(data="label")) for g in (given, target))
    if found != expected:
        listed = ", ".join(f"{count} {label}" for label, count in sorted(found.items()))
        return f"The number of nodes is right, but their labels are {listed}. Read the sentence again for each O."
    components = nx.number_connected_components(given)
    if components > 1:
        return f"Your graph has {components} components. Which edge is missing?"
    rings = nx.cycle_basis(given)
    if not rings:
        return "The ring is not closed. One edge must join its last node to its first."
    if len(rings) > 1:
        return f"Your graph has {len(rings)} rings instead of one. Remove an edge."
    if len(rings[0]) != 6:
        return f"Your ring has {len(rings[0])} nodes instead of six."
    found, expected = (Counter(label for *_, label in g.edges(data="label")) for g in (given, target))
    if found != expected:
        listed = ", ".join(f"{count} {label}" for label, count in sorted(found.items()))
        return f"The nodes are right, but the edges are {listed}. Which one is not single?"
    return None


def check_flip(answer, graph: Graph, other: Graph) -> Verdict:
    """Check a weight: the smallest, to 0.01, at which `(1 - w) graph + w other` rounds to a graph other than `graph`.

    Args:
        answer: The weight.
        graph: Batch of one.
        other: Batch of one, over the same vocabulary.

    Returns:
        The verdict; its message says in which direction to go.
    """
    weight = as_number(answer)
    if weight is None:
        return Verdict(False, f"{quote(answer)} is not a weight. Give one number, such as 0.25.")
    if not 0 <= weight <= 1:
        return Verdict(False, f"{weight:g} is outside 0 to 1. The two weights of a mixture are shares and sum to 1.")
    flipped, flipped_before = (
        not isomorphic(_mix(graph, other, w).rounded(), graph.rounded()).item() for w in (weight, weight - 0.01)
    )
    if not flipped:
        return Verdict(False, f"At {weight:.2f} rounding still gives the first graph. The second needs more weight.")
    if flipped_before:
        return Verdict(
            False,
            f"At {weight:.2f} the graph has flipped, but it already has at {weight - 0.01:.2f}. Find the first flip.",
        )
    return Verdict(True, f"Just below {weight:.2f} rounding gives the first graph, at {weight:.2f} another one.")


def _mix(graph: Graph, other: Graph, weight: float) -> Graph:
    nodes = torch.lerp(graph.nodes, other.nodes, weight)
    return Graph(nodes, torch.lerp(graph.edges, other.edges, weight), graph.vocabulary)
