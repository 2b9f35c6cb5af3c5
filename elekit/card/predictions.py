"""Measurements of the predictions made with a loss: their quality, by slice, and their cost."""

import time
from dataclasses import replace

import numpy as np
import torch

from elekit.card.context import Context
from elekit.card.phrases import TRUE_POINT
from elekit.card.results import Results, plain_values
from elekit.decoding import Candidates, DecodeConfig, GradientConfig, LocalSearchConfig
from elekit.evaluation import conformal, judging
from elekit.evaluation.intervals import mean_interval, wilson
from elekit.evaluation.slices import MIN_GRAPHS
from elekit.evaluation.slices import slices as sliced
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of

JUDGED = 1_000  # predictions
LEVEL = 0.9  # of prediction sets
TIMED = 60  # predictions that each way of decoding is timed on
CANDIDATES = 20_000  # graphs of the training split that are known to the decoder
TIMEOUT = 2.0  # seconds for an edit distance


def quality(context: Context, results: Results) -> None:
    """Exact matches, edit distances and validity, predicted from inputs and from the true points."""
    import pandas as pd

    test = context.data.test.sample(JUDGED, context.seed)
    if not len(test):
        raise ValueError("the data have no test split, so there is nothing to predict that was not trained on")
    known = known_graphs(context)
    judged, rows = {}, []
    for name, target in _targets(context, test, results).items():
        judged[name] = judging.judge(context.psi, target, test.graphs, candidates=known, timeout=TIMEOUT)
        summary = judged[name].summary
        spent = {
            "milliseconds": 1_000 / summary["graphs_per_second"],
            "fits_better": summary["fits_better_than_truth"],
        }
        rows.append({"from": name, **_judged(judged[name].table, context.seed), **spent})
    results.tables["quality"] = pd.DataFrame(rows)
    name, best = next(iter(judged.items()))
    results.tables["slices"] = slices(best.table, test.graphs, context.molecular, context.seed)
    results.facts["predictions"] = {"from": name, "candidates": 0 if known is None else len(known)}


def coverage(context: Context, results: Results) -> None:
    """Coverage of prediction sets: calibrated on the validation split, measured on the test split."""
    validation, test = (part.sample(JUDGED, context.seed) for part in (context.data.validation, context.data.test))
    if context.surrogate is None or test.inputs is None:
        raise ValueError("prediction sets need inputs and a predictor h that reads them")
    if not len(validation) or not len(test):
        raise ValueError(
            "prediction sets need a validation split for calibration and a test split to measure coverage on"
        )
    _, h = context.artifact.surrogate(context.surrogate)
    search = {"candidates": known_graphs(context)}
    calibration = conformal.calibrate(
        context.psi, h.predict(validation.inputs), validation.graphs, level=LEVEL, **search
    )
    results.tables["coverage"] = conformal.coverage(
        context.psi, h.predict(test.inputs), test.graphs, calibration, **search
    )
    low, high = calibration.expected(len(test))
    results.facts["sets"] = plain_values(
        {**calibration.to_json(), "expected": [low, high], "most": conformal.MAX_SIZE}
    )


def known_graphs(context: Context) -> Candidates | None:
    """Training graphs as candidates for the decoder; None if there is no training split."""
    graphs = context.data.train.graphs
    generator = torch.Generator().manual_seed(context.seed)
    if not len(graphs):
        return None
    return Candidates.of(context.psi, graphs[torch.randperm(len(graphs), generator=generator)[:CANDIDATES]])


def _targets(context: Context, test, results: Results) -> dict[str, torch.Tensor]:
    """Target points, by where they come from: inputs first, if there are inputs and a predictor."""
    targets = {}
    if context.surrogate is None:
        results.missing["inputs"] = (
            "the artifact has no predictor h, so graphs are decoded from their true points only"
        )
    elif test.inputs is None:
        results.missing["inputs"] = "the data have no inputs, so graphs are decoded from their true points only"
    else:
        _, h = context.artifact.surrogate(context.surrogate)
        targets[f"the input “{context.surrogate}”"] = h.predict(test.inputs)
    return {**targets, TRUE_POINT: points_of(context.psi, test.graphs)}


def _judged(table, seed: int) -> dict:
    """Shares and means of some predictions, with 95 % intervals."""
    hits = int(table["exact"].sum())
    low, high = wilson(hits, len(table))
    edits = table["edit_distance"].to_numpy(dtype=float)
    ((_, edits_low, edits_high),) = mean_interval(edits[:, None], np.random.default_rng(seed))
    found = {"count": len(table), "exact": hits / max(len(table), 1), "low": low, "high": high, "hits": hits}
    found |= {"edits": edits.mean(), "edits_low": edits_low, "edits_high": edits_high}
    found["not_proven"] = int((~table["proven"]).sum())
    if "valid" in table:
        valid = int(table["valid"].sum())
        found |= dict(zip(("valid", "valid_low", "valid_high"), (valid / len(table), *wilson(valid, len(table)))))
    return found


def slices(table, truth: Graph, molecular: bool, seed: int):
    """The quality by size, rings and labels, worst first; slices of fewer than 20 predictions come last."""
    import pandas as pd

    rows = []
    for (by, name), members in sliced(truth, molecular=molecular).items():
        some = table[members]
        rows.append({"slice": name, "by": by, **_judged(some, seed), "few": len(some) < MIN_GRAPHS})
    columns = ["slice", "by", "count", "exact", "low", "high", "few"]
    found = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return found.sort_values(["few", "exact"], kind="stable", ignore_index=True)


def decoders(known: bool) -> dict[str, DecodeConfig]:
    """The decoders that are timed, by a description, from quick to thorough."""
    found = {}
    if known:
        found["nearest known graph"] = DecodeConfig("candidates")
        for beam in (1, 2, 4):
            found[f"nearest known graphs, edited (beam {beam})"] = DecodeConfig(
                "candidates+polish", search_starts=min(beam, 3), local_search=LocalSearchConfig(beam=beam)
            )
    for starts, iterations in ((1, 25), (1, 100), (4, 100), (8, 100)):
        words = f"gradient descent, {starts} start{'s' * (starts > 1)}, {iterations} iterations"
        found[words] = DecodeConfig("gradient", gradient=GradientConfig(starts=starts, iterations=iterations))
    found["gradient descent, 4 starts, then edited"] = DecodeConfig(
        "gradient+polish", gradient=GradientConfig(starts=4)
    )
    return found


def costs(context: Context, results: Results) -> None:
    """Time and exact matches of each decoder, measured on this machine."""
    import pandas as pd

    test = context.data.test.sample(TIMED, context.seed)
    if not len(test):
        raise ValueError("the data have no test split, so there is no prediction to time")
    name, target = next(iter(_targets(context, test, results).items()))
    known = known_graphs(context)
    rows = []
    for words, config in decoders(known is not None).items():
        config, given = replace(config, seed=context.seed), known if config.method.startswith("candidates") else None
        started = time.perf_counter()
        decoded = judging.decode_many(context.psi, target, candidates=given, config=config)
        seconds = time.perf_counter() - started
        exact = judging.evaluate(decoded.graphs, test.graphs, edit_distance=False)["exact"]
        low, high = wilson(int(exact.sum()), len(exact))
        descends = config.method.startswith("gradient")
        rows.append(
            {
                "way": words,
                "gradient": descends,
                "starts": config.gradient.starts if descends else 0,
                "iterations": config.gradient.iterations if descends else 0,
                "count": len(exact),
                "exact": float(exact.mean()),
                "low": low,
                "high": high,
                "milliseconds": 1_000 * seconds / len(exact),
                "loss": float(decoded.loss.mean()),
            }
        )
    results.tables["costs"] = pd.DataFrame(rows)
    results.facts["costs"] = plain_values({"from": name, "count": len(test), "threads": torch.get_num_threads()})
