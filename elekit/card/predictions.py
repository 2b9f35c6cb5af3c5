"""How well predictions made with a loss do, by slice, what they cost, and a few of them to look at."""

import time
from dataclasses import replace

import numpy as np
import torch

from elekit.card.measured import Measured, plain_values
from elekit.card.subject import Subject
from elekit.decoding import Candidates, DecodeConfig, GradientConfig, LocalSearchConfig
from elekit.evaluation import conformal, judging
from elekit.evaluation.intervals import mean_interval, wilson
from elekit.evaluation.slices import FEWEST
from elekit.evaluation.slices import slices as sliced
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of

JUDGED = 1_000  # predictions
LEVEL = 0.9  # of prediction sets
TIMED = 60  # predictions that each way of decoding is timed on
CANDIDATES = 20_000  # graphs of the training split that are known to the decoder
TIMEOUT = 2.0  # seconds for an edit distance


def quality(subject: Subject, found: Measured) -> None:
    """Exact matches, edit distances and validity, of predictions from inputs and from the true points."""
    import pandas as pd

    test = subject.data.test.sample(JUDGED, subject.seed)
    if not len(test):
        raise ValueError("the data have no test split, so nothing can be predicted that was not learned from")
    known = known_to(subject)
    judged, rows = {}, []
    for name, target in _targets(subject, test, found).items():
        judged[name] = judging.judge(subject.psi, target, test.graphs, candidates=known, timeout=TIMEOUT)
        rows.append({"from": name, **_judged(judged[name].table, subject.seed), **_spent(judged[name])})
    found.tables["quality"] = pd.DataFrame(rows)
    name, best = next(iter(judged.items()))
    found.tables["slices"] = slices(best.table, test.graphs, subject.molecular, subject.seed)
    found.facts["predictions"] = {"from": name, "candidates": 0 if known is None else len(known)}


def coverage(subject: Subject, found: Measured) -> None:
    """How often prediction sets hold the truth: calibrated on the validation split, measured on the test split."""
    validation, test = (part.sample(JUDGED, subject.seed) for part in (subject.data.validation, subject.data.test))
    if subject.surrogate is None or test.inputs is None:
        raise ValueError("prediction sets need inputs and a predictor h that reads them")
    if not len(validation) or not len(test):
        raise ValueError(
            "prediction sets need a validation split to be calibrated on and a test split to be judged on"
        )
    _, h = subject.artifact.surrogate(subject.surrogate)
    search = {"candidates": known_to(subject)}
    held = conformal.calibrate(subject.psi, h.predict(validation.inputs), validation.graphs, level=LEVEL, **search)
    found.tables["coverage"] = conformal.coverage(subject.psi, h.predict(test.inputs), test.graphs, held, **search)
    low, high = held.expected(len(test))
    found.facts["sets"] = plain_values({**held.to_json(), "expected": [low, high], "most": conformal.MOST})


def known_to(subject: Subject) -> Candidates | None:
    """The graphs that the decoder knows, with their points; None where there is no training split."""
    return Candidates.of(subject.psi, _candidates(subject)) if len(subject.data.train) else None


def _targets(subject: Subject, test, found: Measured) -> dict[str, torch.Tensor]:
    """Where predictions start, by what they are made from: inputs first, where there are inputs and an h."""
    targets = {}
    if subject.surrogate is None:
        found.missing["inputs"] = (
            "the artifact holds no predictor h, so graphs are decoded from their true points only"
        )
    elif test.inputs is None:
        found.missing["inputs"] = "the data hold no inputs, so graphs are decoded from their true points only"
    else:
        _, h = subject.artifact.surrogate(subject.surrogate)
        targets[f"the input “{subject.surrogate}”"] = h.predict(test.inputs)
    return {**targets, "the true point": points_of(subject.psi, test.graphs)}


def _candidates(subject: Subject) -> Graph:
    graphs = subject.data.train.graphs
    generator = torch.Generator().manual_seed(subject.seed)
    return graphs[torch.randperm(len(graphs), generator=generator)[:CANDIDATES]]


def _judged(table, seed: int) -> dict:
    """Shares and means of some predictions, each with its 95 % interval."""
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


def _spent(judged: judging.Judgment) -> dict:
    return {
        "milliseconds": 1_000 / judged.summary["graphs_per_second"],
        "fits_better": judged.summary["fits_better_than_truth"],
    }


def slices(table, truth: Graph, molecular: bool, seed: int):
    """The same by size, rings and labels, worst first; slices of fewer than 20 predictions come last."""
    import pandas as pd

    rows = []
    for (by, name), members in sliced(truth, molecular=molecular).items():
        some = table[members]
        rows.append({"slice": name, "by": by, **_judged(some, seed), "few": len(some) < FEWEST})
    columns = ["slice", "by", "count", "exact", "low", "high", "few"]
    found = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return found.sort_values(["few", "exact"], kind="stable", ignore_index=True)


def ways(known: bool) -> dict[str, DecodeConfig]:
    """Ways to decode that are timed, in words, from quick to thorough."""
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


def costs(subject: Subject, found: Measured) -> None:
    """Time and iterations against exact matches, measured on this machine."""
    import pandas as pd

    test = subject.data.test.sample(TIMED, subject.seed)
    if not len(test):
        raise ValueError("the data have no test split, so no prediction can be timed")
    name, target = next(iter(_targets(subject, test, found).items()))
    known = known_to(subject)
    rows = []
    for words, config in ways(known is not None).items():
        config, given = replace(config, seed=subject.seed), known if config.method.startswith("candidates") else None
        started = time.perf_counter()
        decoded = judging.decode_many(subject.psi, target, candidates=given, config=config)
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
    found.tables["costs"] = pd.DataFrame(rows)
    found.facts["costs"] = plain_values({"from": name, "count": len(test), "threads": torch.get_num_threads()})
