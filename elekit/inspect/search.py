"""Search graphs by id, SMILES, substructure or label; and tables of what can be counted in graphs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from elekit.graphs._optional import LazyModule
from elekit.graphs.graph import GraphBatch, short
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_molecular, molecule_of, parse_smiles, to_smiles

Chem, rdBase = LazyModule("rdkit.Chem", "chem"), LazyModule("rdkit.rdBase", "chem")

KINDS = ("id", "smiles", "substructure", "label")
COMPARE = {
    ">=": np.greater_equal, "<=": np.less_equal, "!=": np.not_equal, ">": np.greater, "<": np.less, "=": np.equal,
}  # fmt: skip
FEW_LABELS = 24  # up to so many labels each gets a column of its own
MAX_SMARTS, MAX_RECURSIVE = 200, 40  # characters of a pattern, and of each part $(...), whose steps are not counted
MAX_STEPS = 100_000  # atoms compared in one molecule: their number may grow exponentially with the pattern

# The first that matches classifies a molecule; SMARTS.
GROUPS = {
    "carboxylic acid": "[CX3](=O)[OX2H1]", "ester": "[CX3](=O)[OX2][#6]", "amide": "[NX3][CX3]=O",
    "aldehyde": "[CX3H1,CX3H2]=O", "ketone": "[#6][CX3](=O)[#6]", "nitrile": "[CX2]#[NX1]", "imine": "[CX3]=[NX2]",
    "alcohol": "[OX2H][CX4]", "amine": "[NX3;!$(N-C=O)]", "ether": "[OX2]([#6])[#6]", "aromatic": "a",
    "alkyne": "[CX2]#[CX2]", "alkene": "[CX3]=[CX3]",
}  # fmt: skip


def overview(graphs: GraphBatch, frame: pd.DataFrame | None = None, structure: bool = True) -> pd.DataFrame:
    """A table of n graphs: the columns of `frame`, if given, and the following.

    id (of the frame, or its column row, else the number of the graph), nodes, edges, rings (the cycle rank) and, for
    up to 24 node labels, "nodes: LABEL", the number of nodes with it. A column of the frame with one of these names
    but other values becomes "NAME (given)". The index is 0..n-1; column names are strings. structure: False
    leaves out all but the id.
    """
    n = len(graphs)
    table = pd.DataFrame(index=range(n)) if frame is None else frame.reset_index(drop=True)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    table = table.loc[:, ~table.columns.duplicated()]
    if len(table) != n:
        raise ValueError(f"the frame has {len(table)} rows for {n} graphs; it must have one row per graph")
    counts = {"id": table["row"].to_numpy() if "row" in table else np.arange(n)}
    counts |= _counts(graphs) if structure else {}
    other = [
        name for name in counts if name in table and name != "id" and not np.array_equal(table[name], counts[name])
    ]
    table = table.rename(columns={name: f"{name} (given)" for name in other})
    new = pd.DataFrame({name: values for name, values in counts.items() if name not in table})
    return pd.concat([new, table], axis=1)


def _counts(graphs: GraphBatch) -> dict[str, np.ndarray]:
    """What can be counted in each graph."""
    n, K, packed = len(graphs), graphs.vocabulary.K, PackedGraphs.of(graphs)
    row_of_node, row_of_edge = (rows.cpu().numpy() for rows in (packed.rows, packed.rows[packed.pairs[0]]))
    places = row_of_node * K + packed.node_labels.cpu().numpy()
    of_label = np.bincount(places, minlength=n * K).reshape(n, K)[:, 1:]
    edges, nodes = np.bincount(row_of_edge, minlength=n), of_label.sum(1)
    components = _components(packed)
    counts = {"nodes": nodes, "edges": edges, "rings": edges - nodes + components}
    labels = graphs.vocabulary.node_labels
    if len(labels) <= FEW_LABELS:
        counts |= {f"nodes: {label}": of_label[:, k] for k, label in enumerate(labels)}
    return counts


def _components(packed: PackedGraphs) -> np.ndarray:
    """(n,) number of connected components of each graph."""
    start, end = packed.pairs.cpu().numpy()
    first = np.arange(len(packed.node_labels))  # a node that each node is connected to, in the end the first one
    while (first[start] != first[end]).any():
        lower, higher = np.sort(np.stack([first[start], first[end]]), axis=0)
        np.minimum.at(first, higher, lower)
        first = first[first]
    rows = packed.rows.cpu().numpy()
    return np.bincount(rows[first == np.arange(len(first))], minlength=len(packed))


@dataclass(frozen=True, eq=False)
class Search:
    """Searches the same graphs several times; molecules are parsed once, when first needed.

    frame: n rows, for example of `overview`; columns key or smiles of molecules are read as SMILES.
    """

    frame: pd.DataFrame
    graphs: GraphBatch

    @cached_property
    def molecular(self) -> bool:
        return is_molecular(self.graphs.vocabulary)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The available kinds of search."""
        return KINDS if self.molecular else ("id", "label")

    @cached_property
    def smiles(self) -> list[str | None]:
        """Canonical SMILES of each graph; None for invalid molecules and other graphs."""
        if not self.molecular:
            return [None] * len(self.graphs)
        if self._written is None:
            return to_smiles(self.graphs)
        return [text if isinstance(text, str) else None for text in self._written]

    @cached_property
    def _written(self) -> pd.Series | None:
        return next((self.frame[name] for name in ("key", "smiles") if name in self.frame), None)

    def smiles_of(self, row: int) -> str | None:
        """The entry of `smiles` for one row, without computing the others."""
        if not self.molecular:
            return None
        text = to_smiles(self.graphs[[row]])[0] if self._written is None else self._written.iloc[row]
        return text if isinstance(text, str) else None

    @cached_property
    def molecules(self) -> list[Any]:
        """RDKit molecules; None for invalid ones."""
        return [_molecule(text) for text in self.smiles]

    def having(self, smarts: str) -> np.ndarray:
        """(n,) bool: molecules with a substructure; ValueError for SMARTS that are invalid or take too long."""
        self._check_molecular("a substructure")
        steps = 0

        def step(*_: Any) -> bool:
            nonlocal steps
            steps += 1
            if steps > MAX_STEPS:
                raise ValueError(f"{short(smarts)} fits in too many ways; name elements instead of any atom (*)")
            return True

        pattern = _pattern(smarts)
        if pattern is None:
            raise ValueError(f"{short(smarts)} is not valid SMARTS; try for example c1ccccc1, C=O or [NH2]")
        options = Chem.SubstructMatchParameters()
        options.setExtraAtomCheckFunc(step)
        found = np.zeros(len(self.molecules), dtype=bool)
        for row, molecule in enumerate(self.molecules):
            steps = 0
            found[row] = molecule is not None and molecule.HasSubstructMatch(pattern, options)
        return found

    def functional_groups(self) -> list[str]:
        """The first of `GROUPS` that each molecule contains, else "none of these"."""
        names = np.full(len(self.graphs), "none of these", dtype=object)
        for name, smarts in reversed(GROUPS.items()):
            names[self.having(smarts)] = name
        return [str(name) for name in names]

    def __call__(self, kind: str, text: str) -> np.ndarray:
        """Rows of the graphs that a text finds, ascending; none for "".

        kind: "id": value of column id, else the row number. "smiles": the molecule of a SMILES in any notation, else
        SMILES that contain the text. "substructure": molecules that match a SMARTS pattern. "label": graphs with a
        node or edge of that label, or with a number of them ("N>=2"; also <=, =, !=, <, >), else rows with the text
        in a column, ignoring case.
        """
        if kind not in KINDS:
            raise ValueError(f"no search by {kind!r}; the kinds are {', '.join(KINDS)}")
        text = text.strip()
        if not text:
            return np.empty(0, dtype=np.int64)
        find = {"id": self._by_id, "smiles": self._by_smiles, "substructure": self.having, "label": self._by_label}
        return np.flatnonzero(find[kind](text))

    def _by_id(self, text: str) -> np.ndarray:
        found = np.zeros(len(self.graphs), dtype=bool)
        if "id" in self.frame:
            found |= (self.frame["id"].astype(str) == text).to_numpy()
        return np.arange(len(self.graphs)) == int(text) if not found.any() and text.isdecimal() else found

    def _by_smiles(self, text: str) -> np.ndarray:
        self._check_molecular("a SMILES")
        canonical = parse_smiles(text).canonical
        found = np.array([one == canonical and bool(one) for one in self.smiles], dtype=bool)
        contains = [one is not None and text in one for one in self.smiles]
        return found if found.any() else np.array(contains, dtype=bool)

    def _by_label(self, text: str) -> np.ndarray:
        """A label, a comparison such as "N>=2", or part of a text of the frame."""
        vocabulary = self.graphs.vocabulary
        comparisons: list[tuple[str, Callable[..., Any], int]] = [(text, np.greater_equal, 1), *_comparison(text)]
        for labels, edges in ((vocabulary.node_labels, False), (vocabulary.edge_labels, True)):
            for label, compare, count in comparisons:
                if label in labels:
                    return np.asarray(compare(self._count(labels.index(label) + 1, edges), count))
        found = np.zeros(len(self.graphs), dtype=bool)
        for name in self.frame.columns:
            if self.frame[name].dtype == object or str(self.frame[name].dtype) in ("string", "str", "category"):
                found |= self.frame[name].astype(str).str.contains(text, case=False, regex=False).to_numpy(dtype=bool)
        return found

    def _count(self, channel: int, edges: bool) -> np.ndarray:
        """(n,) number of nodes, or edges, of one label in each graph."""
        packed = PackedGraphs.of(self.graphs)
        rows, labels = (packed.rows, packed.node_labels)
        if edges:
            label_of = self.graphs.vocabulary.label_of.to(packed.offsets.device)
            rows, labels = rows[packed.pairs[0]], label_of[packed.edge_labels.long()]
        return np.bincount(rows[labels == channel].cpu().numpy(), minlength=len(packed))

    def _check_molecular(self, what: str) -> None:
        if not self.molecular:
            raise ValueError(f"these graphs are not molecules, so {what} cannot be found; search by id or label")


def _pattern(smarts: str) -> Any:
    if len(smarts) > MAX_SMARTS or not smarts.isascii() or not smarts.isprintable() or " " in smarts:
        return None
    depth, starts = 0, list[tuple[int, int]]()
    for place, character in enumerate(smarts):
        if character == "(":
            depth += 1
            if smarts[place - 1 : place] == "$":
                starts.append((depth, place))
        elif character == ")":
            if starts and starts[-1][0] == depth and place - starts.pop()[1] > MAX_RECURSIVE:
                return None
            depth -= 1
    with rdBase.BlockLogs():
        return Chem.MolFromSmarts(smarts)


def _molecule(text: str | None) -> Any:
    try:
        return molecule_of(text)
    except ValueError:
        return None


def _comparison(text: str) -> list[tuple[str, Callable[..., Any], int]]:
    """[("N", np.greater_equal, 2)] of "N>=2"; [] if the text is not a comparison."""
    for sign, compare in COMPARE.items():
        label, found, count = text.rpartition(sign)
        if found and count.strip().isdecimal() and label.strip():
            return [(label.strip(), compare, int(count))]
    return []


DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}


def step(positions: np.ndarray, row: int, direction: str) -> int | None:
    """Row of the nearest of positions (n, 2) in a direction from one, within 45 degrees; None if there is none."""
    if direction not in DIRECTIONS:
        raise ValueError(f"no direction {direction!r}; the directions are {', '.join(DIRECTIONS)}")
    x, y = DIRECTIONS[direction]
    off = np.asarray(positions, dtype=np.float64) - positions[row]
    along, across = off @ [x, y], np.abs(off @ [-y, x])
    distance = np.where((along > 0) & (across <= along), np.square(off).sum(1), np.inf)
    nearest = int(distance.argmin())
    return nearest if np.isfinite(distance[nearest]) else None
