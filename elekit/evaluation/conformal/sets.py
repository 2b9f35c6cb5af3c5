"""A prediction set: the graphs that one input may have."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from elekit.evaluation.conformal.calibration import Calibration
from elekit.graphs import Graph, to_networkx
from elekit.graphs.graph import GraphBatch
from elekit.graphs.isomorphism import TooSymmetricError, isomorphism_keys
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_molecular, to_smiles

MAX_SIZE = 20  # graphs; larger sets abstain


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """The graphs that one input may have."""

    graphs: Graph  # distinct ones within the radius, best first; at most `max_size`, possibly none
    losses: Tensor  # (M,) learned losses of `graphs`, in [0, 4]
    size: int  # number of graphs within the radius; may exceed `max_size`
    decoded: Graph  # the nearest candidate, a batch of one; possibly outside the radius
    loss: float  # of `decoded`
    calibration: Calibration
    max_size: int = MAX_SIZE  # larger sets abstain
    doubt: str = ""  # why the input is unlike those of the calibration

    def __len__(self) -> int:
        return self.size

    @property
    def reason(self) -> str:
        """Why the set abstains; "" if it does not."""
        if self.doubt:
            return f"{self.doubt}; the promise of {100 * self.calibration.level:g} % does not hold for such inputs"
        if not self.size:
            return f"no graph lies within the radius of {self.calibration.radius:.3f}"
        if self.size > self.max_size:
            return f"{self.size} graphs lie within the radius, more than {self.max_size}"
        return ""

    @property
    def abstained(self) -> bool:
        """True if the set is empty or larger than `max_size`, or the input is unlike those of the calibration."""
        return bool(self.reason)

    @property
    def displayed(self) -> tuple[Graph, list[float]]:
        """Graphs to display and their losses: the listed graphs, or the decoded one if the set is empty."""
        return (self.graphs, self.losses.tolist()) if len(self.graphs) else (self.decoded, [self.loss])

    def captions(self, truth: GraphBatch | None = None, decoded: GraphBatch | None = None) -> list[list[str]]:
        """For each displayed graph, those of "decoded", "truth" and "outside the set" that apply.

        truth: a batch of one, if known. decoded: a batch of one; None for the decoded graph of the set.
        """
        graphs, decoded = self.displayed[0], self.decoded if decoded is None else decoded
        keys = canonical_keys(PackedGraphs.cat([graphs, decoded, *([] if truth is None else [truth])]))
        known = list(zip(("decoded", "truth"), keys[len(graphs) :]))
        outside = [] if self.size else ["outside the set"]
        return [[word for word, key in known if key == own] + outside for own in keys[: len(graphs)]]

    def describe(self) -> str:
        """For example "one of these 3, at 90 %", or "unsure" and the reason."""
        if self.abstained:
            return f"unsure: {self.reason}"
        which = "this one" if self.size == 1 else f"one of these {self.size}"
        return f"{which}, at {100 * self.calibration.level:g} %"


def canonical_keys(graphs: GraphBatch) -> np.ndarray:
    """(n,) strings, equal exactly for equal graphs of this batch: SMILES of molecules, else isomorphism classes.

    All Kekule forms of a molecule have one key, see `elekit.graphs.smiles.canonicalized`.
    """
    keys: list[str | None] = list(to_smiles(graphs)) if is_molecular(graphs.vocabulary) else [None] * len(graphs)
    rest = [row for row, key in enumerate(keys) if key is None]
    for row, number in zip(rest, isomorphism_keys(to_networkx(graphs[rest])) if rest else ()):
        if not number:
            raise TooSymmetricError(f"graph {row} of {len(graphs)}: ")
        keys[row] = f"class {number}"
    return np.array(keys, dtype=str)
