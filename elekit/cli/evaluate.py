"""`elekit decode` and `elekit evaluate`."""

import re
import sys
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import elekit as ele
from elekit.cli import data as cli_data

if TYPE_CHECKING:
    from torch import Tensor

    from elekit.decoding import DecodeConfig
    from elekit.evaluation.conformal import Calibration
    from elekit.graphs.graph import Graph
    from elekit.model.artifact import Artifact
    from elekit.model.surrogate import SurrogateRegressor
    from elekit.model.surrogate.reader import Reading

LIMIT = 1_000  # default --limit of a named data set
CALIBRATION_PAIRS = 1_000  # at most
CUT_OFF = "the results are the best that were found in time"
SET_FIGURES = ("coverage", "low", "high", "mean_size", "median_size", "empty", "large")


def decode(args: Namespace) -> int:
    """Decode inputs from the command line or standard input; the status is 1 if h refuses one of them."""
    clock, _ = ele.graphs.budget.Clock(args.budget), _config(args)  # raise on invalid options, before loading
    cli_data.set_threads(args)
    artifact = ele.model.load(args.artifact)
    name, h = artifact.surrogate(args.surrogate)
    inputs = args.inputs or [line for line in _lines(sys.stdin.read()) if line.strip()]
    if not inputs:
        raise ValueError("no inputs given; name them, or write them to standard input, one per line")
    vectors = ele.operation.predictor.kind_of(h) == "vector"
    readings = h.read(ele.operation.predictor.vectors(inputs) if vectors else inputs)
    document: dict[str, Any] = {}
    if all(one.refused for one in readings):
        answers = [{"input": text, "refused": one.refused} for text, one in zip(inputs, readings)]
    else:
        graphs, source = cli_data.candidates(args, artifact)
        predictor = ele.operation.Predictor(
            artifact, surrogate=name, candidates=graphs, settings=settings(args), source=source
        )
        progress = cli_data.show_progress(args)
        if args.sets is not None:
            search = {"candidates": predictor.candidates, "config": predictor.config, "progress": progress}
            predictor.calibration = _calibrate(args, artifact, name, h, search)
            document["calibration"] = predictor.calibration.to_json()
        answers = predictor.answers(inputs, budget=clock, progress=progress)
    lines = [text for answer in answers for text in _to_lines(answer)]
    counts = {kind: sum(kind in answer for answer in answers) for kind in ("refused", "unsure")}
    cli_data.print_result(args, {"decoded": answers, **document, **counts}, lines)
    if counts["refused"]:
        sys.stderr.write(f"elekit: h refuses {counts['refused']} of {len(inputs)} inputs\n")
    if clock.interrupted:
        raise KeyboardInterrupt(CUT_OFF)
    if args.budget is not None and clock.over:
        sys.stderr.write(f"elekit: {args.budget:g} seconds are over; {CUT_OFF}\n")
    return int(counts["refused"] > 0)


def _lines(text: str) -> list[str]:
    """The lines of a text of any system, without a byte order mark."""
    return re.split(r"\r\n?|\n", text.removeprefix("\ufeff"))


def _to_lines(answer: dict[str, Any]) -> list[str]:
    """An answer as a line, with one more for each graph of its set."""
    if "refused" in answer:
        return [f"refused: {answer['refused']}\t{answer['input']}"]
    lines = ["\t".join([_graph_line(answer), str(answer["input"]), *_notes(answer)])]
    if "set" in answer:
        lines += [f"  {answer['set']['says']}", *(f"    {_graph_line(one)}" for one in answer["set"]["graphs"])]
    return lines


def _graph_line(answer: dict[str, Any]) -> str:
    graph = answer.get("smiles", answer.get("graph"))
    return f"{graph or '(no valid molecule)'}\tloss {answer['loss']:.4f}"


def _notes(answer: dict[str, Any]) -> list[str]:
    """Fields after an answer: why it is unsure, and what h did not read."""
    notes = [f"unsure: {answer['unsure']}"] if "unsure" in answer and "set" not in answer else []  # a set names it
    if "unknown" in answer and "unsure" not in answer:
        notes.append(f"unknown to h: {', '.join(map(repr, answer['unknown']))}")
    if "dropped" in answer:
        notes.append(f"read as {answer['read_as']}, without {', '.join(answer['dropped'])}")
    return notes


def evaluate(args: Namespace) -> None:
    """Decode a test set and score the results."""
    import pandas as pd
    import torch

    cli_data.check_positive(args, "limit")
    if not args.timeout >= 0:
        raise ValueError(f"--timeout must be seconds >= 0, got {args.timeout:g}")
    if args.oracle and args.sets is not None:
        raise ValueError("--sets measures the uncertainty of h, which --oracle leaves out; give one of them")
    clock, _ = ele.graphs.budget.Clock(args.budget), _config(args)  # raise on invalid options, before loading
    cli_data.set_threads(args)
    if args.table:
        ele.datasets.files.check_writable(args.table)
    artifact = ele.model.load(args.artifact)
    name, h = "", None
    if args.oracle and (args.max_nodes or 0) > artifact.vocabulary.max_nodes:
        artifact = artifact.widened(args.max_nodes)
    if not args.oracle:
        name, h = artifact.surrogate(args.surrogate or surrogate_for(args, artifact))
        args.input = input_of(args, artifact, name, h)
    graphs, source, config = _method(args, artifact, h)
    seed = artifact.about.get("seed", 0)  # the split of the training, so that no training graph is tested
    data = cli_data.load(
        args, whole=True, artifact=artifact, vocabulary=artifact.vocabulary, inputs=not args.oracle, seed=seed
    )
    cli_data.check_vocabulary(args, data, artifact)
    limit = args.limit or (LIMIT if args.data in ele.datasets.NAMES else len(data.test))
    test = data.test.sample(limit, args.seed)
    readings: list[Reading] = []
    if h is None:
        target, start = artifact.psi.embed(test.graphs), None
    else:
        test = replace(test, inputs=_test_inputs(args, test.inputs))
        test, readings = ele.evaluation.judging.readable(h, test)
        if not len(test):
            raise ValueError(f"h refuses all {len(readings)} inputs; the first: {readings[0].refused}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ele.model.surrogate.regressor.UnfamiliarInputWarning)  # they are counted
            target, start = h.predict(test.inputs), _start_graphs(config, h, test.inputs)
    number, _ = pd.factorize(test.frame["key"])  # equal graphs share a rank
    distinct = test.frame["key"].drop_duplicates().index.tolist()
    search: dict[str, Any] = {"candidates": graphs, "config": config, "progress": cli_data.show_progress(args)}
    ranking: dict[str, Any] = {"rank_among": test.graphs[distinct], "truth_among": torch.as_tensor(number)}
    judged = ele.evaluation.judge(
        artifact.psi, target, test.graphs, start=start, timeout=args.timeout, budget=clock, **ranking, **search
    )
    answered = [one for one in readings if not one.refused]
    doubts = [one.doubt(loss) for one, loss in zip(answered, judged.decoded.loss.tolist())]
    if args.table:
        table = judged.table.copy()
        table.insert(0, "row", test.frame["row"].to_numpy())
        if doubts:
            table["unsure"] = doubts
        ele.datasets.tables.write_csv(args.table, table)
    document = {
        "artifact": str(args.artifact),
        "data": args.data,
        "from": "psi(y)" if args.oracle else f"h({name})",
        "method": config.method,
        "candidates": source,
        "skipped": data.report()["skipped"],
        **_understood(readings, doubts),
        "ranked_among": len(distinct),
        **judged.summary,
    }
    rows = dict(document)
    if h is not None and args.sets is not None:
        calibration = _calibrate(args, artifact, name, h, search)
        coverage = ele.evaluation.conformal.coverage
        table = coverage(artifact.psi, target, test.graphs, calibration, start=start, **search)
        figures = table.iloc[0].to_dict()
        document["sets"] = {**calibration.to_json(), **{figure: figures[figure] for figure in SET_FIGURES}}
        rows |= {f"sets: {k.replace('_', ' ')}": v for k, v in document["sets"].items()}
    lines = [f"{k:>26}  {v:.4f}" if isinstance(v, float) else f"{k:>26}  {v}" for k, v in rows.items() if v != {}]
    cli_data.print_result(args, document, lines)
    if clock.interrupted:
        raise KeyboardInterrupt(CUT_OFF)


def _understood(readings: "Sequence[Reading]", doubts: Sequence[str]) -> dict[str, Any]:
    """Counts of refused inputs by reason, of what was left out of inputs, and the share of unsure answers."""
    if not readings:
        return {}
    refused = Counter(one.refused for one in readings if one.refused)
    dropped = Counter(part for one in readings for part in one.dropped)
    return {
        "refused": dict(refused),
        "dropped": dict(dropped),
        "unsure": sum(map(bool, doubts)) / max(1, len(doubts)),
    }


def _test_inputs(args: Namespace, inputs: "Sequence[str] | Tensor | None") -> "Sequence[str] | Tensor":
    if inputs is None:
        raise ValueError(f"no inputs to decode from; name a column of {args.data} with --input")
    if not args.randomize:
        return inputs
    if not isinstance(inputs, (list, tuple)):
        raise ValueError("--randomize rewrites SMILES, but these inputs are vectors")
    return ele.graphs.smiles.randomize_smiles(list(inputs), args.seed)


def _calibrate(
    args: Namespace, artifact: "Artifact", name: str, h: "SurrogateRegressor", search: dict[str, Any]
) -> "Calibration":
    """The radius of --sets, from pairs that were not used for training."""
    pairs = cli_data.calibration_pairs(args, artifact, name).sample(CALIBRATION_PAIRS, args.seed)
    if pairs.inputs is None:
        raise ValueError(f"{args.calibrate} has no inputs for h")
    pairs, readings = ele.evaluation.judging.readable(h, pairs)
    if not len(pairs):
        raise ValueError(
            f"h refuses all {len(readings)} inputs of {args.calibrate}; the first: {readings[0].refused}"
        )
    start = _start_graphs(search["config"], h, pairs.inputs)
    options = {"level": args.sets, "start": start, **search}
    return ele.evaluation.conformal.calibrate(artifact.psi, h.predict(pairs.inputs), pairs.graphs, **options)


def _method(args: Namespace, artifact: "Artifact", h: "SurrogateRegressor | None") -> "tuple[Any, str, DecodeConfig]":
    """Candidates, their source, and the config with the method; h is None for --oracle."""
    graphs, source = cli_data.candidates(args, artifact)
    given = {name: value for name, value in settings(args).items() if value is not None}
    chosen = ele.operation.predictor.operating_settings(artifact) if h is not None else {}
    config = ele.operation.decode_config({**chosen, **given})
    return graphs, source, ele.operation.predictor.with_method(config, artifact, h, graphs, source)


def _start_graphs(config: "DecodeConfig", h: "SurrogateRegressor", inputs: Any) -> "Graph | None":
    return h.graphs(inputs) if config.needs_start else None


def settings(args: Namespace) -> dict[str, Any]:
    """The settings of decoding; None for those that are not given."""
    return {name: getattr(args, name) for name in ("method", "seed", "starts", "iterations", "rule", "beam")}


def _config(args: Namespace) -> "DecodeConfig":
    """The options as a config."""
    if args.budget is not None and args.sets is not None:
        raise ValueError("a search with a time limit finds other sets each time; give --budget or --sets")
    return ele.operation.decode_config(settings(args))


def surrogate_for(args: Namespace, artifact: "Artifact") -> str | None:
    """The surrogate that is named like the input column, "smiles" by default; None if there is none."""
    name: str = args.input[0] if args.input else cli_data.DEFAULT_INPUT.get(args.data, "smiles")
    return name if name in artifact.surrogates else None


def input_of(args: Namespace, artifact: "Artifact", name: str, h: "SurrogateRegressor") -> list[str] | None:
    """Input columns: --input, else those of the training, else the name of a shipped h; None = SMILES as written."""
    if args.input:
        return args.input
    trained_on = artifact.about.get("surrogates", {}).get(name, {}).get("input")
    if args.data in ele.datasets.NAMES:
        return trained_on or [name]
    kind = ele.operation.predictor.kind_of(h)
    if not trained_on and kind in ("word", "vector"):
        raise ValueError(f"surrogate {name!r} reads {kind}s; name their column in {args.data} with --input")
    return None if trained_on == ["smiles"] else trained_on
