"""`elekit train embedding`, `elekit train surrogate` and `elekit train repeats`."""

from dataclasses import asdict, replace
from pathlib import Path

from elekit.cli import sources

CHECKPOINT = "psi.checkpoint"


def embedding(chosen):
    """Learn psi and save it as a new artefact."""
    from elekit import datasets, release, train
    from elekit.embedding import EmbeddingConfig

    sources.at_least_one(chosen, "steps", "batch_size", "dim", "hidden")
    device = device_of(chosen.device)
    keep_what_is_there(chosen.out)
    data = sources.load(chosen, inputs=False)
    training = train.EmbeddingTraining()
    psi = train.fit_embedding(
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
        "trained": release.trained(chosen.out / CHECKPOINT, chosen.by),
    }
    name = chosen.data if chosen.data in datasets.NAMES else Path(chosen.data).name
    release.save(release.Artefact(name, psi, about=about), chosen.out)
    _report(chosen, chosen.out, psi.history)


def surrogate(chosen):
    """Learn h and add it to the artefact."""
    from elekit import datasets, release, train
    from elekit.surrogate import BackboneConfig

    sources.at_least_one(chosen, "steps", "batch_size", "width")
    device = device_of(chosen.device)
    folder = _own(chosen.artefact, "h is")
    artefact = release.load(folder)
    if chosen.data in datasets.NAMES:
        chosen.input = chosen.input or [sources.DEFAULT_INPUT[chosen.data]]
    seed = artefact.about.get("seed", chosen.seed)  # the same split, so that nothing leaks
    data = sources.load(chosen, vocabulary=artefact.vocabulary, seed=seed)
    if data.vocabulary != artefact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artefact {folder}; train an embedding on it")
    if data.train.inputs is None:
        raise ValueError(f"nothing to regress from; name the column of {chosen.data} that h reads with --input")
    kind = chosen.backbone or train.kind_of(data.train.inputs)
    name = chosen.name or (chosen.input[0] if chosen.input else kind)
    shape = BackboneConfig(kind, width=chosen.width, through=chosen.through)
    training = as_chosen(chosen, train.training_for(shape))
    checkpoint = folder / f"h-{release.file_stem(name)}.checkpoint"
    h = train.fit_surrogate(
        artefact.psi,
        data.train,
        validation=data.validation,
        backbone=shape,
        training=training,
        seed=chosen.seed,
        device=device,
        checkpoint=checkpoint,
        progress=not chosen.json,
    )
    artefact.surrogates[name] = h
    artefact.about.setdefault("surrogates", {})[name] = {
        "input": chosen.input,
        "training": train.told(training, through_graph=h.through_graph, pairs=len(data.train)),
        "history": h.history,
        "digest": data.digest,
        "trained": release.trained(checkpoint, chosen.by),
    }
    release.save(artefact, folder)
    _report(chosen, folder, h.history)


def repeats(chosen):
    """Learn psi again, with other seeds and on halves of the graphs, and keep that in the artefact's folder."""
    from elekit import release
    from elekit.repeats import fit_repeats

    device, folder = device_of(chosen.device), _own(chosen.artefact, "repeats are")
    seed = release.load(folder).about.get("seed", 0)  # the same split
    data = sources.load(chosen, inputs=False, seed=seed)
    options = {"seeds": chosen.seeds, "halves": chosen.halves, "device": device, "by": chosen.by}
    found = fit_repeats(folder, data, **options, progress=not chosen.json)
    last = {name: repeat.about["psi"]["history"][-1] for name, repeat in found.items()}
    lines = [f"{len(found)} repeats in {folder / release.REPEATS}:"]
    lines += [f"  {name:<9}loss {end['loss']:.3f}, retrieval {end['retrieval']:.3f}" for name, end in last.items()]
    sources.say(chosen, {"artefact": str(folder), "repeats": last}, lines)


def as_chosen(chosen, training):
    """A training config with what was set on the command line."""
    set_by_user = {"steps": chosen.steps, "learning_rate": chosen.learning_rate}
    loop = replace(training.loop, **{k: v for k, v in set_by_user.items() if v is not None})
    every = max(1, min(loop.validate_every, loop.steps // 4))
    precision = "medium" if chosen.fast else loop.matmul_precision
    loop = replace(loop, validate_every=every, checkpoint_every=every, matmul_precision=precision)
    return replace(training, loop=loop, batch_size=chosen.batch_size or training.batch_size)


def _own(folder: Path, added: str) -> Path:
    """The folder itself; ValueError for the name of a shipped artefact, to which nothing is added."""
    from elekit import release

    shipped = release.locate(folder)
    if not folder.exists() and shipped != folder:
        raise ValueError(f"{added} added to the artefact, and {folder} is shipped: copy {shipped} and give the copy")
    return folder


def device_of(name: str) -> str:
    import torch

    from elekit.training import choose_device

    try:
        torch.empty(0, device=choose_device(name))
    except (RuntimeError, AssertionError):
        raise ValueError(f"no device {name!r} on this machine; use auto or cpu") from None
    return name


def keep_what_is_there(folder: Path):
    """ValueError where a new psi would throw away surrogates that were trained on the old one."""
    from elekit import release

    try:
        there = list(release.verify(folder)["surrogates"])
    except release.ArtefactError:
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
        {"artefact": str(folder), "history": history},
        [f"saved in {folder} after {last['step']:,} steps{cut}: {figures}"],
    )
    if cut:
        raise KeyboardInterrupt("what was reached is saved, and the same command goes on from there")
