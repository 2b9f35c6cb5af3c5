"""Make a loss light: weights in fewer bits, and a narrower search, chosen by what they cost in exact answers."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from elekit.datasets import Dataset, Split
from elekit.decoding import Candidates
from elekit.evaluation.judging import readable
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.model import artifact as artifacts
from elekit.model.artifact import PRECISIONS, Artifact
from elekit.model.embedding import GraphEmbedding
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.operation.gates import calibration_on
from elekit.operation.predictor import Predictor, operating_settings
from elekit.operation.ways import measure_ways, ways
from elekit.training import fit_surrogate

LOST = 0.005  # share of exact answers that may be lost
CASES = 500
USUAL = "as before"


@dataclass(frozen=True)
class Variant:
    """One way to make a loss light.

    Args:
        precision: How its weights are stored, one of `elekit.model.artifact.PRECISIONS`.
        way: Description of how it decodes.
        settings: The settings of decoding, see `elekit.operation.decode_config`.
        surrogate: Name of the h.
        artifact: The artifact with these weights.
    """

    precision: str
    way: str
    settings: Mapping[str, Any]
    surrogate: str
    artifact: Artifact


@dataclass(frozen=True, eq=False)
class Compression:
    """What each variant needs and gives.

    Args:
        table: One row per variant, the original first: precision, way, bytes (of weights, of psi and one h),
            milliseconds (per graph), count, exact (share, with its 95 % interval low to high), size and speed
            (as multiples of those of the original), lost (share of exact answers).
        variants: The variants, row by row.
        parent: Digest of the original.
    """

    table: pd.DataFrame
    variants: tuple[Variant, ...]
    parent: str

    def best(self, lost: float = LOST) -> int:
        """The row of the lightest variant that loses at most so many exact answers.

        Args:
            lost: Share of exact answers that may be lost.

        Returns:
            The row; lightest is the smallest product of size and time.
        """
        fine = self.table[self.table["lost"] <= lost + 1e-9]
        return int((fine["size"] / fine["speed"]).idxmin())


def compress(
    artifact: Artifact, cases: Split, *, surrogate: str | None = None, surrogates: Sequence[str] = (),
    candidates: GraphBatch | Candidates | None = None, precisions: Sequence[str] = PRECISIONS, seed: int = 0,
    budget: float | Clock | None = None, progress: bool | None = None,
) -> Compression:  # fmt: skip
    """Measure variants of an artifact on the same cases.

    Args:
        artifact: The learned loss with its h.
        cases: Held-out pairs, of which up to 500 are used.
        surrogate: Name of the h; None means the first.
        candidates: Graphs to choose from; None if there are none.
        surrogates: Further h of the same inputs to compare, such as a narrower one that was trained on this one.
        precisions: Precisions to try.
        seed: Seed of the sample.
        budget: Seconds; then the variants so far are returned, the original at least.
        progress: As in `Clock.track`.

    Returns:
        What was measured.

    Raises:
        ValueError: If there are no cases, or the artifact has no such h.
    """
    name, h = artifact.surrogate(surrogate)
    cases = readable(h, cases.sample(CASES, seed))[0]
    if not len(cases):
        raise ValueError("there are no held-out pairs that h reads, so nothing can be compared")
    rows: list[dict[str, Any]] = []
    variants: list[Variant] = []
    tried = [(own, precision) for own in (name, *surrogates) for precision in dict.fromkeys(("float32", *precisions))]
    with Clock.of(budget) as clock:
        for own, precision in clock.track(tried, "variants", progress=progress):
            light, size = _stored(artifact, own, precision)
            known = None if candidates is None else Candidates.of(light.psi, _graphs(candidates))
            predictor = Predictor(light, surrogate=own, candidates=known)
            chosen = {USUAL: {**operating_settings(artifact), "method": predictor.config.method}}
            head = predictor.h.has_graph_head
            others = ways(own_graphs=head, candidates=known is not None)
            kept = {way: some for way, some in others.items() if not str(some["method"]).startswith("gradient")}
            start = predictor.h.graphs(cases.inputs) if head else None
            target = predictor.h.predict(cases.inputs)
            measured = measure_ways(
                light.psi, target, cases.graphs, chosen | kept, candidates=known, start=start, seed=seed, clock=clock
            )
            for row in measured.to_dict("records"):
                way = row["way"]
                rows.append({"h": own, "precision": precision, "bytes": size, **row})
                variants.append(Variant(precision, way, {**chosen, **kept}[way], own, light))
    table = pd.DataFrame(rows)[["h", "precision", "way", "bytes", "milliseconds", "count", "exact", "low", "high"]]
    table["size"] = table["bytes"] / table["bytes"][0]
    table["speed"] = table["milliseconds"][0] / table["milliseconds"]
    table["lost"] = table["exact"][0] - table["exact"]
    return Compression(table, tuple(variants), artifact.digest)


def save_variant(
    variant: Variant, folder: str | Path, *, parent: str = "", calibrate_on: Split | None = None, level: float = 0.9,
    candidates: GraphBatch | Candidates | None = None, figures: Mapping[str, Any] | None = None,
) -> Artifact:  # fmt: skip
    """Save a variant as an artifact of its own, with how it decodes.

    Args:
        variant: The variant.
        folder: Where to write it.
        parent: Digest of the artifact that it was made from.
        calibrate_on: Pairs that neither psi nor h learned from, for prediction sets; None means no sets.
        level: Their level, in (0, 1).
        candidates: Graphs to choose from, for the calibration.
        figures: What was measured, to be kept with it.

    Returns:
        The artifact, as it is in the folder.

    Raises:
        ValueError: If there are too few pairs for the level.
        OSError: If it cannot be written.
    """
    artifact, name = variant.artifact, variant.surrogate
    operation: dict[str, Any] = {"settings": dict(variant.settings), "parent": parent, **dict(figures or {})}
    light = Artifact(artifact.name, artifact.psi, {name: artifact.surrogates[name]}, {**artifact.about})
    light.about["operation"] = operation
    if calibrate_on is not None:
        known = None if candidates is None else Candidates.of(light.psi, _graphs(candidates))
        predictor = Predictor(light, surrogate=name, candidates=known)
        pairs = readable(predictor.h, calibrate_on)[0]
        operation["calibration"] = calibration_on(predictor, pairs, level).to_json()
    artifacts.save(light, folder, precision=variant.precision, psi_precision=variant.precision)
    return artifacts.load(folder)


def distill(
    psi: GraphEmbedding, teacher: SurrogateRegressor, data: Dataset, shape: BackboneConfig, *, seed: int = 0,
    progress: bool = True,
) -> SurrogateRegressor:  # fmt: skip
    """Train a smaller h on the points of a larger one (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

    Args:
        psi: The embedding.
        teacher: The larger h.
        data: Its training data.
        shape: Architecture of the smaller one.
        seed: Seed of the training.
        progress: Whether to show a progress bar.

    Returns:
        The smaller h, with the reader of the larger one.
    """
    reads = "auto" if teacher.reader is None else teacher.reader
    return fit_surrogate(
        psi, data.train, validation=data.validation, backbone=shape, seed=seed, progress=progress, reads=reads,
        teacher=teacher,
    )  # fmt: skip


def _stored(artifact: Artifact, surrogate: str, precision: str) -> tuple[Artifact, int]:
    """The artifact with one h, as it is after being stored in a precision, and the bytes of its weights."""
    one = Artifact(artifact.name, artifact.psi, {surrogate: artifact.surrogates[surrogate]}, dict(artifact.about))
    one.about["surrogates"] = {
        name: about for name, about in artifact.about.get("surrogates", {}).items() if name == surrogate
    }
    with tempfile.TemporaryDirectory() as folder:
        artifacts.save(one, folder, precision=precision, psi_precision=precision)
        size = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        return replace(artifacts.load(folder)), size


def _graphs(candidates: GraphBatch | Candidates) -> GraphBatch:
    return candidates.graphs if isinstance(candidates, Candidates) else candidates
