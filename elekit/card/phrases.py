"""Names of edits and properties, and figures, for readers who know neither graphs nor machine learning."""

import math

from elekit.evaluation.formatting import counted, figure, joined, percent, things  # noqa: F401 - re-exported
from elekit.graphs.graph import GraphVocabulary
from elekit.inspect.search import GROUPS

ENDS = 5  # kinds of edits at each end of the price list
SMALL = 0.02  # of a typical edit: smaller losses count as 0; rounding errors are far smaller
TRUE_POINT = "the true point"  # where predictions start, if not from an input


def phrases(vocabulary: GraphVocabulary, molecular: bool) -> dict[str, str]:
    """For each kind of edit of `elekit.graphs.features.detailed_kinds` a phrase such as "replacing C by N"."""
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
    """ " (95 % interval 0.21 to 0.25)", or "" if there is none."""
    return f" (95 % interval {write(low)} to {write(high)})" if math.isfinite(low) and math.isfinite(high) else ""


def tenths(share: float) -> str:
    return f"{100 * share:.1f} %"


def two_digits(value: float) -> str:
    return f"{value:.2f}"


def phrases_of(loss: dict) -> "Phrases":
    """`phrases` of the loss in `Results.facts`."""
    return Phrases(phrases(GraphVocabulary(loss["node_labels"], loss["edge_labels"], 1), loss["molecular"]))


class Phrases(dict):
    """Phrases by kind of edit; an unknown kind is its own phrase."""

    def __missing__(self, kind: str) -> str:
        return kind


AGREEMENT = (  # least rank correlation, and what two distances do with pairs of graphs
    (0.8, "order {pairs} largely alike"),
    (0.5, "order {pairs} partly alike"),
    (0.2, "order {pairs} little alike"),
    (-math.inf, "do not order {pairs} alike"),
)


def agreement_level(correlation: float) -> int:
    """The row of AGREEMENT for a rank correlation."""
    return next(level for level, (least, _) in enumerate(AGREEMENT) if correlation >= least)


def property_names(loss: dict) -> dict[str, str]:
    """Names for readers of the properties of `elekit.audit.properties`; columns of the user's keep their names."""
    word = things(loss["molecular"])
    names = {
        "nodes": f"number of {word['node']}s",
        "edges": f"number of {word['edge']}s",
        "rings": "number of rings",
        "parts": "number of separate parts",
        "leaves": f"number of {word['node']}s at an end",
        "nodes on rings": f"number of {word['node']}s on rings",
        "largest degree": f"most {word['edge']}s at one {word['node']}",
        "diameter": f"longest shortest path through the {word['graph']}",
    }
    names |= {f"nodes: {label}": f"number of {label}" for label in loss["node_labels"]}
    names |= {f"edges: {label}": f"number of {label} {word['edge']}s" for label in loss["edge_labels"]}
    return names | {f"group: {name}": f"having the group {name}" for name in GROUPS}


def ends_of(prices: list[dict]) -> tuple[list[int], list[int]]:
    """Rows of the dearest and of the cheapest kinds of a price list, dearest first: up to 5 each, none in both.

    Only kinds with an interval count: a few cases of a rare kind prove nothing. If no kind has one, all count.
    """
    sure = [row for row, kind in enumerate(prices) if math.isfinite(kind["low"])] or list(range(len(prices)))
    half = min(ENDS, (len(sure) + 1) // 2)
    return sure[:half], sure[max(half, len(sure) - ENDS) :]
