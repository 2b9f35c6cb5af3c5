"""Predictor of every method that regresses on the points of a psi, learned or predefined."""

import torch

from benchmarks.methods.base import Predictor
from benchmarks.prediction_sets import calibrate_and_test
from benchmarks.task_data import TestData
from elekit.decoding import Candidates, DecodeConfig, RecombinationConfig, recombine
from elekit.decoding.candidates import constraints_of
from elekit.evaluation.judging import decode_many
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model.embedding import GraphEmbedding
from elekit.model.loss import Psi, points_of, squared_distance


class EmbeddingPredictor(Predictor):
    """`argmin_y 2 - 2 <h(x), psi(y)>` with one decoder.

    Args:
        psi: Embedding of graphs.
        h: Regressor with `predict`, and `graphs` if the decoder rounds.
        candidates: Known graphs and their points.
        config: The decoder.
        with_sets: Evaluate prediction sets, which takes as long as decoding some thousand graphs.
    """

    def __init__(self, psi: Psi, h, candidates: Candidates, config: DecodeConfig, with_sets: bool = False):
        self.psi, self.h, self.candidates, self.config, self.with_sets = psi, h, candidates, config, with_sets

    def predict(self, inputs) -> Graph:
        if self.config.method == "rounded":  # needs no psi but for what all training graphs satisfy
            return constraints_of(self.psi, self.config.constraints).rounded(self.h.graphs(inputs))
        start = self.h.graphs(inputs) if self.config.needs_start else None
        known = self.candidates if (self.config.method or "").startswith("candidates") else None
        target = self.h.predict(inputs)
        return decode_many(self.psi, target, candidates=known, start=start, config=self.config).graphs

    def score_gallery(self, inputs, gallery: GraphBatch) -> torch.Tensor:
        return self.h.predict(inputs) @ points_of(self.psi, gallery).T

    def losses(self, inputs, graphs: GraphBatch) -> torch.Tensor:
        return squared_distance(points_of(self.psi, graphs), self.h.predict(inputs)).clamp_min(0)

    def evaluate_sets(self, data: TestData) -> dict | None:
        if not self.with_sets:
            return None
        universe = {"candidates": self.candidates} if data.gallery is None else {"gallery": data.gallery}
        return calibrate_and_test(self.psi, self.h, data.calibration, data.test, config=self.config, **universe)


class RecombinedPredictor(EmbeddingPredictor):
    """The best by one psi of what recombination finds with another, which must be local; both may be the same.

    Args:
        psi: Embedding that ranks graphs.
        h: Its regressor.
        local: Local psi whose parts are joined.
        local_h: Its regressor.
        candidates: Known graphs and their points under the local psi.
    """

    FOUND, BLOCK = 40, 25  # graphs found for each input, and inputs at a time
    CONFIG = RecombinationConfig(children=128)

    def __init__(self, psi: Psi, h, local: GraphEmbedding, local_h, candidates: Candidates):
        super().__init__(psi, h, candidates, DecodeConfig("candidates"))
        self.local, self.local_h = local, local_h

    def predict(self, inputs) -> Graph:
        found = []
        for start in range(0, len(inputs), self.BLOCK):
            some = inputs[start : start + self.BLOCK]
            target = self.local_h.predict(some)
            graphs, _ = recombine(self.local, target, self.candidates, self.FOUND, config=self.CONFIG)
            points = points_of(self.psi, graphs).reshape(len(some), self.FOUND, -1)
            best = (points * self.h.predict(some)[:, None]).sum(2).argmax(1)
            found.append(graphs[torch.arange(len(some)) * self.FOUND + best])
        return PackedGraphs.cat(found).dense()
