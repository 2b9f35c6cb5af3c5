"""From inputs to answers: an artifact with all that decoding needs, loaded once."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from elekit import datasets
from elekit.datasets import Dataset, Prepare, Split
from elekit.decoding import Candidates, DecodeConfig, default_method
from elekit.decoding.trace import Trace
from elekit.evaluation.conformal import Calibration, prediction_sets
from elekit.evaluation.conformal.sets import PredictionSet
from elekit.evaluation.judging import decode_many
from elekit.graphs import Graph, to_networkx, to_smiles
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.graphs.smiles import is_molecular
from elekit.model import artifact as artifacts
from elekit.model.artifact import Artifact
from elekit.model.surrogate import SurrogateRegressor
from elekit.model.surrogate.reader import Reading
from elekit.model.surrogate.regressor import UnfamiliarInputWarning

REMEMBERED = 100_000  # answers, by the normal form of their input
LABEL = "label"  # attribute of nodes and edges
# Options of `Prepare` that choose rows of a training.
ROWS = ("subset", "min_nodes", "max_nodes", "min_count", "structure")
SEARCH_SETTINGS = ("beam", "screen", "rounds", "patience")
DESCENT_SETTINGS = ("starts", "iterations", "rule")
OWN_SETTINGS = ("method", "search_starts", "seed")
Json = dict[str, Any]


@dataclass(frozen=True)
class PredictorSpec:
    """What a predictor is loaded from: plain values, so that other processes and machines load the same one.

    Args:
        artifact: Folder of an artifact, or the name of a shipped one.
        surrogate: Name of its h; None means the first.
        candidates: Graphs to choose from: a named data set (its training split), a file, "none", or None for the
            training graphs of the loss, if they are available offline.
        candidates_column: Column of that file.
        settings: Settings of decoding by name, see `decode_config`; others are those of the artifact.
        calibration: For prediction sets; None means no sets.
    """

    artifact: str
    surrogate: str | None = None
    candidates: str | None = None
    candidates_column: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None

    def load(self) -> "Predictor":
        """Load the predictor.

        Returns:
            The predictor.

        Raises:
            ValueError: If the artifact, its h, the candidates or the settings are not valid.
        """
        artifact = artifacts.load(self.artifact)
        needed = not str(self.settings.get("method") or "").startswith("gradient")
        graphs, source = load_candidates(
            artifact, self.candidates if needed else "none", column=self.candidates_column
        )
        options: Json = {"surrogate": self.surrogate, "candidates": graphs, "calibration": self.calibration}
        return Predictor(artifact, settings=self.settings, source=source, **options)

    def to_json(self) -> Json:
        """Convert to plain values.

        Returns:
            The fields by name.
        """
        return {**asdict(self), "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, values: Json) -> Self:
        """Read what `to_json` returns.

        Args:
            values: The fields by name.

        Returns:
            The specification.
        """
        held = values.get("calibration")
        return cls(**{**values, "calibration": None if held is None else Calibration.from_json(held)})


def decode_config(settings: Mapping[str, Any]) -> DecodeConfig:
    """A config from plain settings.

    Args:
        settings: method, search_starts, seed; starts, iterations, rule (of gradient descent); beam, screen, rounds,
            patience (of local search). None stands for the default.

    Returns:
        The config.

    Raises:
        ValueError: If a setting is unknown or out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if unknown := given.keys() - {*OWN_SETTINGS, *DESCENT_SETTINGS, *SEARCH_SETTINGS}:
        known = ", ".join((*OWN_SETTINGS, *DESCENT_SETTINGS, *SEARCH_SETTINGS))
        raise ValueError(f"no setting of decoding {min(unknown)!r}; there are {known}")

    def those(names: tuple[str, ...]) -> Json:
        return {name: given[name] for name in names if name in given}

    config = DecodeConfig(**those(OWN_SETTINGS))
    descent = replace(config.gradient, **those(DESCENT_SETTINGS))
    return replace(config, gradient=descent, local_search=replace(config.local_search, **those(SEARCH_SETTINGS)))


class Predictor:
    """A loss, an h, candidates and a way to decode, ready to answer inputs.

    Answers depend on the input alone, and on the version: inputs with one normal form (such as two SMILES of a
    molecule) get one answer, which is remembered.

    Args:
        artifact: The learned loss with its surrogates.
        surrogate: Name of the h; None means the first.
        candidates: Graphs to choose from; None if there are none.
        settings: Settings of decoding, see `decode_config`, over those of the artifact.
        calibration: For prediction sets; None means no sets.
        remembered: Number of answers that are remembered.
        source: Where the candidates come from, or why there are none, for messages.

    Raises:
        ValueError: If the artifact has no such h, or the settings do not fit it.
    """

    def __init__(
        self, artifact: Artifact, *, surrogate: str | None = None, candidates: GraphBatch | Candidates | None = None,
        settings: Mapping[str, Any] | None = None, calibration: Calibration | None = None,
        remembered: int = REMEMBERED, source: str = "none",
    ):  # fmt: skip
        self.artifact, self.calibration = artifact, calibration
        self.name, self.h = artifact.surrogate(surrogate)
        given = {name: value for name, value in (settings or {}).items() if value is not None}
        config = decode_config({**operating_settings(artifact), **given})
        self.config = with_method(config, artifact, self.h, candidates, source)
        self.candidates = None if candidates is None else Candidates.of(artifact.psi, candidates)
        self.kind = "smiles" if is_molecular(artifact.vocabulary) else "graph"
        self._remembered = remembered
        self._known: OrderedDict[str, Json] = OrderedDict()

    @property
    def version(self) -> str:
        """Digest of the artifact; "" if it was never saved."""
        return self.artifact.digest

    def fresh(self) -> "Predictor":
        """The predictor without remembered answers, as for measuring times.

        Returns:
            Itself.
        """
        self._known.clear()
        return self

    def answers(
        self, inputs: Sequence[Any] | Tensor, *, budget: float | Clock | None = None, traces: bool = False,
        nearest: bool = False, progress: bool = False,
    ) -> list[Json]:  # fmt: skip
        """Answer inputs, each by itself: one that is refused does not keep others from being answered.

        Args:
            inputs: B texts, or vectors as lists of numbers or as texts of numbers.
            budget: Seconds for the call; then answers are the best so far, and are not remembered.
            traces: Whether to record how each answer was found.
            nearest: Whether to add `nearest`, the learned loss between h(x) and the nearest candidate.
            progress: Whether to show progress bars.

        Returns:
            B objects. Each has `input`, and `refused` (why) or: `smiles` or `graph` (None if it is no valid
            molecule), `loss` in [0, 4], `unsure` (why) if it is, `set` if there is a calibration, `trace` if
            recorded. `unknown`, `dropped` and `read_as` are there if the input was not read as it is written.

        Raises:
            ValueError: If the inputs are of another kind, such as numbers in place of texts.
        """
        given = list(inputs)
        readings = self.h.read(vectors(given) if kind_of(self.h) == "vector" else given)
        found: list[Json] = [{"input": plain(one), **read_as(one, reading)} for one, reading in zip(given, readings)]
        rows = [row for row, one in enumerate(readings) if not one.refused]
        values = [readings[row].value for row in rows]
        decoded = self._decoded(values, Clock.of(budget), budget, traces, progress)
        for row, answer in zip(rows, decoded):
            reading, answer = readings[row], dict(answer)
            one = answer.pop("prediction_set", None)
            if not nearest:
                answer.pop("nearest", None)
            found[row] |= answer
            if doubt := reading.doubt(answer["loss"]):
                found[row]["unsure"] = doubt
            if one is not None:
                found[row]["set"] = self._set_to_json(replace(one, doubt=reading.doubt(one.loss)))
        return found

    def _decoded(self, values: list[Any], clock: Clock, budget: Any, traces: bool, progress: bool) -> list[Json]:
        """The answer to each normal form, without what is known about its reading."""
        remembers = budget is None and not traces and all(isinstance(one, str) for one in values)
        if not remembers:
            return self._decode(values, clock, traces, progress) if values else []
        forms = dict.fromkeys(values)
        new = sorted((one for one in forms if one not in self._known), key=lambda one: (len(one), one))
        answers = dict(zip(new, self._decode(new, clock, traces, progress))) if new else {}
        for form in forms:
            if form in self._known:
                self._known.move_to_end(form)
                answers[form] = self._known[form]
        self._known.update((form, answers[form]) for form in new)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return [answers[one] for one in values]

    def _decode(self, values: list[Any], clock: Clock, traces: bool, progress: bool) -> list[Json]:
        h, psi = self.h, self.artifact.psi
        read = h.reader.collect(values) if h.reader is not None else values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnfamiliarInputWarning)  # each answer carries its own doubt
            target = h.predict(read)
            start = h.graphs(read) if self.config.needs_start else None
        search: Json = {"candidates": self.candidates, "config": self.config, "progress": progress}
        decoded = decode_many(psi, target, start=start, budget=clock, record=traces, **search)
        found = self.to_json(decoded.graphs, decoded.loss)
        if self.candidates is not None:
            losses, _ = self.candidates.nearest(target, 1)
            found = [{**one, "nearest": round(max(0.0, loss), 6)} for one, loss in zip(found, losses[:, 0].tolist())]
        if self.calibration is not None:
            sets = prediction_sets(psi, target, self.calibration, start=start, **search)
            found = [{**one, "prediction_set": own} for one, own in zip(found, sets)]
        if traces:
            found = [{**one, "trace": self._trace_to_json(own)} for one, own in zip(found, decoded.traces)]
        return found

    def to_json(self, graphs: Graph, losses: Tensor) -> list[Json]:
        """Graphs as plain values.

        Args:
            graphs: B graphs.
            losses: (B,) learned losses.

        Returns:
            For each, its `smiles` or `graph`, and its `loss`.
        """
        plain: Sequence[Any] = to_smiles(graphs) if self.kind == "smiles" else list(map(_nodes, to_networkx(graphs)))
        return [{self.kind: one, "loss": round(max(0.0, loss), 6)} for one, loss in zip(plain, losses.tolist())]

    def _set_to_json(self, one: PredictionSet) -> Json:
        return {"says": one.describe(), "size": one.size, "graphs": self.to_json(one.graphs, one.losses)}

    def _trace_to_json(self, trace: Trace) -> Json:
        steps = [
            {"edit": one.edit, **self.to_json(one.graph, torch.tensor([one.loss]))[0]} for one in trace.search_steps
        ]
        loss = [round(max(0.0, value), 6) for value in trace.relaxed.tolist()]
        return {"descent": {"loss": loss, "stopped": trace.stopped}, "search": steps}


def operating_settings(artifact: Artifact) -> Json:
    """The settings of decoding that were chosen for an artifact, as by `elekit compress`; {} if none were."""
    settings: Json = artifact.about.get("operation", {}).get("settings", {})
    return settings


def stored_calibration(artifact: Artifact) -> Calibration | None:
    """The calibration of prediction sets that an artifact carries; None if it carries none."""
    held = artifact.about.get("operation", {}).get("calibration")
    return None if held is None else Calibration.from_json(held)


def with_method(
    config: DecodeConfig, artifact: Artifact, h: SurrogateRegressor | None, graphs: Any, source: str = "none"
) -> DecodeConfig:
    """The config with the method that fits the artifact, if it names none; checks one that it names.

    Args:
        config: The config.
        artifact: The learned loss.
        h: The surrogate; None if graphs are decoded from their own points.
        graphs: Candidates, or None.
        source: Where they come from, or why there are none.

    Returns:
        A config with a method.

    Raises:
        ValueError: If the method lacks candidates or a graph head.
    """
    method, has_graph_head = config.method, h is not None and h.has_graph_head
    if method is None:
        method = "rounded+polish" if has_graph_head else default_method(artifact.psi, graphs)
    if graphs is None and method.startswith("candidates"):
        raise ValueError(f"--method {method} needs candidates, there are {source}; or use gradient+polish")
    if method.startswith("rounded") and not has_graph_head:
        raise ValueError(f"--method {method} needs an h with a graph head (elekit train surrogate --through graph)")
    return replace(config, method=method)


def load_candidates(
    artifact: Artifact, source: str | None = None, *, column: str | None = None, progress: bool = False,
    **attributes: str | None,
) -> tuple[GraphBatch | None, str]:  # fmt: skip
    """Graphs to choose from.

    Args:
        artifact: The learned loss whose vocabulary they have.
        source: A named data set (its training split), a file, "none", or None for the training graphs of the loss.
        column: Column of a file; None means smiles, or graph if the loss is not on molecules.
        progress: Whether to show progress bars.
        **attributes: Attributes of labels, as in `elekit.datasets.from_frame`.

    Returns:
        The graphs and a description of their source; None and the reason if there are none.

    Raises:
        ValueError: If there is no such source, or its graphs have other labels.
    """
    if source == "none":
        return None, "none"
    name = source or artifact.data_name
    if name in datasets.NAMES:
        if source is None and not datasets.available_offline(name):
            return None, f"none ({name} is not on this machine; set ELEKIT_DATA_DIR or give --candidates)"
        loaded = named_data(artifact, name, progress=progress).train.graphs
    elif source:
        kind = "smiles" if is_molecular(artifact.vocabulary) else "graph"
        loaded = all_rows(artifact, source, progress=progress, **{kind: column or kind}, **attributes).graphs
    else:
        return None, "none (give --candidates)"
    if loaded.vocabulary != artifact.vocabulary:
        raise ValueError(f"candidates {name!r} have another vocabulary than the artifact {artifact.name!r}")
    return loaded, f"{len(loaded):,} of {name}"


def named_data(artifact: Artifact, name: str, **options: Any) -> Dataset:
    """A named data set in the vocabulary of an artifact, split and prepared as in its training."""
    options |= {"seed": artifact.about.get("seed", 0), "prepare": artifact.prepare}
    return datasets.load(name, vocabulary=artifact.vocabulary, **options)


def all_rows(artifact: Artifact, source: str, **options: Any) -> Split:
    """All rows of a file as one split in the vocabulary of an artifact; options as of `from_frame`."""
    if not Path(source).is_file():
        *names, last = datasets.NAMES
        listed = f"{', '.join(names)} and {last}"
        raise FileNotFoundError(f"no data set and no file {source!r}; the data sets are {listed}")
    kind = "smiles" if is_molecular(artifact.vocabulary) else "graph"
    options = {kind: kind, **options}
    left = {name: value for name, value in artifact.prepare.to_json().items() if name not in ROWS}
    prepare = Prepare.from_json(left)
    return datasets.from_frame(
        source, prepare=prepare, vocabulary=artifact.vocabulary, fractions=(1, 0, 0), **options
    ).train


def kind_of(h: SurrogateRegressor) -> str | None:
    """Kind of the backbone; None for a module of the user."""
    return getattr(getattr(h.backbone, "config", None), "kind", None)


def vectors(rows: Sequence[Any]) -> Tensor:
    """Vectors from lists of numbers, or from texts such as "0.5, 1".

    Args:
        rows: B vectors.

    Returns:
        (B, F) numbers.

    Raises:
        ValueError: If one is not made of numbers, or they differ in length.
    """
    read: list[list[float]] = []
    for row in rows:
        numbers = row.replace(",", " ").split() if isinstance(row, str) else row
        try:
            read.append([float(number) for number in numbers])
        except (TypeError, ValueError):
            raise ValueError(f"this h reads vectors, numbers separated by commas, got {row!r}") from None
        if len(read[-1]) != len(read[0]):
            raise ValueError(f"vectors must have equal lengths, got {len(read[0])} and {len(read[-1])} numbers")
    return torch.tensor(read)


def plain(value: Any) -> Any:
    """An input as JSON holds it."""
    return value.tolist() if isinstance(value, Tensor) else value


def read_as(text: Any, reading: Reading) -> Json:
    """What is to be known about the reading of one input, as far as it differs from the input."""
    found = {"refused": reading.refused, "unknown": list(reading.unknown), "dropped": list(reading.dropped)}
    if isinstance(reading.value, str) and reading.value != text and not reading.refused:
        found["read_as"] = reading.value
    return {name: value for name, value in found.items() if value}


def _nodes(graph: Any) -> Json:
    nodes = [label for _, label in graph.nodes(data=LABEL)]
    return {"nodes": nodes, "edges": [list(edge) for edge in graph.edges(data=LABEL)]}
