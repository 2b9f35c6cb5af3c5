"""A prediction set: what one input may stand for, and what is said of it."""

from dataclasses import dataclass

from torch import Tensor

from elekit.evaluation.conformal.calibration import Calibration
from elekit.evaluation.conformal.canonical import names
from elekit.graphs.graph import Graph

MOST = 20  # graphs of a set that still says something


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """What one input may stand for.

    graphs: those within the radius, best first, each once; may be none. losses: (M,) of them. size: how many they
    are; of a set that is larger than `most`, which says nothing, only so many are listed. decoded: the best graph of
    all (batch of one). loss: of it.
    """

    graphs: Graph
    losses: Tensor
    size: int
    decoded: Graph
    loss: float
    calibration: Calibration
    most: int = MOST

    def __len__(self) -> int:
        return self.size

    @property
    def why(self) -> str:
        """Why there is no answer, "" where there is one."""
        if not self.size:
            return f"no graph lies within the radius of {self.calibration.radius:.3f}"
        if self.size > self.most:
            return f"{self.size} graphs lie within the radius, more than {self.most}"
        return ""

    @property
    def abstained(self) -> bool:
        return bool(self.why)

    @property
    def shown(self) -> tuple[Graph, list[float]]:
        """What there is to look at, with losses: the listed graphs, or of an empty set the decoded one."""
        return (self.graphs, self.losses.tolist()) if len(self.graphs) else (self.decoded, [self.loss])

    def marks(self, truth: Graph | None = None, decoded: Graph | None = None) -> list[list[str]]:
        """Of each graph to look at: whether it is "decoded", the "truth", "outside the set".

        truth, decoded: batches of one; None: no truth is known, and the set's own decoded graph.
        """
        graphs, decoded = self.shown[0], self.decoded if decoded is None else decoded
        called = names(Graph.cat([graphs, decoded, *([] if truth is None else [truth])]))
        known = list(zip(("decoded", "truth"), called[len(graphs) :]))
        outside = [] if self.size else ["outside the set"]
        return [[what for what, name in known if name == one] + outside for one in called[: len(graphs)]]

    def says(self) -> str:
        """ "one of these 3, at 90 %", or "unsure" and why."""
        if self.abstained:
            return f"unsure: {self.why}"
        which = "this one" if self.size == 1 else f"one of these {self.size}"
        return f"{which}, at {100 * self.calibration.level:g} %"
