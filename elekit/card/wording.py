"""Kinds of edits and figures in words for readers who know neither graphs nor machine learning."""

import math

from elekit.evaluation.formatting import counted, figure, joined, percent, things  # noqa: F401 - words, all from here
from elekit.graphs.graph import GraphVocabulary

ENDS = 5  # kinds of edits at each end of the price list
CHECKS = (  # what `elekit.audit.findings` asks, for readers
    "the same graph, written differently or asked again, gets another price",
    "unrelated graphs lie at one place, or in a few heaps",
    "the points fill only a few directions of the sphere",
    "some change costs nothing, or a label, an edge or a ring is not seen",
    "different graphs with the same parts lie at one place",
    "one count, label or kind of change drowns everything else",
    "one pattern pulls graphs to one place",
    "graphs it was trained on are treated otherwise than others",
    "some change costs out of all proportion",
    "a single change costs as much as a different graph altogether",
)
SMALL = 0.02  # of a typical edit: what lies nearer counts as one place; rounding stays far below


def phrases(vocabulary: GraphVocabulary, molecular: bool) -> dict[str, str]:
    """For each kind of edit, as of `elekit.graphs.features.detailed_kinds`, what is done, as "replacing C by N"."""
    word = things(molecular)
    node, edge, whole = word["node"], word["edge"], word["graph"]
    labels, links = vocabulary.node_labels, vocabulary.edge_labels
    found = {
        "remove leaf": f"removing {_a(node)} at an end",
        "remove node": f"removing {_a(node)} from the inside with its {edge}s",
        "open a ring": f"taking {_a(edge)} out of a ring",
        "cut an edge": f"cutting {_a(edge)} that alone holds two parts of the {whole} together",
        "shift order": f"moving {edge} order from one {edge} to the next",
    }
    for a in labels:
        found[f"add {a} on its own"] = f"adding {a} that is tied to nothing"
        found |= {f"relabel {a} to {b}": f"replacing {a} by {b}" for b in labels if a != b}
        found |= {f"add leaf {a} by {r} edge": f"attaching {a} by a {r} {edge}" for r in links}
        found |= {f"swap labels {a} and {b}": f"swapping {a} and {b}" for b in labels}
    for r in links:
        found[f"close a ring with a {r} edge"] = f"closing a ring with a {r} {edge}"
        found[f"join parts with a {r} edge"] = f"joining two separate parts by a {r} {edge}"
        found[f"move a {r} edge"] = f"moving a {r} {edge}"
        found |= {f"edge {r} to {s}": f"turning a {r} {edge} into a {s} one" for s in links if r != s}
    return found


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def between(low: float, high: float, write=figure) -> str:
    """ " (95 % interval 0.21 to 0.25)", "" where there is none."""
    return f" (95 % interval {write(low)} to {write(high)})" if math.isfinite(low) and math.isfinite(high) else ""


def phrases_of(loss: dict) -> "Phrases":
    """`phrases` of a loss as of `Measured.facts`; a kind that is not among them stands for itself."""
    return Phrases(phrases(GraphVocabulary(loss["node_labels"], loss["edge_labels"], 1), loss["molecular"]))


class Phrases(dict):
    """Phrases by kind of edit."""

    def __missing__(self, kind: str) -> str:
        return kind


def how_far(correlation: float) -> str:
    """A rank correlation in words, with a place for the pairs that are put in order."""
    for least, words in ((0.8, "largely"), (0.5, "partly"), (0.2, "little")):
        if correlation >= least:
            return f"order {{pairs}} {words} alike"
    return "do not order {pairs} alike"


def property_in_words(name: str, word: dict[str, str]) -> str:
    """What a property of `elekit.audit.properties` is called; a column of the user's keeps its name."""
    plain = {
        "nodes": f"number of {word['node']}s",
        "edges": f"number of {word['edge']}s",
        "rings": "number of rings",
        "parts": "number of separate parts",
        "leaves": f"number of {word['node']}s at an end",
        "nodes on rings": f"number of {word['node']}s on rings",
        "largest degree": f"most {word['edge']}s at one {word['node']}",
        "diameter": f"longest shortest way through the {word['graph']}",
    }
    head, _, label = name.partition(": ")
    heads = {
        "nodes": f"number of {label}",
        "edges": f"number of {label} {word['edge']}s",
        "group": f"having the group {label}",
    }
    return plain.get(name) or (heads.get(head, name) if label else name)


def ends_of(prices: list[dict]) -> tuple[list[int], list[int]]:
    """Rows of the dearest and of the cheapest kinds of a price list, dearest first: up to 5 each, none in both.

    Only kinds that stand in enough graphs for an interval: two cases of a rare kind say nothing. Where no kind does,
    all of them count.
    """
    sure = [row for row, kind in enumerate(prices) if math.isfinite(kind["low"])] or list(range(len(prices)))
    half = min(ENDS, (len(sure) + 1) // 2)
    return sure[:half], sure[max(half, len(sure) - ENDS) :]
