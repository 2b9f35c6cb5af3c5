"""`elekit data`, and what all commands share: data sets, candidates, checks of options, and output."""

import contextlib
import json
import os
import re
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import elekit as ele
from elekit.cli.process import printable, tell

if TYPE_CHECKING:
    from elekit.datasets import Dataset, Prepare, Split
    from elekit.graphs.graph import GraphBatch, GraphVocabulary
    from elekit.model.artifact import Artifact

BUSY = 1.5  # load per core, from which one thread computes
PREPARATION = (
    "subset", "min_nodes", "max_nodes", "min_count", "structure", "fragments", "charges", "aromatic", "rare",
)  # fmt: skip
DEFAULT_INPUT = {
    "molecules7": "description", "faults": "report", "qm9": "smiles", "chembl": "smiles", "maintie": "text",
    "ud": "text",
}  # fmt: skip


def load(
    args: Namespace, *, whole: bool = False, artifact: "Artifact | None" = None,
    vocabulary: "GraphVocabulary | None" = None, inputs: bool = True, seed: int | None = None,
) -> "Dataset":  # fmt: skip
    """The data set of --data, prepared as that of an artifact.

    whole: put all rows of a file into the test split, duplicates included.
    """
    with naming_options():
        return _load(args, whole, artifact, vocabulary, inputs, seed)


def _load(
    args: Namespace, whole: bool, artifact: "Artifact | None", vocabulary: "GraphVocabulary | None", inputs: bool,
    seed: int | None,
) -> "Dataset":  # fmt: skip
    columns = args.input or []
    named = args.data in ele.datasets.NAMES
    preparation = prepare(args, artifact, rows=named or not whole)
    seed = args.seed if seed is None else seed
    if named:
        if args.smiles or args.graph or args.spans:
            raise ValueError(f"{args.data} has its own columns; --smiles, --graph and --spans are for tables")
        if len(columns) > 1:
            raise ValueError(f"{args.data} has one input at a time, got {', '.join(columns)}")
        fitting = vocabulary if whole else None  # evaluation skips graphs that do not fit, training must not
        kind = columns[0] if columns else None
        return ele.datasets.load(
            args.data, inputs=kind, vocabulary=fitting, seed=seed, prepare=preparation, level=args.level,
            progress=show_progress(args),
        )  # fmt: skip
    check_source(args.data)
    options: dict[str, Any] = {
        "fractions": (0, 0, 1) if whole else ele.datasets.FRACTIONS, "vocabulary": vocabulary, "seed": seed,
        "progress": show_progress(args), "prepare": preparation,
    }  # fmt: skip
    if ".conllu" in [suffix.lower() for suffix in Path(args.data).suffixes[-2:]]:
        return ele.datasets.from_conllu(args.data, **options)
    try:
        return ele.datasets.from_frame(
            args.data, smiles=args.smiles, graph=args.graph,
            input=(columns[0] if len(columns) == 1 else columns or None) if inputs else None,
            duplicates="keep" if whole else "drop", spans=args.spans if inputs else None, **options,
            **attributes(args),
        )  # fmt: skip
    except ele.datasets.MissingColumnError as missing:
        if missing.column == "smiles" and not args.smiles:
            raise ValueError(f"{missing}; name yours with --smiles or --graph") from None
        raise


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """Errors of `from_frame` and `Prepare` name options of the command line in place of arguments."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ele.datasets.DataWarning)  # commands print the advice
            yield
    except ele.datasets.MissingColumnError:
        raise
    except ValueError as wrong:
        raise ValueError(as_options(str(wrong))) from None


def as_options(message: str) -> str:
    """A message with the options of the command line in place of arguments of `from_frame` and `Prepare`."""
    message = re.sub(r"prepare=Prepare\((.*?)\)", lambda found: found[1].replace(", ", " "), message)
    names = f"node_attribute|edge_attribute|{'|'.join(PREPARATION)}"
    message = re.sub(rf"\b({names})=", lambda found: f"--{found[1].replace('_', '-')} ", message)
    message = re.sub(r"\bprepare\.(\w+)", lambda found: f"--{found[1].replace('_', '-')}", message)
    return message.replace("-attribute None", "-attribute none")


def prepare(args: Namespace, artifact: "Artifact | None" = None, *, rows: bool = True) -> "Prepare":
    """The options that are given, others as in the training of an artifact; rows: also those that choose rows."""
    stored = artifact.prepare.to_json() if artifact else {}
    kept = {name: value for name, value in stored.items() if rows or name not in ele.operation.predictor.ROWS}
    given = {name: value for name in PREPARATION if (value := getattr(args, name)) is not None}
    return ele.datasets.Prepare.from_json({**kept, **given})


def attributes(args: Namespace) -> dict[str, Any]:
    """The attributes of labels, as options of `from_frame`; "none" for graphs without labels."""
    named = {"node_attribute": args.node_attribute, "edge_attribute": args.edge_attribute}
    return {key: None if name == "none" else name for key, name in named.items()}


def check_source(source: str) -> None:
    if source not in ele.datasets.NAMES and not Path(source).is_file():
        *names, last = ele.datasets.NAMES
        raise FileNotFoundError(
            f"no data set and no file {source!r}; the data sets are {', '.join(names)} and {last}"
        )


def candidates(args: Namespace, artifact: "Artifact") -> "tuple[GraphBatch | None, str]":
    """Candidates and a description of their source; None and the reason if there are none."""
    source = "none" if (args.method or "").startswith("gradient") else args.candidates
    options = {"column": args.candidates_column, "progress": show_progress(args), **attributes(args)}
    return ele.operation.load_candidates(artifact, source, **options)


def calibration_pairs(args: Namespace, artifact: "Artifact", name: str) -> "Split":
    """Pairs that were not used for training psi or the h `name`: --calibrate, or a validation split."""
    columns = artifact.about.get("surrogates", {}).get(name, {}).get("input") or [name]
    options: dict[str, Any] = {"progress": show_progress(args)}
    if args.calibrate:
        inputs = columns[0] if len(columns) == 1 else columns
        return ele.operation.predictor.all_rows(artifact, args.calibrate, input=inputs, **attributes(args), **options)
    name = artifact.data_name
    if name not in ele.datasets.NAMES or not ele.datasets.available_offline(name):
        raise ValueError("--sets needs pairs that were not used for training; give a table of them with --calibrate")
    return ele.operation.predictor.named_data(artifact, name, inputs=columns[0], **options).validation


def show_progress(args: Namespace) -> bool:
    """Whether to show progress bars: on a terminal, without --json."""
    return not args.json and sys.stderr.isatty()


def set_threads(args: Namespace) -> None:
    """Set the threads of torch: --threads, or one on a busy machine, where two wait for each other."""
    import torch

    check_positive(args, "threads")
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    elif load > BUSY * cores and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        tell(f"elekit: the machine is busy (load {load:.1f}, {cores} cores), so one thread computes; see --threads")


def check_positive(args: Namespace, *names: str) -> None:
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}")


def check_vocabulary(args: Namespace, data: "Dataset", artifact: "Artifact", fix: str = "") -> None:
    if data.vocabulary != artifact.vocabulary:
        raise ValueError(f"{args.data} has another vocabulary than the artifact {args.artifact}{fix}")


def print_result(args: Namespace, document: dict[str, Any], lines: list[str]) -> None:
    """Print the document with --json, otherwise the lines."""
    text = "\n".join(printable(line.replace("\n", "\\n")) for line in lines)
    sys.stdout.write((json.dumps(document, indent=1, default=str) if args.json else text) + "\n")


def report(args: Namespace) -> None:
    """Summarize a data set."""
    if args.export:
        ele.datasets.files.check_writable(args.export / "train.csv")
    data = load(args)
    found, lines = data.report(), as_options(str(data)).split("\n")
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    if args.export:
        for name, split in splits.items():
            ele.datasets.tables.write_csv(args.export / f"{name}.csv", split.frame)
        ele.datasets.tables.write_csv(args.export / "skipped.csv", data.skipped)
        lines.append(f"written to {args.export}: train.csv, validation.csv, test.csv, skipped.csv")
    print_result(args, found, lines)
