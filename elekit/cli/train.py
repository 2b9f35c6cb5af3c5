"""`elekit train embedding`, `elekit train surrogate` and `elekit train repeats`."""

import contextlib
import functools
import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import elekit as ele
from elekit.cli import data as cli_data
from elekit.cli.process import tell

CHECKPOINT = "psi.checkpoint"
Training = TypeVar("Training", bound=Any)


def by_many_processes(command: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Let a command run in all processes of torchrun. The first one prints; an error is printed once."""

    @functools.wraps(command)
    def run(args: Namespace) -> None:
        distributed = ele.training.distributed
        with distributed.processes(), contextlib.ExitStack() as silence:
            if not distributed.is_first():
                nowhere = silence.enter_context(open(os.devnull, "w"))
                silence.enter_context(contextlib.redirect_stdout(nowhere))
                silence.enter_context(contextlib.redirect_stderr(nowhere))
            command(args)

    run.by_many_processes = True  # type: ignore[attr-defined]  # see `process.run`
    return run


@by_many_processes
def embedding(args: Namespace) -> None:
    """Learn psi and save it as a new artifact."""
    cli_data.check_positive(args, "steps", "batch_size", "dim", "hidden")
    cli_data.set_threads(args)
    device = check_device(args.device)
    check_overwrite(args.out)
    ele.datasets.files.check_writable(args.out / CHECKPOINT)
    data = cli_data.load(args, inputs=False)
    for sentence in [] if args.json else data.advice:
        tell(f"elekit: {cli_data.as_options(sentence)}")
    data.vocabulary.from_json(data.vocabulary.to_json())  # an artifact can store it
    training, checkpoint = with_options(args, ele.training.EmbeddingTraining()), args.out / CHECKPOINT
    psi = ele.training.fit_embedding(
        data.train.graphs, validation=data.validation.graphs, training=training, seed=args.seed, device=device,
        config=ele.model.EmbeddingConfig(hidden=args.hidden, dim=args.dim), checkpoint=checkpoint,
        progress=not args.json,
    )  # fmt: skip

    def save() -> None:
        about = {
            "data": data.report(),
            "seed": args.seed,
            "psi": {"training": asdict(training), "history": psi.history},
            "surrogates": {},
            "trained": ele.model.artifact.training_record(checkpoint, args.by),
        }
        name = args.data if args.data in ele.datasets.NAMES else Path(args.data).name
        ele.model.save(ele.model.Artifact(name, psi, about=about), args.out, check=check_overwrite)
        _report(args, args.out, psi.history, psi.health)

    _finish(save, psi.history)


@by_many_processes
def surrogate(args: Namespace) -> None:
    """Learn h and add it to the artifact."""
    artifacts, trainings = ele.model.artifact, ele.training.surrogate
    cli_data.check_positive(args, "steps", "batch_size", "width")
    cli_data.set_threads(args)
    device = check_device(args.device)
    folder = _writable_folder(args.artifact, "h is")
    artifact = artifacts.load(folder)
    if args.data in ele.datasets.NAMES:
        args.input = args.input or [cli_data.DEFAULT_INPUT[args.data]]
    seed = artifact.about.get("seed", args.seed)  # the split of psi, so that no test graph is trained on
    data = cli_data.load(args, artifact=artifact, vocabulary=artifact.vocabulary, seed=seed)
    cli_data.check_vocabulary(args, data, artifact, "; train an embedding on it")
    if data.train.inputs is None:
        raise ValueError(f"no inputs to regress from; name a column of {args.data} with --input")
    kind = args.backbone or trainings.infer_kind(data.train.inputs)
    name = args.name or (args.input[0] if args.input else kind)
    artifacts.NAME(name, "the name of h")  # before the training
    shape = ele.model.BackboneConfig(kind, width=args.width, through=args.through)
    training = with_options(args, trainings.default_training(shape))
    checkpoint = folder / f"h-{artifacts.file_stem(name)}.checkpoint"
    h = ele.training.fit_surrogate(
        artifact.psi, data.train, validation=data.validation, backbone=shape, training=training, seed=args.seed,
        device=device, checkpoint=checkpoint, progress=not args.json, reads=args.reads,
    )  # fmt: skip

    def save() -> None:
        about = {
            "input": args.input,
            "training": trainings.settings(training, has_graph_head=h.has_graph_head, pairs=len(data.train)),
            "history": h.history,
            "digest": data.digest,
            "trained": artifacts.training_record(checkpoint, args.by),
        }
        artifacts.add_surrogate(folder, name, h, about, psi=artifact.psi)
        _report(args, folder, h.history)

    _finish(save, h.history)


def repeats(args: Namespace) -> None:
    """Learn psi again, with other seeds and on halves of the graphs, and add the results to the artifact."""
    cli_data.set_threads(args)
    device, folder = check_device(args.device), _writable_folder(args.artifact, "repeats are")
    artifact = ele.model.load(folder)
    data = cli_data.load(args, artifact=artifact, inputs=False, seed=artifact.about.get("seed", 0))  # the same split
    options = {"seeds": args.seeds, "halves": args.halves, "device": device, "by": args.by}
    found = ele.training.reruns.fit_repeats(folder, data, **options, progress=not args.json)
    last = {name: repeat.about["psi"]["history"][-1] for name, repeat in found.items()}
    lines = [f"{len(found)} repeats in {folder / ele.model.artifact.REPEATS}:"]
    lines += [f"  {name:<9}loss {end['loss']:.3f}, retrieval {end['retrieval']:.3f}" for name, end in last.items()]
    cli_data.print_result(args, {"artifact": str(folder), "repeats": last}, lines)


def with_options(args: Namespace, training: Training) -> Training:
    given = {"steps": args.steps, "learning_rate": args.learning_rate, "minutes": args.minutes}
    loop = replace(training.loop, **{k: v for k, v in given.items() if v is not None})
    every = max(1, min(loop.validate_every, loop.steps // 4))
    precision = "medium" if args.fast else loop.matmul_precision
    loop = replace(loop, validate_every=every, checkpoint_every=every, matmul_precision=precision)
    return replace(training, loop=loop, batch_size=args.batch_size or training.batch_size)


def _writable_folder(folder: Path, added: str) -> Path:
    """The folder; raises a ValueError for the name of a shipped artifact."""
    shipped = ele.model.artifact.locate(folder)
    if not folder.exists() and shipped != folder:
        raise ValueError(f"{added} added to the artifact, and {folder} is shipped: copy {shipped} and give the copy")
    return folder


def check_device(name: str) -> str:
    import torch

    try:
        torch.empty(0, device=ele.training.loop.choose_device(name))
    except (RuntimeError, AssertionError):
        raise ValueError(f"no device {name!r} on this machine; use auto or cpu") from None
    return name


def check_overwrite(folder: Path) -> None:
    try:
        surrogates = ", ".join(ele.model.artifact.verify(folder)["surrogates"])
    except ele.model.ArtifactError:
        return
    if surrogates:
        held = f"{folder} already holds a learned loss with surrogates ({surrogates}), which do not fit a new one"
        raise ValueError(f"{held}; name another folder")


def raise_interrupted() -> NoReturn:
    raise KeyboardInterrupt("progress is saved; the same command continues from there")


def _report(args: Namespace, folder: Path, history: list[dict[str, Any]], health: Any = None) -> None:
    last = history[-1]
    figures = ", ".join(f"{k} {v:.3f}" for k, v in last.items() if isinstance(v, float) and k != "seconds")
    interrupted = " (interrupted)" if last.get("interrupted") else ""
    line = f"saved in {folder} after {last['step']:,} steps{interrupted}: {figures}"
    document: dict[str, Any] = {"artifact": str(folder), "history": history}
    document |= {} if health is None else {"health": {"level": str(health.level), **health.to_json()}}
    cli_data.print_result(args, document, [line])


def _finish(save: Callable[[], None], history: list[dict[str, Any]]) -> None:
    """Save and report what was learned, in the first process, before any ends: torchrun ends all with the first."""
    ele.training.distributed.by_first(save)
    if history[-1].get("interrupted"):
        raise_interrupted()
