"""Which graphs of a table are these? By number, SMILES, substructure or label; and what a table of graphs tells."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from elekit.graphs._optional import extra
from elekit.graphs.features import count_components
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("id", "smiles", "substructure", "label")
COMPARE = {
    ">=": np.greater_equal, "<=": np.less_equal, "!=": np.not_equal, ">": np.greater, "<": np.less, "=": np.equal,
}  # fmt: skip
FEW_LABELS = 24  # up to so many labels each gets a column of its own
BLOCK = 8_192  # graphs looked at together

# What a molecule is called by, the first that is found; SMARTS.
GROUPS = {
    "carboxylic acid": "[CX3](=O)[OX2H1]",
    "ester": "[CX3](=O)[OX2][#6]",
    "amide": "[NX3][CX3]=O",
    "aldehyde": "[CX3H1,CX3H2]=O",
    "ketone": "[#6][CX3](=O)[#6]",
    "nitrile": "[CX2]#[NX1]",
    "imine": "[CX3]=[NX2]",
    "alcohol": "[OX2H][CX4]",
    "amine": "[NX3;!$(N-C=O)]",
    "ether": "[OX2]([#6])[#6]",
    "aromatic": "a",
    "alkyne": "[CX2]#[CX2]",
    "alkene": "[CX3]=[CX3]",
}


def overview(graphs: Graph, frame: "pd.DataFrame | None" = None) -> "pd.DataFrame":
    """A table of graphs: the columns of `frame`, if there is one, and what can be counted.

    Adds id (that of the frame, else its column row, else the number of the graph), nodes, edges, rings (edges - nodes +
    connected parts: the cycle rank) and, of up to 24 node labels, "nodes: LABEL", how many nodes have it. Columns of
    these names that the frame has already stay as they are. The index is 0..n-1, names of columns are texts.
    Raises ValueError for a frame of another length.
    """
    import pandas as pd

    n = len(graphs)
    table = pd.DataFrame(index=range(n)) if frame is None else frame.reset_index(drop=True)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    table = table.loc[:, ~table.columns.duplicated()]
    if len(table) != n:
        raise ValueError(f"the frame has {len(table)} rows for {n} graphs; they stand side by side")
    nodes, edges, parts = _counted(graphs)
    counted = {"id": table["row"].to_numpy() if "row" in table else np.arange(n)}
    counted |= {"nodes": nodes.sum(1), "edges": edges, "rings": edges - nodes.sum(1) + parts}
    labels = graphs.vocabulary.node_labels
    if len(labels) <= FEW_LABELS:
        counted |= {f"nodes: {label}": nodes[:, k] for k, label in enumerate(labels)}
    new = pd.DataFrame({name: values for name, values in counted.items() if name not in table})
    return pd.concat([new, table], axis=1)


def _counted(graphs: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes of each label (n, K - 1), edges (n,) and connected parts (n,) of each graph."""
    found = []
    for start in range(0, len(graphs), BLOCK):
        node_labels, edge_labels = (t.cpu() for t in graphs[start : start + BLOCK].labels())
        of_label = torch.nn.functional.one_hot(node_labels, graphs.vocabulary.K)[..., 1:].sum(1)
        found.append((of_label, (edge_labels > 0).sum((1, 2)) // 2, count_components(node_labels, edge_labels)))
    empty = (torch.zeros(0, graphs.vocabulary.K - 1, dtype=torch.long), *2 * (torch.zeros(0, dtype=torch.long),))
    return tuple(torch.cat(parts).numpy() for parts in zip(empty, *found))


@dataclass(frozen=True, eq=False)
class Search:
    """Graphs that can be searched; molecules are read when first asked for and kept.

    frame: n rows, such as of `overview`; its columns key or smiles are read as SMILES where the graphs are molecules.
    """

    frame: "pd.DataFrame"
    graphs: Graph

    @cached_property
    def molecular(self) -> bool:
        from elekit.graphs.smiles import is_molecular

        return is_molecular(self.graphs.vocabulary)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of `KINDS`, what there is to be asked here."""
        return KINDS if self.molecular else ("id", "label")

    @cached_property
    def smiles(self) -> list[str | None]:
        """Canonical SMILES of each graph, None where there is none; all None where graphs are no molecules."""
        if not self.molecular:
            return [None] * len(self.graphs)
        written = next((self.frame[name] for name in ("key", "smiles") if name in self.frame), None)
        if written is None:
            from elekit.graphs.smiles import to_smiles

            return to_smiles(self.graphs)
        return [text if isinstance(text, str) else None for text in written]

    @cached_property
    def molecules(self) -> list:
        """RDKit molecules, None where there is none."""
        with extra("chem"):
            from rdkit import Chem, rdBase

        with rdBase.BlockLogs():
            return [Chem.MolFromSmiles(text) if text else None for text in self.smiles]

    def having(self, smarts: str) -> np.ndarray:
        """(n,) bool: molecules that hold a substructure; ValueError for SMARTS that cannot be read."""
        with extra("chem"):
            from rdkit import Chem, rdBase

        self._refuse_others("a substructure")
        with rdBase.BlockLogs():
            wanted = Chem.MolFromSmarts(smarts)
        if wanted is None:
            raise ValueError(f"{smarts!r} is no SMARTS; try one such as c1ccccc1, C=O or [NH2]")
        return np.array([m is not None and m.HasSubstructMatch(wanted) for m in self.molecules], dtype=bool)

    def functional_groups(self) -> list[str]:
        """What each molecule is called by: the first of `GROUPS` that it holds, "none of these" otherwise."""
        names = np.full(len(self.graphs), "none of these", dtype=object)
        for name, smarts in reversed(GROUPS.items()):
            names[self.having(smarts)] = name
        return names.tolist()

    def __call__(self, kind: str, text: str) -> np.ndarray:
        """Rows (ascending) that an inquiry finds; see `search`."""
        if kind not in KINDS:
            raise ValueError(f"no search by {kind!r}; there are {', '.join(KINDS)}")
        text = text.strip()
        if not text:
            return np.empty(0, dtype=np.int64)
        by = {"id": self._by_id, "smiles": self._by_smiles, "substructure": self.having, "label": self._by_label}
        return np.flatnonzero(by[kind](text))

    def _by_id(self, text: str) -> np.ndarray:
        found = self.frame["id"].astype(str).to_numpy() == text if "id" in self.frame else np.zeros(len(self.graphs))
        if not found.any() and text.isdecimal():
            found = np.arange(len(self.graphs)) == int(text)
        return found

    def _by_smiles(self, text: str) -> np.ndarray:
        from elekit.graphs.smiles import parse_smiles

        self._refuse_others("a SMILES")
        canonical = parse_smiles(text).canonical
        found = np.array([one == canonical and bool(one) for one in self.smiles], dtype=bool)
        return (
            found if found.any() else np.array([one is not None and text in one for one in self.smiles], dtype=bool)
        )

    def _by_label(self, text: str) -> np.ndarray:
        """A label that a node or an edge has, "LABEL>=2" (and <=, =, !=, <, >), or part of a text of the frame."""
        names = self.graphs.vocabulary
        label, compare, count = _comparison(text)
        for labels, channels in ((names.node_labels, 0), (names.edge_labels, 1)):
            for name, asked, least in ((text, np.greater_equal, 1), (label, compare, count)):
                if name in labels:
                    return asked(self._how_many(labels.index(name) + 1, bool(channels)), least)
        found = np.zeros(len(self.graphs), dtype=bool)
        for name in self.frame.columns:
            if self.frame[name].dtype == object or str(self.frame[name].dtype) in ("string", "str", "category"):
                found |= self.frame[name].astype(str).str.contains(text, case=False, regex=False).to_numpy(dtype=bool)
        return found

    def _how_many(self, channel: int, edges: bool) -> np.ndarray:
        """(n,) nodes, or edges, of one label in each graph."""
        counts = []
        for start in range(0, len(self.graphs), BLOCK):
            labels = self.graphs[start : start + BLOCK].labels()[edges]
            counts.append((labels == channel).flatten(1).sum(1).cpu() // (1 + edges))
        return torch.cat(counts).numpy() if counts else np.empty(0, dtype=np.int64)

    def _refuse_others(self, what: str):
        if not self.molecular:
            raise ValueError(f"these graphs are no molecules, so {what} cannot be found; search by id or label")


def _comparison(text: str):
    """("N", numpy's >=, 2) of "N>=2"; (None, ...) for a text that is no comparison."""
    for sign, compare in COMPARE.items():
        label, found, count = text.rpartition(sign)
        if found and count.strip().isdecimal() and label.strip():
            return label.strip(), compare, int(count)
    return None, None, None


def search(frame: "pd.DataFrame", graphs: Graph, kind: str, text: str) -> np.ndarray:
    """Row numbers, ascending, of the graphs that an inquiry finds; `Search` asks several times without reading anew.

    frame: n rows beside n graphs, such as of `overview`. kind and text:
    "id": the value of column id; where no id is that, the row number.
    "smiles": the molecule of a SMILES, however it is written; where none is that, SMILES that hold the text.
    "substructure": molecules that hold a SMARTS pattern.
    "label": graphs with a node or edge of that label, or as many as "N>=2" says (also <=, =, !=, <, >); otherwise rows
        one of whose texts holds it, upper or lower case.
    An empty text finds nothing. Raises ValueError for another kind, SMARTS that cannot be read, and SMILES or SMARTS
    where graphs are no molecules.
    """
    return Search(frame, graphs)(kind, text)


DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}


def step(positions: np.ndarray, row: int, direction: str) -> int | None:
    """The nearest position that lies left, right, up or down of one, within 45 degrees; None where there is none.

    positions: (n, 2). Raises ValueError for another direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"no direction {direction!r}; there are {', '.join(DIRECTIONS)}")
    x, y = DIRECTIONS[direction]
    off = np.asarray(positions, dtype=np.float64) - positions[row]
    along, across = off @ [x, y], np.abs(off @ [-y, x])
    distance = np.where((along > 0) & (across <= along), np.square(off).sum(1), np.inf)
    nearest = int(distance.argmin())
    return nearest if np.isfinite(distance[nearest]) else None
