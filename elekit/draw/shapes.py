"""Geometry and colors of drawn graphs, the same in matplotlib and in SVG."""

import re

import numpy as np

from elekit.draw.base import ATOM_COLORS, OKABE_ITO, chosen_atom_colors, require_single
from elekit.graphs.graph import Graph, GraphVocabulary

ATOM = re.compile(r"([A-Z][a-z]?)([+-]*)H?")  # element and charge; aromatic atoms may carry a hydrogen
AROMATIC = 1.5
HEAD = 0.22, 0.18  # length and width of the head of an arrow
BESIDE = 0.16  # of the label of an arrow, from its line
GAP, SHORT = 0.17, 0.14  # between the lines of a bond, and by how much an inner one is shorter at each end


def line_counts(vocabulary: GraphVocabulary) -> list[float] | None:
    """Lines of each edge label if all are different bonds, 1.5 for "aromatic"; None if labels are written."""
    if vocabulary.order is None or vocabulary.directed or not set(vocabulary.order) <= {1.0, 1.5, 2.0, 3.0}:
        return None
    lines = [AROMATIC if label == "aromatic" else n for label, n in zip(vocabulary.edge_labels, vocabulary.order)]
    return lines if len(set(lines)) == len(lines) else None


def rgb(color: str) -> tuple[float, float, float]:
    """ "#rrggbb" as three numbers in [0, 1]."""
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue


def label_colors(vocabulary: GraphVocabulary) -> list[tuple[float, ...]]:
    """One RGB color per node label; a charged atom has a lighter (+) or darker (-) shade of its element's color.

    Elements have the colors chosen with `elekit.draw.atom_colors`.
    """
    elements = ATOM_COLORS[chosen_atom_colors()]
    chemical = line_counts(vocabulary) is not None
    colors = []
    for k, label in enumerate(vocabulary.node_labels):
        atom = ATOM.fullmatch(label) if chemical else None
        fallback = OKABE_ITO[k % len(OKABE_ITO)]
        color = np.array(rgb(elements.get(atom[1], fallback) if atom else fallback))
        charge = atom[2][:1] if atom else ""
        colors.append(tuple(0.55 * color + 0.45 if charge == "+" else 0.65 * color if charge == "-" else color))
    return colors


def vertex_labels(vocabulary: GraphVocabulary) -> list[int]:
    """Node labels that are only a small dot where bonds meet, as chemists draw carbon."""
    return [k for k, label in enumerate(vocabulary.node_labels) if label == "C" and line_counts(vocabulary)]


def bond_lines(start: np.ndarray, end: np.ndarray, count: float, center=None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Start and end points of the lines of a bond; the second of 1.5 lines is to be dashed.

    center: of the ring that the bond is in, None if it is in none. There the second line is shorter and lies inside.
    """
    along = (end - start) / max(np.linalg.norm(end - start), 1e-9)
    across = np.array([-along[1], along[0]])
    if count == AROMATIC or (count == 2 and center is not None):
        inside = across if center is None or across @ (center - start) >= 0 else -across
        return [(start, end), (start + GAP * inside + SHORT * along, end + GAP * inside - SHORT * along)]
    offsets = [GAP * (n - (count - 1) / 2) * across for n in range(int(count))]
    return [(start + offset, end + offset) for offset in offsets]


def arrow_directions(vocabulary: GraphVocabulary) -> list[int]:
    """For each edge channel but "no edge": 1 if an edge from i to j has its head at j, -1 at i, 0 without a head."""
    return [0 if r == back else 1 if r < back else -1 for r, back in enumerate(vocabulary.reverse.tolist())][1:]


def arrow_head(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """(3, 2) corners of the head of an arrow to a node at `end`, of this radius."""
    along = (end - start) / max(np.linalg.norm(end - start), 1e-9)
    tip, across = end - radius * along, HEAD[1] / 2 * np.array([-along[1], along[0]])
    return np.stack([tip, tip - HEAD[0] * along + across, tip - HEAD[0] * along - across])


def beside_arrow(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(2,) how far the label of an arrow is from its middle, so that it hides no head."""
    along = (end - start) / max(np.linalg.norm(end - start), 1e-9)
    across = np.array([-along[1], along[0]])
    return BESIDE * (across if across[1] > 0 or (across[1] == 0 and across[0] > 0) else -across)


def text_color(color: tuple[float, ...]) -> str:
    """White on dark colors, black on light ones."""
    return "#ffffff" if np.dot(color, (0.3, 0.59, 0.11)) < 0.5 else "#000000"


def framed(positions: np.ndarray, margin: float, least) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of a box around the positions, at least twice `least` wide and high."""
    low, high = (positions.min(0), positions.max(0)) if len(positions) else (np.zeros(2), np.zeros(2))
    half = np.maximum((high - low) / 2 + margin, least)
    return (low + high) / 2 - half, (low + high) / 2 + half


def differences(before: Graph, after: Graph, few: int | None = None) -> list[tuple[tuple[int, ...], str]]:
    """Nodes (i,) and pairs (i, j), i < j, that are gone, changed or new; none if there are more than `few`."""
    before, after = require_single(before), require_single(after)
    if before.nodes.shape != after.nodes.shape:
        slots = f"{before.nodes.shape[1]} and {after.nodes.shape[1]}"
        raise ValueError(f"the two graphs of a pair need the same slots, got {slots}")
    found = []
    for was, now in zip(before.labels(), after.labels()):
        was, now = (labels[0].cpu() for labels in (was, now))
        for part in (was != now).nonzero().tolist():
            if part == sorted(part):
                kind = "gone" if not now[tuple(part)] else "changed" if was[tuple(part)] else "new"
                found.append((tuple(part), kind))
    return found if few is None or len(found) <= few else []


def distance_to_segments(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(M,) distance of each point to the nearest segment; infinite if there are none."""
    along, off = end - start, points[:, None] - start
    share = ((off * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-9)).clip(0, 1)
    return np.linalg.norm(off - share[..., None] * along, axis=-1).min(1, initial=np.inf)
