"""Gates: what a version must show before it is promoted, in a file that an auditor can read.

cases = 500                      # held-out inputs
level = 0.9                      # of prediction sets

[[gate]]
figure = "exact"
at_least = 0.8
certain = true                   # the whole 95 % interval, not the figure alone
why = "below, checking by hand is cheaper"

[[gate]]
figure = "edit cost of relabel C to N"
at_least = 0.3
at_most = 3.0
"""

import difflib
import hashlib
import math
import statistics
import time
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from elekit.audit import findings as findings_of
from elekit.audit.findings import Severity, make_probe_set
from elekit.datasets import Dataset, Split
from elekit.evaluation import evaluate
from elekit.evaluation.conformal import Calibration, calibrate
from elekit.evaluation.conformal.predict import coverage
from elekit.evaluation.intervals import wilson
from elekit.evaluation.judging import decode_many, readable
from elekit.graphs import _schema as schema
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.inspect.edit_costs import sample_edits
from elekit.model.loss import Psi, points_of
from elekit.model.surrogate.reader import misspell
from elekit.model.surrogate.regressor import UnfamiliarInputWarning
from elekit.operation.predictor import Predictor, stored_calibration

FIGURES = {
    "exact": "share of held-out inputs that are decoded exactly; refused ones count as wrong",
    "exact with typos": "the same share, of inputs with typos",
    "wrong but sure": "share of inputs with typos that are answered wrongly, and not marked unsure",
    "unsure": "share of held-out inputs that are refused or marked unsure",
    "coverage": "share of prediction sets that contain the true graph",
    "defects": "number of defects among the findings about the loss",
    "new defects": "number of defects that the version in operation does not have",
    "least edit cost": "smallest median price of a kind of edit, in typical edits",
    "rank correlation": "Spearman's correlation with the loss in operation, over pairs of held-out graphs",
    "milliseconds": "median time of one answer",
    "times slower": "the same, as a multiple of that of the version in operation, measured in turn",
}
EDIT_COST = "edit cost of "  # and a kind of edit: its median price, in typical edits
COMPARED = ("new defects", "rank correlation", "times slower")  # with the version in operation
CASES, LEVEL, TYPOS = 500, 0.9, 0.02
TIMED = 40  # inputs
EDITED = 200  # graphs
RANKED = 200  # graphs, of which all pairs are ranked
SAMPLES = 24  # edits of a graph
FINDINGS_SECONDS = 120.0
_NUMBER = schema.maybe(schema.number())
_GATE = {
    "figure": schema.text(200, visible=True), "at_least": _NUMBER, "at_most": _NUMBER,
    "certain": schema.one_of(True, False), "why": schema.text(1_000),
}  # fmt: skip
_FILE = {
    "gate": schema.items(schema.anything, 1_000, 1), "cases": schema.whole(20, 10**6), "level": schema.number(0, 1),
    "typos": schema.number(0, 1), "seed": schema.whole(0, 2**31),
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """One condition.

    Args:
        figure: One of `FIGURES`, or "edit cost of " and a kind of edit.
        at_least: Smallest accepted value; None if there is none.
        at_most: Largest accepted value; None if there is none.
        certain: True if the whole 95 % interval must keep the bounds, False if the figure itself must.
        why: The reason, for readers.

    Raises:
        ValueError: If there is no such figure, or no bound.
    """

    figure: str
    at_least: float | None = None
    at_most: float | None = None
    certain: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        if self.figure not in FIGURES and not self.figure.startswith(EDIT_COST):
            near = difflib.get_close_matches(self.figure, [*FIGURES, EDIT_COST + "KIND"], 3, 0.3)
            raise ValueError(f"no gate is about {self.figure!r}; near are {', '.join(map(repr, near or FIGURES))}")
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"the gate {self.figure!r} has no bound; give at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"the gate {self.figure!r} accepts nothing: at_least is above at_most")

    def accepts(self, figure: "Figure") -> bool:
        """Whether a figure keeps the bounds; what could not be measured does not."""
        if not figure.applies:
            return True
        ends = [figure.value]
        if self.certain:
            ends = [figure.value if math.isnan(end) else end for end in (figure.low, figure.high)]
        if not all(map(math.isfinite, ends)):
            return False
        lowest = -math.inf if self.at_least is None else self.at_least
        highest = math.inf if self.at_most is None else self.at_most
        return lowest <= min(ends) and max(ends) <= highest


@dataclass(frozen=True)
class GateFile:
    """Gates, and how their figures are measured.

    Args:
        gates: The gates.
        cases: Held-out inputs, at most.
        level: Level of prediction sets in (0, 1), if the version carries no calibration of its own.
        typos: Share of the letters of inputs that get typos.
        seed: Seed of all sampling.
        sha256: Of the file.
    """

    gates: tuple[Gate, ...]
    cases: int = CASES
    level: float = LEVEL
    typos: float = TYPOS
    seed: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Figure:
    """A measured figure with its 95 % interval (nan if there is none), and where it comes from.

    Args:
        value: The figure; nan if it could not be measured.
        low: Lower end of the interval.
        high: Upper end of the interval.
        detail: For readers: the kind, the label or the count that it comes from, or why it was not measured.
        applies: False if there is nothing to measure; every gate accepts that.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    detail: str = ""
    applies: bool = True

    @classmethod
    def share(cls, hits: int, count: int, detail: str = "") -> Self:
        """A share of cases with its Wilson interval."""
        return cls(hits / max(1, count), *wilson(hits, count), detail or f"{hits} of {count}")


@dataclass(frozen=True)
class GateReport:
    """What was measured, gate by gate.

    Args:
        results: Each gate with its figure.
        file: sha256 of the gate file.
        against: Digest of the version in operation; "" if there was none.
    """

    results: tuple[tuple[Gate, Figure], ...]
    file: str = ""
    against: str = ""

    @property
    def failed(self) -> list[str]:
        """Figures of the gates that are not met, as the file names them."""
        return [gate.figure for gate, figure in self.results if not gate.accepts(figure)]

    @property
    def passed(self) -> bool:
        """Whether all gates are met."""
        return not self.failed

    def lines(self) -> list[str]:
        """The report for readers, failed gates first."""
        ordered = sorted(self.results, key=lambda result: result[0].accepts(result[1]))
        return [_line(gate, figure) for gate, figure in ordered]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values.

        Returns:
            passed, failed, file, against, and results with the fields of gate and figure.
        """
        results = [
            {**asdict(gate), **_finite(asdict(figure)), "met": gate.accepts(figure)} for gate, figure in self.results
        ]
        head = {"passed": self.passed, "failed": self.failed, "file": self.file, "against": self.against}
        return {**head, "results": results}


def read_gates(path: str | Path) -> GateFile:
    """Read a gate file (TOML).

    Args:
        path: The file, see the top of this module.

    Returns:
        The gates.

    Raises:
        ValueError: If it is not TOML, has an unknown key, or a gate is not valid; the message names it.
        OSError: If it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        content = tomllib.loads(data.decode())
        _known(content, _FILE, "the file")
        schema.fields({"gate": _FILE["gate"]}, _FILE)(content, "the file")
        gates = []
        for number, values in enumerate(content.pop("gate"), 1):
            _known(values, _GATE, f"gate {number}")
            schema.fields({"figure": _GATE["figure"]}, _GATE)(values, f"gate {number}")
            gates.append(Gate(**values))
    except ValueError as error:  # also of tomllib and of UTF-8
        raise ValueError(f"{path}: {error}") from None
    named = [gate.figure for gate in gates]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise ValueError(f"{path}: {twice[0]!r} has several gates; give one with at_least and at_most")
    return GateFile(tuple(gates), **content, sha256=hashlib.sha256(data).hexdigest())


def _known(values: Any, known: Mapping[str, Any], where: str) -> None:
    for key in values if isinstance(values, dict) else ():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.4)
            fix = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(known)}"
            raise ValueError(f"{where} has an unknown key {key!r}; {fix}")


def check(
    candidate: Predictor, data: Dataset, file: GateFile, *, operating: Predictor | None = None,
    progress: bool | None = None,
) -> GateReport:  # fmt: skip
    """Measure what the gates are about.

    Args:
        candidate: The version to be promoted.
        data: Data with held-out pairs (test split), pairs to calibrate on (validation) and training graphs.
        file: The gates.
        operating: The version in operation; without one, gates that compare with it do not apply.
        progress: As in `Clock.track`.

    Returns:
        The report.

    Raises:
        ValueError: If the labels of the versions or of the data differ, or there are no held-out pairs.
    """
    if operating is not None and operating.artifact.vocabulary != candidate.artifact.vocabulary:
        raise ValueError(f"{_differing(candidate, operating)}; a loss on other graphs needs a registry of its own")
    if data.vocabulary != candidate.artifact.vocabulary:
        raise ValueError(f"the data {data.name!r} have other labels than the version; give those of its graphs")
    if not len(data.test) or data.test.inputs is None:
        raise ValueError(f"the data {data.name!r} have no held-out pairs with inputs, so no gate can be measured")
    measured = _Measured(candidate, operating, data, file)
    results = []
    for gate in Clock().track(file.gates, "gates", progress=progress):
        if gate.figure in COMPARED and operating is None:
            figure = Figure(math.nan, detail="there is no version in operation to compare with", applies=False)
        else:
            try:
                figure = measured.figure(gate.figure)
            except ValueError as error:
                figure = Figure(math.nan, detail=f"not measured: {error}")
        results.append((gate, figure))
    return GateReport(tuple(results), file.sha256, "" if operating is None else operating.version)


def _differing(candidate: Predictor, operating: Predictor) -> str:
    new, old = (set(one.artifact.vocabulary.node_labels) for one in (candidate, operating))
    changes = [
        f"{word} {', '.join(sorted(some))}" for word, some in (("adds", new - old), ("lacks", old - new)) if some
    ]
    why = f" (it {' and '.join(changes)})" if changes else ""
    return f"the version has another vocabulary than the one in operation{why}"


class _Measured:
    """The figures of a version, each measured when a gate first needs it."""

    def __init__(self, candidate: Predictor, operating: Predictor | None, data: Dataset, file: GateFile):
        self.candidate, self.operating, self.data, self.file = candidate, operating, data, file
        self.test = data.test.sample(file.cases, file.seed)
        self._of: dict[str, Callable[[], Figure]] = {
            "exact": lambda: self._answered(self.test.inputs)[0],
            "exact with typos": lambda: self._answered(self._with_typos)[0],
            "wrong but sure": lambda: self._answered(self._with_typos)[1],
            "unsure": lambda: self._answered(self.test.inputs)[2],
            "coverage": self._coverage,
            "defects": lambda: _listed(self._defects),
            "new defects": lambda: _listed([one for one in self._defects if one not in self._known_defects]),
            "least edit cost": self._least_edit_cost,
            "rank correlation": self._rank_correlation,
            "milliseconds": lambda: self._times[0],
            "times slower": lambda: self._times[1],
        }
        self._answers: dict[int, tuple[Figure, Figure, Figure]] = {}

    def figure(self, name: str) -> Figure:
        if name.startswith(EDIT_COST):
            return self._edit_cost(name.removeprefix(EDIT_COST))
        return self._of[name]()

    @cached_property
    def _with_typos(self) -> Any:
        if torch.is_tensor(self.test.inputs):
            raise ValueError("typos are for texts, and these inputs are vectors")
        generator = torch.Generator().manual_seed(self.file.seed)
        return [misspell(text, self.file.typos, generator) for text in self.test.inputs or ()]

    def _answered(self, inputs: Any) -> tuple[Figure, Figure, Figure]:
        """Shares of exact, of wrong but sure, and of unsure or refused answers."""
        if id(inputs) not in self._answers:
            cases, predictor = replace(self.test, inputs=inputs), self.candidate
            fit, readings = readable(predictor.h, cases)
            n, exact, sure = len(cases), np.zeros(0, bool), np.zeros(0, bool)
            if len(fit):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UnfamiliarInputWarning)  # they are counted
                    target = predictor.h.predict(fit.inputs)
                decoded = decode_many(
                    predictor.artifact.psi, target, candidates=predictor.candidates, config=predictor.config,
                    start=predictor.h.graphs(fit.inputs) if predictor.config.needs_start else None,
                )  # fmt: skip
                exact = evaluate(decoded.graphs, fit.graphs, edit_distance=False)["exact"].to_numpy(bool)
                understood = [one for one in readings if not one.refused]
                sure = np.array([not one.doubt(loss) for one, loss in zip(understood, decoded.loss.tolist())])
            hits = int(exact.sum()), int((sure & ~exact).sum()), n - int(sure.sum())
            self._answers[id(inputs)] = tuple(Figure.share(count, n) for count in hits)  # type: ignore[assignment]
        return self._answers[id(inputs)]

    def _coverage(self) -> Figure:
        predictor, file = self.candidate, self.file
        calibration = stored_calibration(predictor.artifact) or predictor.calibration
        detail = "with the calibration that the version carries"
        if calibration is None:
            pairs = readable(predictor.h, self.data.validation.sample(file.cases, file.seed))[0]
            calibration, detail = calibration_on(predictor, pairs, file.level), "calibrated on the validation split"
        test = readable(predictor.h, self.test)[0]
        row = coverage(
            predictor.artifact.psi,
            predictor.h.predict(test.inputs),
            test.graphs,
            calibration,
            **search(predictor, test),
        ).iloc[0]
        value, low, high = (float(row[name]) for name in ("coverage", "low", "high"))
        return Figure(value, low, high, f"{len(test)} sets, {detail}")

    def _findings(self, psi: Psi) -> list[str]:
        found = findings_of.findings(
            psi, self.data.train.graphs, held_out=self.data.test.graphs, probe_set=self._probes, seed=self.file.seed,
            budget=FINDINGS_SECONDS,
        )  # fmt: skip
        return [one.name for one in found if one.severity is Severity.DEFECT]

    @cached_property
    def _probes(self) -> Any:
        return make_probe_set(self.data.train.graphs, seed=self.file.seed)

    @cached_property
    def _defects(self) -> list[str]:
        return self._findings(self.candidate.artifact.psi)

    @cached_property
    def _known_defects(self) -> list[str]:
        return [] if self.operating is None else self._findings(self.operating.artifact.psi)

    @cached_property
    def _graphs(self) -> GraphBatch:
        return self.data.test.sample(max(EDITED, RANKED), self.file.seed).graphs

    @cached_property
    def _costs(self) -> Any:
        """Median prices of the kinds of edits, with intervals, in typical edits."""
        table = sample_edits(self._graphs[:EDITED], samples=SAMPLES, seed=self.file.seed).edit_costs(
            self.candidate.artifact.psi
        )
        table = table.summary(seed=self.file.seed).set_index("kind")
        return table[["median", "low", "high"]] / table["median"].median()

    def _edit_cost(self, kind: str) -> Figure:
        if kind not in self._costs.index:
            near = difflib.get_close_matches(kind, list(self._costs.index), 3, 0.3)
            raise ValueError(f"these graphs have no edit {kind!r}; near are {', '.join(map(repr, near)) or 'none'}")
        return self._cost_of(kind, "typical edits")

    def _least_edit_cost(self) -> Figure:
        kind = self._costs["median"].idxmin()
        return self._cost_of(kind, f"of {kind}")

    def _cost_of(self, kind: str, detail: str) -> Figure:
        median, low, high = map(float, self._costs.loc[kind])
        return Figure(median, low, high, detail)

    def _rank_correlation(self) -> Figure:
        assert self.operating is not None
        graphs = self._graphs[:RANKED]
        losses = [_pairwise(one.artifact.psi, graphs) for one in (self.candidate, self.operating)]
        n = len(graphs)
        figure = Figure(_spearman(*losses), detail=f"over {n * (n - 1) // 2:,} pairs")
        halves = [_spearman(*(loss[_pairs_of(n, half)] for loss in losses)) for half in (0, 1)]
        spread = abs(halves[0] - halves[1])
        return replace(figure, low=figure.value - spread, high=min(1.0, figure.value + spread))

    @cached_property
    def _times(self) -> tuple[Figure, Figure]:
        inputs = list(readable(self.candidate.h, self.test.sample(TIMED, self.file.seed))[0].inputs or ())
        both = [self.candidate, *([] if self.operating is None else [self.operating])]
        spent: list[list[float]] = [[] for _ in both]
        for warm in (True, False):
            for number, one in enumerate(inputs[:3] if warm else inputs):
                for which in range(len(both)) if number % 2 else reversed(range(len(both))):
                    began = time.perf_counter()
                    both[which].fresh().answers([one])
                    if not warm:
                        spent[which].append(1_000 * (time.perf_counter() - began))
        medians = [statistics.median(some) for some in spent]
        low, high = np.quantile(spent[0], [0.25, 0.75])
        own = Figure(medians[0], float(low), float(high), f"{len(spent[0])} inputs one by one; middle half of them")
        if self.operating is None:
            return own, Figure(math.nan)
        ratios = [a / b for a, b in zip(*spent)]
        low, high = np.quantile(ratios, [0.25, 0.75])
        return own, Figure(
            medians[0] / medians[1], float(low), float(high), f"{medians[0]:.3g} to {medians[1]:.3g} ms"
        )


def search(predictor: Predictor, pairs: Split) -> dict[str, Any]:
    """The keyword arguments of conformal prediction for some pairs."""
    start = predictor.h.graphs(pairs.inputs) if predictor.config.needs_start else None
    return {"candidates": predictor.candidates, "config": predictor.config, "start": start}


def calibration_on(predictor: Predictor, pairs: Split, level: float) -> Calibration:
    """A calibration of a predictor's own search.

    Args:
        predictor: The predictor.
        pairs: Pairs that neither psi nor h learned from, none refused.
        level: In (0, 1).

    Returns:
        The calibration.

    Raises:
        ValueError: If there are too few pairs for the level.
    """
    if not len(pairs):
        raise ValueError("there are no pairs to calibrate on")
    target = predictor.h.predict(pairs.inputs)
    return calibrate(predictor.artifact.psi, target, pairs.graphs, level=level, **search(predictor, pairs))


def _pairwise(psi: Psi, graphs: GraphBatch) -> Tensor:
    """Losses of all pairs of graphs."""
    points = points_of(psi, graphs)
    i, j = torch.triu_indices(len(graphs), len(graphs), 1)
    return 2 - 2 * (points[i] * points[j]).sum(1)


def _pairs_of(n: int, half: int) -> Tensor:
    """(n (n - 1) / 2) bool, the pairs within every second graph."""
    i, j = torch.triu_indices(n, n, 1)
    return (i % 2 == half) & (j % 2 == half)


def _spearman(one: Tensor, other: Tensor) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one.numpy(), other.numpy()).statistic)


def _listed(names: Sequence[str]) -> Figure:
    return Figure(float(len(names)), detail="; ".join(names) or "none")


def _line(gate: Gate, figure: Figure) -> str:
    met = gate.accepts(figure)
    value = "not measured" if math.isnan(figure.value) else f"{figure.value:.4g}"
    interval = "" if math.isnan(figure.low) else f" ({figure.low:.4g} to {figure.high:.4g})"
    bounds = [f"at least {gate.at_least:g}"] if gate.at_least is not None else []
    bounds += [f"at most {gate.at_most:g}"] if gate.at_most is not None else []
    detail = f"; {figure.detail}" if figure.detail else ""
    certain = ", whole interval" if gate.certain else ""
    word = "met" if met else "FAILED"
    return f"{word:<6}  {gate.figure}: {value}{interval}, required {' and '.join(bounds)}{certain}{detail}"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(one, float) and not math.isfinite(one) else one for name, one in values.items()}
