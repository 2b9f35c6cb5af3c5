"""Measurements of a loss before and after it is corrected, on the same held-out graphs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.correction.judgments import Judgments
from elekit.correction.probe_edits import ProbeEdits, evaluate_rules
from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.judging import decode_many, evaluate, readable
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model.loss import Psi, points_of
from elekit.model.surrogate import SurrogateRegressor

RETRIEVAL = "retrieval: an edited, softened copy finds its own graph"
CANDIDATES = "decodable: exact from psi(y), candidates and polish"
GRADIENT = "decodable: exact from psi(y), gradient and polish"
FROM_INPUTS = "exact match with the h of the old loss"
REFITTED = "exact match with h, trained on to fit the corrected loss"


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measurements of one loss."""

    rules: pd.DataFrame  # of `evaluate_rules`
    points: Tensor  # (B, D) psi of the graphs
    prices: np.ndarray  # (E,) of the probe edits
    success: dict[str, np.ndarray]  # 0 or 1 of each graph, by measure
    margins: tuple[np.ndarray, np.ndarray]  # of judgments learned from, and held out; positive where psi agrees


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Held-out data that losses are measured on."""

    graphs: PackedGraphs
    queries: GraphBatch  # a view of each graph
    probes: ProbeEdits  # edits and walks of the graphs
    learned: Judgments
    held_out: Judgments
    candidates: PackedGraphs  # where decoding starts
    decoded: int  # number of graphs decoded by each method
    surrogate: tuple[SurrogateRegressor, Split] | None  # an h of the uncorrected loss, and held-out pairs
    seed: int

    def measure(self, psi: Psi, refitted: SurrogateRegressor | None = None) -> Measurements:
        """Measure one loss. refitted: an h that was fitted to it."""
        points, queries = points_of(psi, self.graphs), points_of(psi, self.queries)
        success = {RETRIEVAL: ((queries @ points.T).argmax(1) == torch.arange(len(points))).double().numpy()}
        known, start = Candidates.of(psi, self.candidates) if self.decoded else None, self.candidates.average()
        search = DecodeConfig("candidates+polish", seed=self.seed)
        descent = DecodeConfig("gradient+polish", seed=self.seed)

        def exact(target: Tensor, truth: GraphBatch, config: DecodeConfig = search) -> np.ndarray:
            candidates = known if config is search else None
            decoded = decode_many(psi, target, candidates=candidates, start=start, config=config).graphs
            return np.asarray(evaluate(decoded, truth, edit_distance=False)["exact"], dtype=float)

        if self.decoded:
            truth = self.graphs[: self.decoded]
            success[CANDIDATES] = exact(points[: self.decoded], truth)
            success[GRADIENT] = exact(points[: self.decoded], truth, descent)
        if self.decoded and self.surrogate is not None:
            h, split = self.surrogate
            split, _ = readable(h, split.take(range(min(self.decoded, len(split)))))
            success[FROM_INPUTS] = exact(h.predict(split.inputs), split.graphs)
            if refitted is not None:
                success[REFITTED] = exact(refitted.predict(split.inputs), split.graphs)
        prices = self.probes.sample.prices(psi).numpy()
        margins = self.learned.margins(psi).numpy(), self.held_out.margins(psi).numpy()
        return Measurements(evaluate_rules(psi, self.probes, seed=self.seed), points, prices, success, margins)
