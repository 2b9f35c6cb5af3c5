"""Measurements of the predictions made with a loss: their quality, by slice, and their cost."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from elekit import evaluation
from elekit.card.context import ENOUGH, Context, input_columns, shuffled
from elekit.card.phrases import TRUE_POINT
from elekit.card.results import Results
from elekit.datasets import Split
from elekit.datasets.frame import read_inputs
from elekit.decoding import Candidates, DecodeConfig, GradientConfig, LocalSearchConfig
from elekit.evaluation import conformal
from elekit.evaluation.conformal.candidate_sets import iter_candidate_sets
from elekit.evaluation.intervals import mean_interval, wilson
from elekit.evaluation.judging import Judgment, decode_many
from elekit.evaluation.slices import MIN_GRAPHS
from elekit.evaluation.slices import slices as sliced
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.graphs.smiles import is_molecular
from elekit.model.loss import points_of
from elekit.widgets.page import plain_values

JUDGED = 1_000  # predictions
LEVEL = 0.9  # of prediction sets
TIMED = 200  # predictions that each way of decoding is timed on
CANDIDATES = 20_000  # graphs of the training split that are known to the decoder
DECODED = 1 / 3  # of the time left, for the predictions from one kind of target
TIMED_QUICKLY = 40  # with a limit on time
TRIED = 16  # inputs, to estimate the time
TIMEOUT = 2.0  # seconds for an edit distance


def quality(context: Context, results: Results) -> None:
    """Exact matches, edit distances and validity, predicted from inputs and from the true points."""
    test = readable_inputs(context, context.data.test.sample(JUDGED, context.seed))
    refused = min(JUDGED, len(context.data.test)) - len(test)
    if not len(test):
        raise ValueError("the data have no test split, so there is nothing to predict that was not trained on")
    known = known_graphs(context)
    options: dict[str, Any] = {"candidates": known, "timeout": TIMEOUT}

    def judge(name: str, target: torch.Tensor, cases: Split, budget: Clock) -> Judgment:
        own = {} if name == TRUE_POINT else decoding(context, cases.inputs)
        return evaluation.judge(context.psi, target, cases.graphs, budget=budget, **options, **own)

    def judge_all(cases: Split) -> dict[str, Judgment]:
        found = _targets(context, cases, results).items()
        return {name: judge(name, target, cases, context.clock.part(DECODED)) for name, target in found}

    count = affordable(context, test, judge_all, least=TRIED)
    test = test.sample(count, context.seed)
    judged = judge_all(test)  # without a budget for the card, no search is cut short
    rows = []
    for name, found in judged.items():
        spent = {"milliseconds": 1_000 / found.summary["graphs_per_second"]}
        spent["fits_better"] = found.summary["fits_better_than_truth"]
        spent["unfinished"] = found.summary.get("unfinished", 0)
        rows.append({"from": name, **_judged(found.table, context.seed), **spent})
    others, not_judged = _other_predictors(context, test)
    for other, cases in others.items():
        h, own = context.artifact.surrogates[other], decoding(context, cases.inputs, other)
        found = evaluation.judge(
            context.psi, h.predict(cases.inputs), cases.graphs, budget=context.clock.part(DECODED), **options, **own
        )
        rows.append({"from": the_input(other), **_judged(found.table, context.seed)})
    results.tables["quality"] = pd.DataFrame(rows)
    name, best = next(iter(judged.items()))
    molecular = is_molecular(test.graphs.vocabulary)
    results.tables["slices"] = slices(best.table, test.graphs, molecular, context.seed)
    results.facts["predictions"] = {
        "from": name, "candidates": 0 if known is None else len(known), "refused": refused,
        "own_graphs": name != TRUE_POINT and context.artifact.surrogate(context.surrogate)[1].has_graph_head,
        "not_judged": not_judged,
    }  # fmt: skip


def _other_predictors(context: Context, test: Split) -> tuple[dict[str, Split], dict[str, list[str]]]:
    """The test cases with the inputs of each predictor that is not the card's own, as far as the data have them.

    Returns:
        The cases by predictor; and by those that cannot be judged, the columns that the data lack.
    """
    found, lacking = {}, {}
    for name, h in context.artifact.surrogates.items():
        if name == context.surrogate:
            continue
        columns = input_columns(context.artifact, name)
        if missing := [column for column in columns if column not in test.frame]:
            lacking[name] = missing
        else:
            inputs, problems = read_inputs(test.frame, list(columns))
            cases = replace(test, inputs=inputs).take([row for row in range(len(test)) if row not in problems])
            found[name] = evaluation.judging.readable(h, cases)[0]
    return {name: cases for name, cases in found.items() if len(cases)}, lacking


def coverage(context: Context, results: Results) -> None:
    """Coverage of prediction sets: calibrated on the validation split, measured on the test split."""
    parts = (part.sample(JUDGED, context.seed) for part in (context.data.validation, context.data.test))
    validation, test = (readable_inputs(context, part) for part in parts)
    if context.surrogate is None or test.inputs is None:
        raise ValueError("prediction sets need inputs and a predictor h that reads them")
    if not len(validation) or not len(test):
        why = "a validation split for calibration and a test split to measure coverage on"
        raise ValueError(f"prediction sets need {why}")
    _, h = context.artifact.surrogate(context.surrogate)
    psi, known = context.psi, known_graphs(context)
    count = affordable(context, test, sets_of(context, known), times=2)
    validation, test = validation.sample(count, context.seed), test.sample(count, context.seed)
    options: dict[str, Any] = {"candidates": known, **decoding(context, validation.inputs)}
    calibration = conformal.calibrate(psi, h.predict(validation.inputs), validation.graphs, level=LEVEL, **options)
    options |= decoding(context, test.inputs)
    results.tables["coverage"] = conformal.coverage(psi, h.predict(test.inputs), test.graphs, calibration, **options)
    about = {**calibration.to_json(), "expected": calibration.expected(len(test)), "most": conformal.MAX_SIZE}
    results.facts["sets"] = plain_values(about)


def affordable(
    context: Context, inputs: Split, answer: Callable[[Split], object], *, times: int = 1, least: int = ENOUGH
) -> int:
    """How many inputs can be answered, `times` over, in a third of the time left; all without a limit."""
    if context.clock.left == math.inf:
        return JUDGED
    some, began = inputs.sample(TRIED, context.seed), time.perf_counter()
    answer(some)
    seconds = (time.perf_counter() - began) / len(some)
    count = min(JUDGED, int(context.clock.left * DECODED / times / seconds))
    if count < least:
        raise ValueError(f"the time of the budget is enough for {count} predictions, {least} are needed")
    return count


def sets_of(context: Context, known: Candidates | None) -> Callable[[Split], object]:
    """What finds the candidate sets of some inputs, to be timed."""
    _, h = context.artifact.surrogate(context.surrogate)

    def answer(some: Split) -> list:
        options = {"candidates": known, **decoding(context, some.inputs)}
        return list(iter_candidate_sets(context.psi, h.predict(some.inputs), **options))

    return answer


def decoding(context: Context, inputs: Any, predictor: str | None = None) -> dict[str, Any]:
    """How points of a predictor are decoded, where not by default: from its own graphs, if it has a graph head."""
    _, h = context.artifact.surrogate(predictor or context.surrogate)
    if not h.has_graph_head:
        return {}
    return {"start": h.graphs(inputs), "config": DecodeConfig("rounded+polish", seed=context.seed)}


def readable_inputs(context: Context, split: Split) -> Split:
    """The pairs whose input h does not refuse; all if there is no h, or no inputs."""
    if context.surrogate is None or split.inputs is None:
        return split
    return evaluation.judging.readable(context.artifact.surrogate(context.surrogate)[1], split)[0]


def known_graphs(context: Context) -> Candidates | None:
    """Training graphs as candidates for the decoder; None if there is no training split."""
    graphs = context.data.train.graphs
    rows = shuffled(len(graphs), context.seed)[:CANDIDATES]
    return Candidates.of(context.psi, graphs[rows]) if len(graphs) else None


def the_input(predictor: str) -> str:
    """What a predictor starts from, in words."""
    return f"the input “{predictor}”"


def _targets(context: Context, test, results: Results) -> dict[str, torch.Tensor]:
    """Target points, by where they come from: inputs first, if there are inputs and a predictor."""
    targets = {TRUE_POINT: points_of(context.psi, test.graphs)}
    if context.surrogate is not None and test.inputs is not None:
        _, h = context.artifact.surrogate(context.surrogate)
        return {the_input(context.surrogate): h.predict(test.inputs), **targets}
    lacks = "the artifact has no predictor h" if context.surrogate is None else "the data have no inputs"
    results.missing["inputs"] = f"{lacks}, so graphs are decoded from their true points only"
    return targets


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


def slices(table, truth: GraphBatch, molecular: bool, seed: int):
    """The quality by size, rings and labels, worst first; slices of fewer than 20 predictions come last."""
    rows = []
    for (by, name), members in sliced(truth, molecular=molecular).items():
        some = table[members]
        rows.append({"slice": name, "by": by, **_judged(some, seed), "few": len(some) < MIN_GRAPHS})
    columns = ["slice", "by", "count", "exact", "low", "high", "few"]
    found = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return found.sort_values(["few", "exact"], kind="stable", ignore_index=True)


def decoders(known: bool) -> dict[str, DecodeConfig]:
    """The decoders that are timed, by a description, from quick to thorough."""
    found = {"nearest known graph": DecodeConfig("candidates")}
    for beam in (1, 2, 4):
        found[f"nearest known graphs, edited (beam {beam})"] = DecodeConfig(
            "candidates+polish", search_starts=min(beam, 3), local_search=LocalSearchConfig(beam=beam)
        )
    found = found if known else {}
    for starts, iterations in ((1, 25), (1, 100), (4, 100), (8, 100)):
        way = f"gradient descent, {starts} start{'s' * (starts > 1)}, {iterations} iterations"
        found[way] = DecodeConfig("gradient", gradient=GradientConfig(starts=starts, iterations=iterations))
    edited = DecodeConfig("gradient+polish", gradient=GradientConfig(starts=4))
    return found | {"gradient descent, 4 starts, then edited": edited}


def costs(context: Context, results: Results) -> None:
    """Time and exact matches of each decoder, measured on this machine; of fewer cases if time is limited."""
    count = TIMED if context.clock.left == math.inf else TIMED_QUICKLY
    test = readable_inputs(context, context.data.test.sample(count, context.seed))
    if not len(test):
        raise ValueError("the data have no test split, so there is no prediction to time")
    name, target = next(iter(_targets(context, test, results).items()))
    known, start = known_graphs(context), None
    ways = decoders(known is not None)
    if name != TRUE_POINT and (own := decoding(context, test.inputs)):
        start, rounded = own["start"], DecodeConfig("rounded")
        ways = {"its own graph, rounded": rounded, "its own graph, rounded and edited": own["config"], **ways}
    rows: list[tuple] = []
    for way, config in ways.items():
        if rows and context.clock.over:
            break
        config, descends = replace(config, seed=context.seed), str(config.method).startswith("gradient")
        started = time.perf_counter()
        of_way: dict[str, Any] = {
            "candidates": None if descends else known,
            "start": start if config.needs_start else None,
        }
        decoded = decode_many(context.psi, target, config=config, **of_way)
        seconds = time.perf_counter() - started
        exact = evaluation.evaluate(decoded.graphs, test.graphs, edit_distance=False)["exact"]
        low, high = wilson(int(exact.sum()), len(exact))
        steps = (config.gradient.starts, config.gradient.iterations) if descends else (0, 0)
        milliseconds, loss = 1_000 * seconds / len(exact), float(decoded.loss.mean())
        rows.append((way, descends, *steps, len(exact), float(exact.mean()), low, high, milliseconds, loss))
    columns = ["way", "gradient", "starts", "iterations", "count", "exact", "low", "high", "milliseconds", "loss"]
    results.tables["costs"] = pd.DataFrame(rows, columns=columns)
    results.facts["costs"] = plain_values({"from": name, "count": len(test), "threads": torch.get_num_threads()})
