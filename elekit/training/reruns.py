"""A training repeated, with other seeds and on halves of its graphs, to see which statements stay true (floor 3).

The repeats lie beside the loss, in `repeats/<name>` of its folder, where `elekit.model.artifact.load_repeats` finds them.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.datasets import Dataset
from elekit.model import artifact as artifacts
from elekit.training.embedding import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig

SEEDS, HALVES = 2, 2


def plan(seed: int, seeds: int = SEEDS, halves: int = HALVES) -> dict[str, int]:
    """Names of the repeats and their seeds: of a training with seed 0 seed-1, seed-2, half-3, half-4.

    seeds: repeats on the same graphs. halves: repeats on a random half of them. Raises ValueError for none.
    """
    if min(seeds, halves) < 0 or seeds + halves < 1:
        raise ValueError(f"want at least one repeat, got {seeds} seeds and {halves} halves")
    kinds = ["seed"] * seeds + ["half"] * halves
    return {f"{kind}-{number}": number for number, kind in enumerate(kinds, seed + 1)}


def half_of(n: int, seed: int) -> Tensor:
    """(n // 2,) rows of n graphs, drawn by the seed, in their order."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[: n // 2].sort().values


def fit_repeats(
    folder: str | Path,
    data: Dataset,
    *,
    seeds: int = SEEDS,
    halves: int = HALVES,
    work: str | Path | None = None,
    device: str = "auto",
    by: str | None = None,
    command: str | None = None,
    progress: bool = True,
) -> dict[str, artifacts.Artifact]:
    """Repeat the training of an artifact's psi with its own settings; returns all of its repeats by name.

    folder: of the artifact, where they go (`repeats/<name>`, weights as float16). data: what it was trained on, split
    as it was then. seeds, halves: how many of each, see `plan`. work: folder of the checkpoints, until their training
    is done (None: beside the repeats). by: who ran it, command: by which command, as the artifacts are to say.
    What is done already, with the same settings, is not done again. Ctrl-C raises KeyboardInterrupt; the repeats that
    are done stay, and the same call goes on from there.
    Raises ValueError for other data, and for a psi that its settings alone do not tell: they are not recorded, or its
    training was interrupted, or it was corrected afterwards.
    """
    folder = Path(folder)
    there = folder / artifacts.REPEATS
    work = there if work is None else Path(work)
    artifact = artifacts.load(folder)
    own, training = artifacts.verify(folder), _training_of(folder, artifact)
    if artifact.about.get("data", {}).get("digest") != data.digest or artifact.vocabulary != data.vocabulary:
        raise ValueError(f"{folder} was trained on other data; give the table and the columns of its training")
    graphs, n = data.train.graphs, len(data.train)
    wanted = plan(artifact.about.get("seed", 0), seeds, halves)
    with tqdm(wanted.items(), desc="repeats", unit="training", disable=not progress) as bar:
        for name, seed in bar:
            bar.set_postfix_str(name)
            rows = half_of(n, seed) if name.startswith("half") else torch.arange(n)
            if _is_done(there / name, own, seed, len(rows)):
                continue
            checkpoint = work / f"{name}.checkpoint"
            psi = fit_embedding(
                graphs[rows],
                validation=data.validation.graphs,
                config=artifact.psi.config,
                training=training,
                seed=seed,
                device=device,
                checkpoint=checkpoint,
                progress=progress,
            )
            if psi.history[-1].get("interrupted"):
                raise KeyboardInterrupt("what was reached is saved, and the same command goes on from there")
            about = {
                "data": data.report(),
                "seed": seed,
                "psi": {"training": asdict(training), "history": psi.history},
                "repeat": {"graphs": len(rows)},
                "trained": artifacts.training_record(checkpoint, by),
            }
            if command:
                about["command"] = command
            artifacts.save(artifacts.Artifact(name, psi, about=about), there / name, half_psi=True)
            checkpoint.unlink(missing_ok=True)
    return artifacts.load_repeats(folder)


def _training_of(folder: Path, artifact: artifacts.Artifact) -> EmbeddingTraining:
    told = artifact.about.get("psi", {})
    cannot = f"the loss in {folder} cannot be repeated: "
    if "training" not in told:
        raise ValueError(f"{cannot}its artifact does not say how it was trained (about['psi']['training'])")
    if told.get("history") and told["history"][-1].get("interrupted"):
        raise ValueError(f"{cannot}its training was interrupted; let it finish first")
    if "correction" in artifact.about:
        raise ValueError(f"{cannot}it was corrected after its training; repeat the loss from before the correction")
    return EmbeddingTraining(**{**told["training"], "loop": TrainerConfig(**told["training"]["loop"])})


def _is_done(folder: Path, own: dict, seed: int, graphs: int) -> bool:
    """Whether this repeat is there, of the same settings and as many graphs."""
    try:
        content = artifacts.verify(folder)
    except artifacts.ArtifactError:
        return False
    about = content["about"]
    return not artifacts.differing_settings(own, content) and (about.get("seed"), about.get("repeat")) == (
        seed,
        {"graphs": graphs},
    )
