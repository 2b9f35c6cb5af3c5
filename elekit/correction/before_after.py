"""What a loss is held against before and after it is corrected: the same questions, on held-out graphs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elekit.correction.judgments import Judgments
from elekit.correction.probe_edits import Questions, answers
from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.judging import decode_many, evaluate
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of
from elekit.model.surrogate import SurrogateRegressor

if TYPE_CHECKING:
    import pandas as pd

RETRIEVAL = "retrieval: an edited, softened copy finds its own graph"
CANDIDATES = "decodable: exact from psi(y), candidates and polish"
GRADIENT = "decodable: exact from psi(y), gradient and polish"
FROM_INPUTS = "exact match with the h of the old loss"
REFITTED = "exact match with h, trained on to fit the corrected loss"


@dataclass(frozen=True, eq=False)
class Exam:
    """Questions to a loss, see `sit`.

    graphs: held out. queries: a view of each. asked: edits and walks of the graphs. learned, judged: judgments that
    are learned from and those held out. candidates: where decoding starts. decoded: so many graphs are decoded, each
    way.
    surrogate: an h of the uncorrected loss with held-out inputs and graphs, None without one.
    """

    graphs: Graph
    queries: Graph
    asked: Questions
    learned: Judgments
    judged: Judgments
    candidates: Graph
    decoded: int
    surrogate: tuple[SurrogateRegressor, Split] | None
    seed: int

    def sit(self, psi: Psi, refitted: SurrogateRegressor | None = None) -> "Sitting":
        """All questions put to one loss. refitted: an h that was regressed on it."""
        points, queries = points_of(psi, self.graphs), points_of(psi, self.queries)
        kept = {RETRIEVAL: ((queries @ points.T).argmax(1) == torch.arange(len(points))).double().numpy()}
        known, start = Candidates.of(psi, self.candidates) if self.decoded else None, self.candidates.average()
        polished = DecodeConfig("candidates+polish", seed=self.seed)
        descended = DecodeConfig("gradient+polish", seed=self.seed)

        def exact(target: Tensor, truth: Graph, config: DecodeConfig = polished) -> np.ndarray:
            candidates = known if config is polished else None
            decoded = decode_many(psi, target, candidates=candidates, start=start, config=config).graphs
            return evaluate(decoded, truth, edit_distance=False)["exact"].to_numpy(dtype=float)

        if self.decoded:
            truth = self.graphs[: self.decoded]
            kept[CANDIDATES] = exact(points[: self.decoded], truth)
            kept[GRADIENT] = exact(points[: self.decoded], truth, descended)
        if self.decoded and self.surrogate is not None:
            h, split = self.surrogate
            split = split.take(range(min(self.decoded, len(split))))
            kept[FROM_INPUTS] = exact(h.predict(split.inputs), split.graphs)
            if refitted is not None:
                kept[REFITTED] = exact(refitted.predict(split.inputs), split.graphs)
        prices = self.asked.sample.prices(psi).numpy()
        margins = tuple(judgments.margins(psi).numpy() for judgments in (self.learned, self.judged))
        return Sitting(answers(psi, self.asked, seed=self.seed), points, prices, kept, margins)


@dataclass(frozen=True, eq=False)
class Sitting:
    """What one loss answered.

    rules: as of `questions.answers`. points: (B, D) of the graphs. prices: (E,) of the edits. kept: for each measure
    0 or 1 of each graph. margins: of judgments learned from and held out, above 0 where the loss agrees.
    """

    rules: "pd.DataFrame"
    points: Tensor
    prices: np.ndarray
    kept: dict[str, np.ndarray]
    margins: tuple[np.ndarray, np.ndarray]
