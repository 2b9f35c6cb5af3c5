"""`elekit card`."""

import shlex

from elekit.cli import evaluating, sources


def card(chosen):
    """Measure a loss and write its card."""
    from elekit import datasets
    from elekit.card import make
    from elekit.model import artifact as artifacts

    artifact = artifacts.load(chosen.artifact)
    name = chosen.surrogate
    data = None
    if chosen.data is None and artifact.name in datasets.NAMES and datasets.available_offline(artifact.name):
        chosen.data = artifact.name
    if chosen.data is not None:
        if artifact.surrogates:
            name, h = artifact.surrogate(chosen.surrogate or evaluating.surrogate_for(chosen, artifact))
            chosen.input = evaluating.input_of(chosen, artifact, name, h)
        split = artifact.about.get("seed", 0)
        data = sources.load(
            chosen, vocabulary=artifact.vocabulary, inputs=bool(artifact.surrogates), seed=split, whole=chosen.whole
        )
    elif chosen.surrogate:
        artifact.surrogate(chosen.surrogate)
    made = make(
        chosen.artifact,
        data,
        repeats=chosen.repeats,
        surrogate=name,
        compare=chosen.compare,
        seed=chosen.seed,
        command=_typed(chosen),
        progress=sources.shows_bars(chosen),
    )
    path = made.save(chosen.out)
    document = {
        "card": str(path),
        "bytes": path.stat().st_size,
        "statements": [statement.to_json() for statement in made.statements],
        "not_measured": made.results.missing,
    }
    lines = [f"written to {path} ({path.stat().st_size / 1e6:.1f} MB, {len(made.statements)} statements)"]
    lines += [f"  not measured: {what}: {why}" for what, why in made.results.missing.items()]
    if made.changes is not None:
        document["changes"] = made.changes.summary()
        lines.append(f"  {made.changes.summary()}")
    sources.say(chosen, document, lines)


def _typed(chosen) -> str:
    """The command that makes this card again."""
    given = {
        name: getattr(chosen, name)
        for name in ("artifact", "data", "smiles", "graph", "surrogate", "repeats", "compare")
    }
    words = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    words += [part for column in chosen.input or () for part in ("--input", column)]
    words += [*(["--whole"] if chosen.whole else []), "--seed", str(chosen.seed), "--out", str(chosen.out)]
    return shlex.join(["elekit", "card", *words])
