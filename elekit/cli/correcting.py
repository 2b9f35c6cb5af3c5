"""`elekit correct`: a learned loss trained to keep rules and judgments."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from elekit.cli import evaluating, sources, training

CHECKPOINT = "correct.checkpoint"


def correct(chosen):
    """Correct the loss of an artifact and save it as a new one, with the report."""
    from elekit import correction
    from elekit.model import artifact as artifacts

    sources.at_least_one(chosen, "steps", "batch_size")
    device = training.device_of(chosen.device)
    training.keep_what_is_there(chosen.out)
    rules = _rules(chosen.rules)
    artifact = artifacts.load(chosen.artifact)
    if chosen.out.resolve() == artifacts.locate(chosen.artifact).resolve():
        raise ValueError(f"{chosen.out} holds the loss that is to be corrected; name another folder")
    judgments = _judgments(chosen.judgments, artifact.vocabulary)
    data = sources.load(chosen, vocabulary=artifact.vocabulary, seed=artifact.about.get("seed", 0))  # the same split
    if data.vocabulary != artifact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artifact {chosen.artifact}")
    name = None if data.validation.inputs is None else evaluating.surrogate_for(chosen, artifact)
    if chosen.refit and name is None:
        raise ValueError(
            "--refit fits an h anew, but no h of the artifact reads these data; name what it reads with --input"
        )
    config = correction.CorrectionTraining()
    config = replace(config, training=training.as_chosen(chosen, config.training), weight=chosen.weight)
    corrected = correction.correct(
        artifact.psi,
        data.train.graphs,
        rules,
        judgments,
        validation=data.validation.graphs,
        config=config,
        surrogate=None if name is None else (artifact.surrogates[name], data.validation),
        refit=data.train if chosen.refit else None,
        decoded=chosen.decoded,
        seed=chosen.seed,
        device=device,
        checkpoint=chosen.out / CHECKPOINT,
        progress=not chosen.json,
    )
    about = {
        **artifact.about,
        "surrogates": {},
        "correction": {"of": artifact.name, **corrected.about},
        "trained": artifacts.training_record(chosen.out / CHECKPOINT, chosen.by),
    }
    surrogates = {}
    if corrected.h is not None:
        surrogates[name] = corrected.h
        about["surrogates"][name] = {
            "input": chosen.input,
            "training": asdict(config.refitting),
            "history": corrected.h.history,
            "digest": data.digest,
        }
    artifacts.save(artifacts.Artifact(artifact.name, corrected.psi, surrogates, about), chosen.out)
    cut = any(model.history[-1].get("interrupted") for model in (corrected.psi, *surrogates.values()))
    report = corrected.report
    left_out = (
        "" if surrogates or not artifact.surrogates else ", without the surrogates, which regress on the old loss"
    )
    document = {"artifact": str(chosen.out), "interrupted": cut, **report.to_json()}
    sources.say(chosen, document, [*report.says(), f"saved in {chosen.out}{left_out}"])
    if cut:
        raise KeyboardInterrupt("what was reached is saved, and the same command goes on from there")


def _rules(path: Path | None):
    from elekit import correction

    if path is None:
        return ()
    try:
        return correction.rules_from_json(json.loads(_read(path)))
    except ValueError as refused:
        what = "is no JSON: " if isinstance(refused, json.JSONDecodeError) else ""
        raise ValueError(f"{path}: {what}{refused}") from None


def _judgments(path: Path | None, vocabulary):
    from elekit import correction

    if path is None:
        return None
    _read(path)
    return correction.Judgments.read(path, vocabulary)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}") from None
