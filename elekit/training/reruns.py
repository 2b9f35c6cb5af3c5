"""Repeats of a training, with other seeds and on halves of its graphs: which statements about a loss are stable?

They are stored beside the loss, in `repeats/<name>` of its folder; `elekit.model.artifact.load_repeats` reads them.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.datasets import Dataset
from elekit.model import artifact as artifacts
from elekit.training.embedding import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig

SEEDS, HALVES = 5, 4  # ten trainings with the first: nine that agree rule out claims that fail in 29 % of trainings
PAIR = 2  # repeats of one kind in a row, so that a larger plan begins with a smaller one


def plan(seed: int, seeds: int = SEEDS, halves: int = HALVES) -> dict[str, int]:
    """Names of the repeats and their seeds: for a training with seed 0 seed-1, seed-2, half-3, half-4, seed-5, ..."""
    if min(seeds, halves) < 0 or seeds + halves < 1:
        raise ValueError(f"seeds and halves must be at least 0, and one of them above 0, got {seeds} and {halves}")
    kinds: list[str] = []
    while len(kinds) < seeds + halves:
        kinds += ["seed"] * min(PAIR, seeds - kinds.count("seed"))
        kinds += ["half"] * min(PAIR, halves - kinds.count("half"))
    return {f"{kind}-{number}": number for number, kind in enumerate(kinds, seed + 1)}


def half_of(n: int, seed: int) -> Tensor:
    """(n // 2,) random rows of n graphs, ascending."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[: n // 2].sort().values


def fit_repeats(
    folder: str | Path, data: Dataset, *, seeds: int = SEEDS, halves: int = HALVES, work: str | Path | None = None,
    device: str = "auto", by: str | None = None, command: str | None = None, progress: bool = True,
) -> dict[str, artifacts.Artifact]:  # fmt: skip
    """Repeat the training of an artifact's psi with its own settings; returns all repeats by name.

    folder: of the artifact; repeats go to `repeats/<name>` in it, with float16 weights. data: the training data, with
    the same split. seeds, halves: how many of each, see `plan`. work: folder of the checkpoints, None for that of the
    repeats. by, command: who ran it, by which command, to be stored.
    Finished repeats with the same settings are kept. Ctrl-C raises KeyboardInterrupt; the same call continues.
    """
    folder = Path(folder)
    repeats = folder / artifacts.REPEATS
    work = repeats if work is None else Path(work)
    artifact = artifacts.load(folder)
    own, training = artifacts.verify(folder), _training_of(folder, artifact)
    if artifact.about.get("data", {}).get("digest") != data.digest or artifact.vocabulary != data.vocabulary:
        raise ValueError(f"{folder} was trained on other data; give the table and the columns of its training")
    graphs, n = data.train.graphs, len(data.train)
    planned = plan(artifact.about.get("seed", 0), seeds, halves)
    with tqdm(planned.items(), desc="repeats", unit="training", disable=not progress) as bar:
        for name, seed in bar:
            bar.set_postfix_str(name)
            rows = half_of(n, seed) if name.startswith("half") else torch.arange(n)
            checkpoint = work / f"{name}.checkpoint"
            if _is_done(repeats / name, own, seed, len(rows)):
                checkpoint.unlink(missing_ok=True)  # of a process that was killed after it had saved the repeat
                artifacts.remove_dead_lock(repeats / name)
                continue
            psi = fit_embedding(
                graphs[rows], validation=data.validation.graphs, config=artifact.psi.config, training=training,
                seed=seed, device=device, checkpoint=checkpoint, progress=progress,
            )  # fmt: skip
            if psi.history[-1].get("interrupted"):
                raise KeyboardInterrupt("progress is saved; run the same command to continue")
            about = {
                "data": data.report(),
                "seed": seed,
                "psi": {"training": asdict(training), "history": psi.history},
                "repeat": {"graphs": len(rows)},
                "trained": artifacts.training_record(checkpoint, by),
            }
            if command:
                about["command"] = command
            psi.prior = None  # is for decoding, and large; repeats are measured, not decoded from
            artifacts.save(artifacts.Artifact(name, psi, about=about), repeats / name, psi_precision="float16")
            checkpoint.unlink(missing_ok=True)
    return artifacts.load_repeats(folder)


def _training_of(folder: Path, artifact: artifacts.Artifact) -> EmbeddingTraining:
    recorded = artifact.about.get("psi", {})
    prefix = f"the loss in {folder} cannot be repeated: "
    if "training" not in recorded:
        raise ValueError(f"{prefix}its artifact does not record its settings (about['psi']['training'])")
    if recorded.get("history") and recorded["history"][-1].get("interrupted"):
        raise ValueError(f"{prefix}its training was interrupted; finish it first")
    if "correction" in artifact.about:
        raise ValueError(f"{prefix}it was corrected after its training; repeat the loss from before the correction")
    try:
        return EmbeddingTraining(**{**recorded["training"], "loop": TrainerConfig(**recorded["training"]["loop"])})
    except (KeyError, TypeError, ValueError) as error:  # fields of a newer version, or forged ones
        raise ValueError(f"{prefix}its settings cannot be read: {str(error)[:300]}") from None


def _is_done(folder: Path, own: dict[str, Any], seed: int, graphs: int) -> bool:
    try:
        content = artifacts.verify(folder)
    except artifacts.ArtifactError:
        return False
    about = content["about"]
    same = (about.get("seed"), about.get("repeat")) == (seed, {"graphs": graphs})
    return same and not artifacts.differing_settings(own, content)
