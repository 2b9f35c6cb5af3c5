"""`elekit card`."""

import shlex
from argparse import Namespace

import elekit as ele
from elekit.cli import data as cli_data
from elekit.cli import evaluate


def card(args: Namespace) -> None:
    """Measure a loss and write its card."""
    clock = ele.graphs.budget.Clock(args.budget)
    cli_data.set_threads(args)
    artifact = ele.model.load(args.artifact)
    ele.datasets.files.check_writable(args.out)
    name, data = args.surrogate, None
    known = artifact.data_name
    if args.data is None and known in ele.datasets.NAMES and ele.datasets.available_offline(known):
        args.data = known
    if args.data is not None:
        if artifact.surrogates:
            name, h = artifact.surrogate(args.surrogate or evaluate.surrogate_for(args, artifact))
            args.input = evaluate.input_of(args, artifact, name, h)
        options = {"vocabulary": artifact.vocabulary, "seed": artifact.about.get("seed", 0), "whole": args.whole}
        data = cli_data.load(args, artifact=artifact, inputs=bool(artifact.surrogates), **options)
    elif args.surrogate:
        artifact.surrogate(args.surrogate)
    made = ele.card.make(
        args.artifact, data, repeats=args.repeats, surrogate=name, compare=args.compare, limits=args.limits,
        replicate=args.replicate, registry=args.registry, seed=args.seed, command=_command(args), budget=clock,
        progress=cli_data.show_progress(args),
    )  # fmt: skip
    path, missing = made.save(args.out), made.results.missing
    statements = [statement.to_json() for statement in made.statements]
    document = {"card": str(path), "bytes": path.stat().st_size, "statements": statements, "not_measured": missing}
    lines = [f"written to {path} ({path.stat().st_size / 1e6:.1f} MB, {len(made.statements)} statements)"]
    lines += [f"  not measured: {what}: {why}" for what, why in missing.items()]
    if made.changes is not None:
        document["changes"] = made.changes.summary()
        lines.append(f"  {made.changes.summary()}")
    cli_data.print_result(args, document, lines)
    lines += [f"  {one.text}" for one in made.statements if one.section == "limits" and made.results.facts["limits"]]
    if clock.interrupted:
        raise KeyboardInterrupt("the card lists what was not measured")


def _command(args: Namespace) -> str:
    """The command line that reproduces the card."""
    names = ("artifact", "data", "smiles", "graph", "surrogate", "repeats", "compare", "limits", "registry", "budget")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    words = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    words += [part for column in args.input or () for part in ("--input", column)]
    words += [*(["--whole"] if args.whole else []), "--seed", str(args.seed), "--out", str(args.out)]
    return shlex.join(["elekit", "card", *words])
