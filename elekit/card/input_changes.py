"""Measures how predictions and prediction sets fare on inputs unlike those of training and calibration."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from elekit import evaluation
from elekit.card.context import Context
from elekit.card.predictions import affordable, decoding, known_graphs, readable_inputs, sets_of
from elekit.card.results import Results
from elekit.decoding import Candidates
from elekit.evaluation import conformal
from elekit.evaluation.conformal.candidate_sets import iter_candidate_sets
from elekit.evaluation.intervals import wilson
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.smiles import randomize_smiles
from elekit.model.surrogate.reader import SmilesReader, TextReader, misspell
from elekit.model.surrogate.regressor import UnfamiliarInputWarning
from elekit.widgets.page import plain_values

CHANGED = 500  # test inputs, at most
TYPOS = (0.005, 0.02, 0.05)  # shares of the letters


def input_changes(context: Context, results: Results) -> None:
    """Exact answers, sets that contain the truth, and answers marked unsure, for inputs with typos."""
    if "sets" not in results.facts:
        raise ValueError("there are no prediction sets to measure on other inputs")
    _, h = context.artifact.surrogate(context.surrogate)
    if not isinstance(h.reader, TextReader):
        raise ValueError("only texts and SMILES can be written with typos, and h must record its training inputs")
    known, rows = known_graphs(context), []  # embedded once
    smiles = isinstance(h.reader, SmilesReader)
    readable = readable_inputs(context, context.data.test)
    count = affordable(context, readable, sets_of(context, known), times=len(TYPOS) + 1 + smiles)
    test = context.data.test.sample(min(CHANGED, count), context.seed)
    inputs = [str(text) for text in test.inputs or ()]
    for name, texts in _variants(inputs, smiles, context.seed).items():
        readings = h.read(texts)
        kept = [row for row, one in enumerate(readings) if not one.refused]
        rows.append({"written": name, "count": len(texts), "refused": 1 - len(kept) / len(texts)})
        if kept:
            rows[-1] |= _judged(context, results, h, known, [readings[row] for row in kept], test.graphs[kept])
    results.tables["input_changes"] = pd.DataFrame(rows)
    limits = {"limits": dict(h.reader.limits), "calibrated_on": h.reader.calibrated_on}
    results.facts["inputs"] = plain_values({"smiles": smiles, **limits})


def _variants(inputs: list[str], smiles: bool, seed: int) -> dict[str, list[str]]:
    """The inputs in other writings, by a description."""
    generator = torch.Generator().manual_seed(seed)
    found = {"as in the data": inputs}
    if smiles:
        found["atoms in another order"] = randomize_smiles(inputs, seed)
    for rate in TYPOS:
        found[f"typos in {100 * rate:g} % of letters"] = [misspell(text, rate, generator) for text in inputs]
    return found


def _judged(
    context: Context, results: Results, h, known: Candidates | None, readings: Sequence, truth: GraphBatch
) -> dict:
    """The figures of one variant, of the inputs that h does not refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarInputWarning)  # they are counted
        inputs = h.reader.collect([one.value for one in readings])
        target, options = h.predict(inputs), decoding(context, inputs)
    calibration = conformal.Calibration.from_json(results.facts["sets"])
    scores, sets = [], []
    for rows, block in iter_candidate_sets(context.psi, target, candidates=known, **options):
        scores.append(block.scores(truth[rows]))
        sets += block.prediction_sets(calibration, conformal.MAX_SIZE)
    decoded = Graph.cat([one.decoded for one in sets])
    exact = evaluation.evaluate(decoded, truth, edit_distance=False)["exact"].to_numpy()
    covered = (torch.cat(scores) <= calibration.radius).numpy()
    unsure = np.array([bool(one.doubt(found.loss)) for one, found in zip(readings, sets)])
    sure = ~unsure
    hits = int(covered.sum())
    low, high = wilson(hits, len(covered))
    ends = {"covered": hits / len(covered), "low": low, "high": high, "exact": exact.mean(), "unsure": unsure.mean()}
    if sure.any():
        ends |= {"exact_if_sure": exact[sure].mean(), "covered_if_sure": covered[sure].mean()}
    wrong = sure & ~exact
    low, high = wilson(int(wrong.sum()), len(wrong))
    return {**ends, "wrong_but_sure": wrong.mean(), "wrong_but_sure_low": low, "wrong_but_sure_high": high}
