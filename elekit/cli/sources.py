"""Data sets, candidates and results: what comes in and goes out of every command. Also `elekit data`."""

import json
import sys
from pathlib import Path

DEFAULT_INPUT = {"molecules7": "description", "qm9": "smiles"}


def load(chosen, *, whole: bool = False, vocabulary=None, inputs: bool = True, seed: int | None = None):
    """The data set that --data names; whole: all rows of a file in its test split, equal graphs too."""
    from elekit import datasets

    progress, columns = shows_bars(chosen), chosen.input or []
    seed = chosen.seed if seed is None else seed
    if chosen.data in datasets.NAMES:
        if chosen.smiles or chosen.graph:
            raise ValueError(f"{chosen.data} has its own columns; --smiles and --graph are for tables of yours")
        if len(columns) > 1:
            raise ValueError(f"{chosen.data} has one input at a time, got {', '.join(columns)}")
        fitting = vocabulary if whole else None  # what does not fit is skipped in judging, but never in training
        kind = (columns or [None])[0]
        return datasets.load(chosen.data, inputs=kind, vocabulary=fitting, seed=seed, progress=progress)
    hold_against_what_exists(chosen.data)
    try:
        return datasets.from_frame(
            chosen.data,
            smiles=None if chosen.graph else chosen.smiles or "smiles",
            graph=chosen.graph,
            input=(columns[0] if len(columns) == 1 else columns or None) if inputs else None,
            fractions=(0, 0, 1) if whole else datasets.FRACTIONS,
            duplicates="keep" if whole else "drop",
            vocabulary=vocabulary,
            seed=seed,
            progress=progress,
        )
    except ValueError as refused:
        if "has no column 'smiles'" in str(refused) and not (chosen.smiles or columns):
            raise ValueError(f"{refused}; name yours with --smiles or --graph") from None
        raise


def hold_against_what_exists(source: str):
    """FileNotFoundError, saying what there is, for what is neither a data set nor a file."""
    from elekit import datasets

    if source not in datasets.NAMES and not Path(source).is_file():
        names = " and ".join(datasets.NAMES)
        raise FileNotFoundError(f"no data set and no file {source!r}; the data sets are {names}, all else is a file")


def candidates(chosen, artifact):
    """(graphs, where from) to start from, or (None, why not)."""
    from elekit import datasets
    from elekit.graphs.smiles import is_molecular

    if chosen.candidates == "none" or (chosen.method or "").startswith("gradient"):
        return None, "none"
    name = chosen.candidates or artifact.name
    if name in datasets.NAMES:
        if not chosen.candidates and not datasets.available_offline(name):
            return None, f"none ({name} is not on this machine; set ELEKIT_DATA_DIR or give --candidates)"
        seed = artifact.about.get("seed", 0)
        progress = shows_bars(chosen)
        loaded = datasets.load(name, vocabulary=artifact.vocabulary, seed=seed, progress=progress).train.graphs
    elif chosen.candidates:
        hold_against_what_exists(name)
        kind = "smiles" if is_molecular(artifact.vocabulary) else "graph"
        column = {kind: chosen.candidates_column or kind}
        loaded = datasets.from_frame(name, **column, vocabulary=artifact.vocabulary, fractions=(1, 0, 0)).train.graphs
    else:
        return None, "none (give --candidates)"
    if loaded.vocabulary != artifact.vocabulary:
        raise ValueError(f"candidates {name!r} have another vocabulary than the artifact {artifact.name!r}")
    return loaded, f"{len(loaded):,} of {name}"


def calibration_pairs(chosen, artifact, name: str):
    """Pairs that neither psi nor h learned from: those of --calibrate, or the validation split of a named data set.

    name: of the h that reads the inputs. Raises ValueError where there are none.
    """
    from elekit import datasets
    from elekit.graphs.smiles import is_molecular

    trained_on = artifact.about.get("surrogates", {}).get(name, {}).get("input") or [name]
    seed, progress = artifact.about.get("seed", 0), shows_bars(chosen)
    if chosen.calibrate:
        hold_against_what_exists(chosen.calibrate)
        kind = "smiles" if is_molecular(artifact.vocabulary) else "graph"
        columns = trained_on[0] if len(trained_on) == 1 else trained_on
        options = {"vocabulary": artifact.vocabulary, "fractions": (1, 0, 0), "progress": progress}
        return datasets.from_frame(chosen.calibrate, **{kind: kind}, input=columns, **options).train
    if artifact.name not in datasets.NAMES or not datasets.available_offline(artifact.name):
        raise ValueError("--sets needs pairs that nothing was learned from; name a table of them with --calibrate")
    data = datasets.load(
        artifact.name, inputs=trained_on[0], vocabulary=artifact.vocabulary, seed=seed, progress=progress
    )
    return data.validation


def shows_bars(chosen) -> bool:
    """Whether reading and judging show how far they are: to somebody who watches, not into a log."""
    return not chosen.json and sys.stderr.isatty()


def at_least_one(chosen, *names: str):
    """ValueError for an option below 1."""
    for name in names:
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}")


def say(chosen, document: dict, lines: list[str]):
    """The result, for machines or for people."""
    sys.stdout.write((json.dumps(document, indent=1, default=str) if chosen.json else "\n".join(lines)) + "\n")


def write_csv(path: Path, frame):
    from elekit.datasets.files import write_atomically

    write_atomically(path, lambda partial: frame.to_csv(partial, index=False))


def report(chosen):
    """`elekit data`."""
    data = load(chosen)
    found = data.report()
    if chosen.export:
        for split in ("train", "validation", "test"):
            write_csv(chosen.export / f"{split}.csv", getattr(data, split).frame)
        write_csv(chosen.export / "skipped.csv", data.skipped)
    lines = [f"{found['name']}: {found['rows']:,} rows"]
    lines += [f"  {split:<11}{found[split]:>9,}" for split in ("train", "validation", "test")]
    lines += [f"  {'skipped':<11}{len(data.skipped):>9,}"]
    lines += [f"    {count:>7,}  {reason}" for reason, count in found["skipped"].items()]
    lines += [
        f"  node labels  {' '.join(found['node_labels'])}",
        f"  edge labels  {' '.join(found['edge_labels'])}",
        f"  up to {found['max_nodes']} nodes; digest {found['digest'][:16]}",
    ]
    if chosen.export:
        lines.append(f"written to {chosen.export}: train.csv, validation.csv, test.csv, skipped.csv")
    say(chosen, found, lines)
