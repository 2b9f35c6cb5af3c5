"""Names of edits and properties for readers who know neither graphs nor machine learning; classes of figures."""

import itertools
import math

from elekit.card.texts import TEXTS
from elekit.evaluation.formatting import things, with_article
from elekit.inspect.search import GROUPS

ENDS = 5  # kinds of edits at each end of the price list
SMALL = 0.02  # of a typical edit: smaller losses count as 0; rounding errors are far smaller
TRUE_POINT = "the true point"  # where predictions start, if not from an input
AGREEMENT = (
    0.8,
    0.5,
    0.2,
)  # least rank correlations of two distances that order pairs largely, partly, a little alike


def edit_phrases(loss: dict) -> dict[str, str]:
    """For each kind of `elekit.graphs.features.detailed_kinds` a phrase such as "replacing C by N"."""
    return _expanded(TEXTS["edits"], loss)


def property_names(loss: dict) -> dict[str, str]:
    """Names for readers of the properties of `elekit.audit.properties`; columns of the user's keep their names."""
    return _expanded(TEXTS["properties"], loss)


def _expanded(texts: dict[str, str], loss: dict) -> dict[str, str]:
    """Fill in the nouns of a loss in `Results.facts`, and each of its labels for the placeholders of a key."""
    words = things(loss["molecular"])
    words |= {f"a_{word}": with_article(words[word]) for word in ("node", "edge")}
    nodes, edges = loss["node_labels"], loss["edge_labels"]
    labels, found = {"a": nodes, "b": nodes, "r": edges, "s": edges, "group": GROUPS}, {}
    for key, text in texts.items():
        names = [name for name in labels if f"{{{name}}}" in key]
        for values in itertools.product(*(labels[name] for name in names)):
            given = dict(zip(names, values))
            articles = {f"an_{name}": with_article(given[name]) for name in given if name in ("r", "s")}
            found[key.format(**given)] = text.format(**words, **given, **articles)
    return found


def agreement_level(correlation: float) -> int:
    """0 for the strongest of the classes of AGREEMENT, 3 below all of them."""
    return sum(correlation < least for least in AGREEMENT)


def agreement_levels(row: dict) -> tuple[int, int]:
    """The classes of both ends of the interval of a rank correlation, the stronger first."""
    ends = (row["high"], row["low"]) if math.isfinite(row["low"]) else (row["spearman"], row["spearman"])
    strongest, weakest = map(agreement_level, ends)
    return strongest, weakest


def ends_of(prices: list[dict]) -> tuple[list[int], list[int]]:
    """Rows of the dearest and of the cheapest kinds of a price list, dearest first: up to 5 each, none in both.

    Only kinds with an interval count: a few cases of a rare kind prove nothing. If no kind has one, all count.
    """
    sure = [row for row, kind in enumerate(prices) if math.isfinite(kind["low"])] or list(range(len(prices)))
    half = min(ENDS, (len(sure) + 1) // 2)
    return sure[:half], sure[max(half, len(sure) - ENDS) :]
