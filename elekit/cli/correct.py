"""`elekit correct`: a learned loss trained to keep rules and judgments."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import elekit as ele
from elekit.cli import data as cli_data
from elekit.cli import evaluate, train

if TYPE_CHECKING:
    from elekit.correction import Judgments, Rule
    from elekit.graphs.graph import GraphVocabulary

CHECKPOINT = "correct.checkpoint"


def correct(args: Namespace) -> None:
    """Correct the loss of an artifact and save it as a new artifact, with the report."""
    correction, artifacts = ele.correction, ele.model.artifact
    cli_data.check_positive(args, "steps", "batch_size")
    device = train.check_device(args.device)
    continued = (args.out / CHECKPOINT).exists()  # of an earlier call, whose settings are in its checkpoint
    if not continued:
        train.check_overwrite(args.out)
    rules = _rules(args.rules)
    artifact = artifacts.load(args.artifact)
    ele.datasets.files.check_writable(args.out / CHECKPOINT)
    if args.out.resolve() == artifacts.locate(args.artifact).resolve():
        raise ValueError(f"{args.out} holds the loss to correct; name another folder")
    judgments = _judgments(args.judgments, artifact.vocabulary)
    seed = artifact.about.get("seed", 0)  # the same split
    data = cli_data.load(args, artifact=artifact, vocabulary=artifact.vocabulary, seed=seed)
    cli_data.check_vocabulary(args, data, artifact)
    name = None if data.validation.inputs is None else evaluate.surrogate_for(args, artifact)
    if args.refit and name is None:
        raise ValueError("--refit needs an h of the artifact that reads this data; name its input with --input")
    config = correction.CorrectionTraining()
    config = replace(config, training=train.with_options(args, config.training), weight=args.weight)
    checkpoint = args.out / CHECKPOINT
    corrected = correction.correct(
        artifact.psi, data.train.graphs, rules, judgments, validation=data.validation.graphs, config=config,
        surrogate=None if name is None else (artifact.surrogates[name], data.validation),
        refit=data.train if args.refit else None, decoded=args.decoded, seed=args.seed, device=device,
        checkpoint=checkpoint, progress=not args.json,
    )  # fmt: skip
    trained = artifacts.training_record(checkpoint, args.by)
    correction_of = {"of": artifact.name, **corrected.about}
    about = {**artifact.about, "surrogates": {}, "correction": correction_of, "trained": trained}
    surrogates = {}
    if name is not None and corrected.h is not None:
        surrogates[name], training = corrected.h, asdict(config.refitting)
        refitted = {"input": args.input, "training": training, "history": corrected.h.history, "digest": data.digest}
        about["surrogates"][name] = refitted
    histories = [corrected.psi.history, *(h.history for h in surrogates.values())]
    new = artifacts.Artifact(artifact.name, corrected.psi, surrogates, about)
    artifacts.save(new, args.out, check=None if continued else train.check_overwrite)
    interrupted = any(one[-1].get("interrupted") for one in histories)
    report = corrected.report
    dropped = artifact.surrogates and not surrogates
    note = ", without the surrogates, which regress on the old loss" if dropped else ""
    document = {"artifact": str(args.out), "interrupted": interrupted, **report.to_json()}
    cli_data.print_result(args, document, [*report.sentences(), f"saved in {args.out}{note}"])
    if interrupted:
        train.raise_interrupted()


def _rules(path: Path | None) -> "Sequence[Rule]":
    if path is None:
        return ()
    from elekit.datasets.strict_json import parse_json  # not with `elekit --help`

    try:
        return ele.correction.rules_from_json(parse_json(_read(path)))
    except ValueError as error:
        kind = "is no JSON: " if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{path}: {kind}{error}") from None


def _judgments(path: Path | None, vocabulary: "GraphVocabulary") -> "Judgments | None":
    if path is None:
        return None
    _read(path)
    return ele.correction.Judgments.read(path, vocabulary)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}") from None
