"""`elekit train embedding`, `elekit train surrogate` and `elekit train repeats`."""

from dataclasses import asdict, replace
from pathlib import Path

from elekit.cli import sources

CHECKPOINT = "psi.checkpoint"


def embedding(chosen):
    """Learn psi and save it as a new artifact."""
    from elekit import datasets
    from elekit.model import artifact as artifacts
    from elekit.model.embedding import EmbeddingConfig
    from elekit.training import EmbeddingTraining, fit_embedding

    sources.at_least_one(chosen, "steps", "batch_size", "dim", "hidden")
    device = device_of(chosen.device)
    keep_what_is_there(chosen.out)
    data = sources.load(chosen, inputs=False)
    training = EmbeddingTraining()
    psi = fit_embedding(
        data.train.graphs,
        validation=data.validation.graphs,
        config=EmbeddingConfig(hidden=chosen.hidden, dim=chosen.dim),
        training=as_chosen(chosen, training),
        seed=chosen.seed,
        device=device,
        checkpoint=chosen.out / CHECKPOINT,
        progress=not chosen.json,
    )
    about = {
        "data": data.report(),
        "seed": chosen.seed,
        "psi": {"training": asdict(as_chosen(chosen, training)), "history": psi.history},
        "surrogates": {},
        "trained": artifacts.training_record(chosen.out / CHECKPOINT, chosen.by),
    }
    name = chosen.data if chosen.data in datasets.NAMES else Path(chosen.data).name
    artifacts.save(artifacts.Artifact(name, psi, about=about), chosen.out)
    _report(chosen, chosen.out, psi.history)


def surrogate(chosen):
    """Learn h and add it to the artifact."""
    from elekit import datasets
    from elekit.model import artifact as artifacts
    from elekit.model.surrogate import BackboneConfig
    from elekit.training import fit_surrogate, infer_kind
    from elekit.training.surrogate import default_training, settings

    sources.at_least_one(chosen, "steps", "batch_size", "width")
    device = device_of(chosen.device)
    folder = _own(chosen.artifact, "h is")
    artifact = artifacts.load(folder)
    if chosen.data in datasets.NAMES:
        chosen.input = chosen.input or [sources.DEFAULT_INPUT[chosen.data]]
    seed = artifact.about.get("seed", chosen.seed)  # the same split, so that nothing leaks
    data = sources.load(chosen, vocabulary=artifact.vocabulary, seed=seed)
    if data.vocabulary != artifact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artifact {folder}; train an embedding on it")
    if data.train.inputs is None:
        raise ValueError(f"nothing to regress from; name the column of {chosen.data} that h reads with --input")
    kind = chosen.backbone or infer_kind(data.train.inputs)
    name = chosen.name or (chosen.input[0] if chosen.input else kind)
    shape = BackboneConfig(kind, width=chosen.width, through=chosen.through)
    training = as_chosen(chosen, default_training(shape))
    checkpoint = folder / f"h-{artifacts.file_stem(name)}.checkpoint"
    h = fit_surrogate(
        artifact.psi,
        data.train,
        validation=data.validation,
        backbone=shape,
        training=training,
        seed=chosen.seed,
        device=device,
        checkpoint=checkpoint,
        progress=not chosen.json,
    )
    artifact.surrogates[name] = h
    artifact.about.setdefault("surrogates", {})[name] = {
        "input": chosen.input,
        "training": settings(training, has_graph_head=h.has_graph_head, pairs=len(data.train)),
        "history": h.history,
        "digest": data.digest,
        "trained": artifacts.training_record(checkpoint, chosen.by),
    }
    artifacts.save(artifact, folder)
    _report(chosen, folder, h.history)


def repeats(chosen):
    """Learn psi again, with other seeds and on halves of the graphs, and keep that in the artifact's folder."""
    from elekit.model import artifact as artifacts
    from elekit.training.reruns import fit_repeats

    device, folder = device_of(chosen.device), _own(chosen.artifact, "repeats are")
    seed = artifacts.load(folder).about.get("seed", 0)  # the same split
    data = sources.load(chosen, inputs=False, seed=seed)
    options = {"seeds": chosen.seeds, "halves": chosen.halves, "device": device, "by": chosen.by}
    found = fit_repeats(folder, data, **options, progress=not chosen.json)
    last = {name: repeat.about["psi"]["history"][-1] for name, repeat in found.items()}
    lines = [f"{len(found)} repeats in {folder / artifacts.REPEATS}:"]
    lines += [f"  {name:<9}loss {end['loss']:.3f}, retrieval {end['retrieval']:.3f}" for name, end in last.items()]
    sources.say(chosen, {"artifact": str(folder), "repeats": last}, lines)


def as_chosen(chosen, training):
    """A training config with what was set on the command line."""
    set_by_user = {"steps": chosen.steps, "learning_rate": chosen.learning_rate}
    loop = replace(training.loop, **{k: v for k, v in set_by_user.items() if v is not None})
    every = max(1, min(loop.validate_every, loop.steps // 4))
    precision = "medium" if chosen.fast else loop.matmul_precision
    loop = replace(loop, validate_every=every, checkpoint_every=every, matmul_precision=precision)
    return replace(training, loop=loop, batch_size=chosen.batch_size or training.batch_size)


def _own(folder: Path, added: str) -> Path:
    """The folder itself; ValueError for the name of a shipped artifact, to which nothing is added."""
    from elekit.model import artifact as artifacts

    shipped = artifacts.locate(folder)
    if not folder.exists() and shipped != folder:
        raise ValueError(f"{added} added to the artifact, and {folder} is shipped: copy {shipped} and give the copy")
    return folder


def device_of(name: str) -> str:
    import torch

    from elekit.training.loop import choose_device

    try:
        torch.empty(0, device=choose_device(name))
    except (RuntimeError, AssertionError):
        raise ValueError(f"no device {name!r} on this machine; use auto or cpu") from None
    return name


def keep_what_is_there(folder: Path):
    """ValueError where a new psi would throw away surrogates that were trained on the old one."""
    from elekit.model import artifact as artifacts

    try:
        there = list(artifacts.verify(folder)["surrogates"])
    except artifacts.ArtifactError:
        return
    if there:
        raise ValueError(
            f"{folder} already holds a learned loss with surrogates ({', '.join(there)}), which a new one would make "
            "useless; name another folder"
        )


def _report(chosen, folder: Path, history: list[dict]):
    last = history[-1]
    figures = ", ".join(f"{k} {v:.3f}" for k, v in last.items() if isinstance(v, float) and k != "seconds")
    cut = " (interrupted)" if last.get("interrupted") else ""
    sources.say(
        chosen,
        {"artifact": str(folder), "history": history},
        [f"saved in {folder} after {last['step']:,} steps{cut}: {figures}"],
    )
    if cut:
        raise KeyboardInterrupt("what was reached is saved, and the same command goes on from there")
