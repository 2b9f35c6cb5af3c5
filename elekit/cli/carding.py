"""`elekit card`."""

import shlex

from elekit.cli import judging, sources


def card(chosen):
    """Measure a loss and write its card."""
    from elekit import datasets, release
    from elekit.card import make

    artefact = release.load(chosen.artefact)
    name = chosen.surrogate
    data = None
    if chosen.data is None and artefact.name in datasets.NAMES and datasets.at_hand(artefact.name):
        chosen.data = artefact.name
    if chosen.data is not None:
        if artefact.surrogates:
            name, h = artefact.surrogate(chosen.surrogate or judging.surrogate_for(chosen, artefact))
            chosen.input = judging.input_of(chosen, artefact, name, h)
        split = artefact.about.get("seed", 0)
        data = sources.load(
            chosen, vocabulary=artefact.vocabulary, inputs=bool(artefact.surrogates), seed=split, whole=chosen.whole
        )
    elif chosen.surrogate:
        artefact.surrogate(chosen.surrogate)
    made = make(
        chosen.artefact,
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
        "not_measured": made.measured.missing,
    }
    lines = [f"written to {path} ({path.stat().st_size / 1e6:.1f} MB, {len(made.statements)} statements)"]
    lines += [f"  not measured: {what}: {why}" for what, why in made.measured.missing.items()]
    if made.changes is not None:
        document["changes"] = made.changes.summary()
        lines.append(f"  {made.changes.summary()}")
    sources.say(chosen, document, lines)


def _typed(chosen) -> str:
    """The command that makes this card again."""
    given = {
        name: getattr(chosen, name)
        for name in ("artefact", "data", "smiles", "graph", "surrogate", "repeats", "compare")
    }
    words = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    words += [part for column in chosen.input or () for part in ("--input", column)]
    words += [*(["--whole"] if chosen.whole else []), "--seed", str(chosen.seed), "--out", str(chosen.out)]
    return shlex.join(["elekit", "card", *words])
