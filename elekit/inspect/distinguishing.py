"""What sets some graphs apart from others, and named groups on a map."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
import torch

from elekit.graphs._optional import extra
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.inspect.search import FEW_LABELS, GROUPS, Search, overview

WORDS, EDGES, CLASSES = 200, 100, 60  # most frequent words and labeled edges, and most classes of a column
RARE = 0.005  # features that a smaller share of graphs has, or lacks, are left out
COUNTED = 5  # numbers at which a count is cut
FITTED = 20_000  # points that groups are fitted to; the rest join the nearest group
LIFT = 1.5  # a feature that names a group is so many times as frequent in it
MIXED = "mixed"  # the name of a group that nothing sets apart
SAME = 0.6  # correlation of two features that say much the same
_WORD = re.compile(r"[^\W\d_][\w-]+")


def graph_features(
    graphs: GraphBatch, frame: pd.DataFrame | None = None, texts: Sequence[str] | None = None
) -> pd.DataFrame:
    """Yes or no questions about each graph, by which `distinguishing_features` compares graphs.

    Args:
        graphs: n graphs.
        frame: n rows; its columns of truth values, or of at most 60 different texts, are features too.
        texts: n texts, such as the inputs; frequent words are features too.

    Returns:
        n rows of truth values. A column is named by what it says of a graph, such as "2 × N or more", "C double O",
        "ketone" or "3 rings or more". Features that fewer than 0.5 % of the graphs have, or lack, are left out.
    """
    table, names = overview(graphs, frame), graphs.vocabulary.node_labels
    found: dict[str, np.ndarray] = {}
    for name in ("nodes", "edges", "rings"):
        values = table[name].to_numpy()
        for value in np.unique(np.quantile(values, np.linspace(0, 1, COUNTED + 1)).round()):
            found[f"{value:.0f} {name if value > 1 else name[:-1]} or more"] = values >= value
    for label in names if len(names) <= FEW_LABELS else ():
        count = table[f"nodes: {label}"].to_numpy()
        found |= {label: count > 0, f"2 × {label} or more": count > 1}
    found |= _labeled_edges(PackedGraphs.of(graphs))
    search = Search(table, graphs)
    if search.molecular:
        found |= {name: search.having(smarts) for name, smarts in GROUPS.items()}
    found |= {} if texts is None else _words(texts)
    for name, column in () if frame is None else frame.items():
        kinds = column.astype(str)
        numbers = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if not numbers and kinds.nunique() <= CLASSES:
            found |= {f"{name}: {kind}": (kinds == kind).to_numpy() for kind in kinds.unique()}
    kept = {name: has for name, has in found.items() if RARE < has.mean() < 1 - RARE}
    return pd.DataFrame(kept, index=range(len(graphs)))


def _labeled_edges(packed: PackedGraphs) -> dict[str, np.ndarray]:
    """Which graphs have an edge of a label between two labels: the most frequent ones, such as "C double O"."""
    words, (start, end) = packed.vocabulary, packed.node_labels[packed.pairs].long()
    there, back = packed.edge_labels.long(), words.turn(packed.edge_labels).long()
    ways = [
        (one * words.R + edge) * words.K + other for one, edge, other in ((start, there, end), (end, back, start))
    ]
    codes = torch.minimum(*ways).cpu().numpy()  # of the two ways to read an edge
    rows, found = packed.rows[packed.pairs[0]].cpu().numpy(), dict[str, np.ndarray]()
    kinds, times = np.unique(codes, return_counts=True)
    for code in kinds[np.argsort(-times, kind="stable")][:EDGES].tolist():
        has = np.zeros(len(packed), dtype=bool)
        has[rows[codes == code]] = True
        first, edge, second = code // words.K // words.R, code // words.K % words.R, code % words.K
        found[f"{words.node_labels[first - 1]} {words.edge_names[edge]} {words.node_labels[second - 1]}"] = has
    return found


def _words(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Which texts have a word: the most frequent ones but "and" and the like."""
    with extra("card"):
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = [set(_WORD.findall(text.lower())) for text in texts]
    counts = Counter(word for each in words for word in each - ENGLISH_STOP_WORDS)
    return {
        f"“{word}”": np.fromiter((word in each for each in words), bool, len(words))
        for word, _ in counts.most_common(WORDS)
    }


def distinguishing_features(
    table: pd.DataFrame, rows: np.ndarray, others: np.ndarray | None = None, *, most: int = 8
) -> pd.DataFrame:
    """Features by which some graphs differ most from others.

    Args:
        table: n rows of truth values, as of `graph_features`.
        rows: Rows of the graphs.
        others: Rows that they are compared with; None = all the rest.
        most: Number of features listed.

    Returns:
        Columns feature, share (of the graphs that have it), elsewhere (share of the others) and correlation (phi
        coefficient of having it and being among the graphs, in [-1, 1]), by falling |correlation|. Only features that
        differ by more than chance are listed (5 % for all features together, Bonferroni); of those with equal shares
        on both sides, one.

    Raises:
        ValueError: If one side has no graphs, or both share graphs.
    """
    inside = np.unique(np.asarray(rows, dtype=np.int64))
    outside = np.setdiff1d(np.arange(len(table)), inside) if others is None else np.unique(others).astype(np.int64)
    if not len(inside) or not len(outside):
        raise ValueError("both sides need graphs: select some, but not all")
    if np.intersect1d(inside, outside).size:
        raise ValueError("the two sides share graphs; subtract one from the other first")
    values = table.to_numpy(dtype=np.float32)
    share, elsewhere = values[inside].mean(0).astype(float), values[outside].mean(0).astype(float)
    weight = len(inside) / (len(inside) + len(outside))
    mean = weight * share + (1 - weight) * elsewhere
    spread = np.sqrt(np.maximum(mean * (1 - mean), 1e-12) / (weight * (1 - weight)))
    phi = (share - elsewhere) / np.maximum(spread, 1e-12)
    found = pd.DataFrame({"feature": table.columns, "share": share, "elsewhere": elsewhere, "correlation": phi})
    chance = NormalDist().inv_cdf(1 - 0.05 / (2 * max(len(found), 1))) / (len(inside) + len(outside)) ** 0.5
    found = found[np.abs(phi) > chance].drop_duplicates(["share", "elsewhere"])
    order = found["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order[:most]].reset_index(drop=True)


@dataclass(frozen=True)
class Group:
    """Graphs that lie together on a map: level (0 = coarse), place (2,) on the map, rows, name."""

    level: int
    place: tuple[float, float]
    rows: np.ndarray
    name: str


def map_groups(
    positions: np.ndarray, table: pd.DataFrame, *, counts: Sequence[int] = (6, 24), seed: int = 0
) -> list[Group]:
    """Group graphs that lie together on a map, and name each group by what sets it apart from the rest.

    Args:
        positions: (n, 2) map positions.
        table: n rows of truth values, as of `graph_features`.
        counts: Number of groups at each level, coarse to fine; k-means.
        seed: Seed of k-means.

    Returns:
        The groups of all levels. A group that nothing sets apart has the name "mixed".
    """
    with extra("card"):
        from sklearn.cluster import KMeans

    found = []
    some = np.random.default_rng(seed).permutation(len(positions))[:FITTED]
    for level, count in enumerate(counts):
        count = min(count, len(np.unique(positions[some], axis=0)))
        if count < 2:
            break
        near = KMeans(count, n_init=4, random_state=seed).fit(positions[some].astype(np.float64))
        of = near.predict(positions.astype(np.float64))
        for k in range(count):
            rows = np.flatnonzero(of == k)
            if 0 < len(rows) < len(positions):
                found.append(
                    Group(level, tuple(np.median(positions[rows], axis=0).tolist()), rows, _name(table, rows))
                )
    return found


def _name(table: pd.DataFrame, rows: np.ndarray) -> str:
    """Two features that most of the graphs have, and have more often than the rest; "mixed" if there are none."""
    found = distinguishing_features(table, rows, most=20)
    own = found[(found["share"] > 0.4) & (found["share"] > LIFT * found["elsewhere"])]["feature"].tolist()
    other = [name for name in own[1:] if table[own[0]].corr(table[name]) < SAME]
    return ", ".join(own[:1] + other[:1]) or MIXED
