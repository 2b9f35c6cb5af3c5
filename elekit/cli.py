"""`elekit data / train / decode / evaluate`: the package from a shell (floor 4).

Exit status: 0 done, 1 refused with one sentence on standard error, 2 wrong usage, 130 interrupted (what was reached is
kept). With --json standard output is one JSON document and nothing else.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

EXAMPLES = """\
examples:
  elekit data molecules7                       what the shipped data set holds, and what was left out
  elekit data my.csv --smiles structure        the same for a table of yours
  elekit train embedding --data my.csv --out runs/mine
  elekit train surrogate --artefact runs/mine --data my.csv --input text
  elekit decode --artefact data/models/molecules7 "The molecule is ..."
  elekit evaluate --artefact data/models/qm9 --data my.csv
  elekit evaluate --artefact data/models/qm9 --data my.csv --oracle --method gradient --starts 16
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except (ValueError, OSError, FloatingPointError) as refused:
        sys.stderr.write(f"elekit: {refused}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="elekit",
        description="Learned losses for structured prediction: learn a loss on graphs, regress on it, decode graphs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="read a data set, split it, and say what was left out and why")
    data.add_argument("data", help="molecules7, qm9, or a csv, tsv or parquet file")
    _add_data_options(data)
    data.add_argument("--export", type=Path, metavar="FOLDER", help="write train, validation, test and skipped rows as csv")
    _finish(data, _data)

    train = commands.add_parser("train", help="learn a loss (embedding), or regress on it (surrogate)")
    stages = train.add_subparsers(dest="stage", required=True, metavar="STAGE")
    embedding = stages.add_parser("embedding", help="learn psi, the loss, from graphs alone")
    embedding.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the artefact goes")
    embedding.add_argument("--dim", type=int, default=256, help="dimensions of the space psi maps into (default: %(default)s)")
    embedding.add_argument("--hidden", type=int, default=96, help="width of psi's node states (default: %(default)s)")
    surrogate = stages.add_parser("surrogate", help="learn h, from inputs to points of psi's sphere")
    surrogate.add_argument("--artefact", type=Path, required=True, metavar="FOLDER", help="the learned loss to regress on")
    surrogate.add_argument("--name", help="name of this h in the artefact (default: the input's)")
    surrogate.add_argument("--backbone", choices=("character", "word", "smiles", "vector"), help="default: what suits the inputs")
    surrogate.add_argument("--width", type=int, default=192, help="width of the backbone (default: %(default)s)")
    for stage, run in ((embedding, _train_embedding), (surrogate, _train_surrogate)):
        stage.add_argument("--data", required=True, help="molecules7, qm9, or a csv, tsv or parquet file")
        _add_data_options(stage)
        stage.add_argument("--steps", type=int, help="training steps (default: the library's)")
        stage.add_argument("--batch-size", type=int, help="graphs or pairs a step (default: the library's)")
        stage.add_argument("--learning-rate", type=float, help="peak learning rate (default: the library's)")
        stage.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
        stage.add_argument("--fast", action="store_true", help="bfloat16 inside matrix products, where the processor has it")
        _finish(stage, run)

    decode = commands.add_parser("decode", help="decode graphs from inputs")
    decode.add_argument("inputs", nargs="*", help="texts; without any, one a line is read from standard input")
    _add_artefact_options(decode)
    _finish(decode, _decode)

    evaluate = commands.add_parser("evaluate", help="decode a test set and judge it")
    evaluate.add_argument(
        "--data", required=True, help="molecules7 or qm9 (their test split), or a csv, tsv or parquet file (all of its rows)"
    )
    _add_data_options(evaluate)
    _add_artefact_options(evaluate)
    evaluate.add_argument("--oracle", action="store_true", help="decode from psi(y), the true embedding: how decodable is the loss?")
    evaluate.add_argument("--limit", type=int, default=1_000, help="at most so many, drawn with --seed (default: %(default)s)")
    evaluate.add_argument("--randomise", action="store_true", help="write SMILES inputs anew, along random paths, first")
    evaluate.add_argument("--timeout", type=float, default=10.0, help="seconds a pair for an edit distance (default: %(default)s)")
    evaluate.add_argument("--table", type=Path, metavar="CSV", help="write one row a prediction")
    _finish(evaluate, _evaluate)
    return parser


def _add_data_options(parser):
    parser.add_argument("--smiles", metavar="COLUMN", help="column of a table with molecules as SMILES (default: smiles)")
    parser.add_argument("--graph", metavar="COLUMN", help="column of a table with graphs as node-link JSON")
    parser.add_argument(
        "--input", action="append", metavar="COLUMN", help="column with the input (several: a vector); for molecules7 description or smiles"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split and of all that is random (default: %(default)s)")


def _add_artefact_options(parser):
    parser.add_argument("--artefact", type=Path, required=True, metavar="FOLDER", help="a learned loss, such as data/models/qm9")
    parser.add_argument("--surrogate", help="which h of the artefact (default: the one that fits, or the first)")
    parser.add_argument("--method", help="candidates, candidates+polish, gradient or gradient+polish (default: with candidates the second, else the last)")
    parser.add_argument(
        "--candidates", metavar="DATA", help="molecules7, qm9 (training split) or a file; default: what psi was trained on if it is at hand; 'none': no candidates"
    )
    parser.add_argument("--starts", type=int, help="gradient descents of each target")
    parser.add_argument("--iterations", type=int, help="gradient steps")
    parser.add_argument("--rule", help="step rule: adam, euclidean (the paper's), euclidean-adam, exponentiated")
    parser.add_argument("--beam", type=int, help="graphs kept by the polish")
    parser.add_argument("--budget-ms", type=float, help="time for a batch of 256 targets; the best answer so far comes back")


def _finish(parser, run):
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


# -- what the commands share -----------------------------------------------------------------------------------


def _load(chosen, *, whole: bool = False, vocabulary=None, inputs: bool = True, progress: bool = True):
    """The data set that --data names; whole: all rows of a file in its test split."""
    from elekit import datasets

    if chosen.data in datasets.NAMES:
        return datasets.load(chosen.data, inputs=(chosen.input or [None])[0], seed=chosen.seed, progress=progress)
    given = chosen.input or []
    return datasets.from_frame(
        chosen.data,
        smiles=None if chosen.graph else chosen.smiles or "smiles",
        graph=chosen.graph,
        input=(given[0] if len(given) == 1 else given or None) if inputs else None,
        fractions=(0, 0, 1) if whole else datasets.FRACTIONS,
        duplicates="keep" if whole else "drop",
        vocabulary=vocabulary,
        seed=chosen.seed,
        progress=progress,
    )


def _say(chosen, document: dict, lines: list[str]):
    """The result, for machines or for people."""
    sys.stdout.write((json.dumps(document, indent=1, default=str) if chosen.json else "\n".join(lines)) + "\n")


def _decode_config(chosen):
    from elekit.decoding import DecodeConfig

    config = DecodeConfig(method=chosen.method, seed=chosen.seed if hasattr(chosen, "seed") else 0)
    set_by_user = {"starts": chosen.starts, "iterations": chosen.iterations, "rule": chosen.rule, "budget_ms": chosen.budget_ms}
    gradient = replace(config.gradient, **{k: v for k, v in set_by_user.items() if v is not None})
    set_by_user = {"beam": chosen.beam, "budget_ms": chosen.budget_ms}
    return replace(
        config, gradient=gradient, polish=replace(config.polish, **{k: v for k, v in set_by_user.items() if v is not None})
    )


def _candidates(chosen, artefact):
    """(graphs, where from) to start from, or (None, why not)."""
    from elekit import datasets

    if chosen.candidates == "none" or (chosen.method or "").startswith("gradient"):
        return None, "none"
    name = chosen.candidates or artefact.name
    if name in datasets.NAMES:
        if not chosen.candidates and not datasets.at_hand(name):
            return None, f"none ({name} is not on this machine; set ELEKIT_DATA_DIR or give --candidates)"
        seed = artefact.about.get("seed", 0)
        loaded = datasets.load(name, seed=seed, progress=not chosen.json).train.graphs
    elif chosen.candidates:
        loaded = datasets.from_frame(name, smiles="smiles", vocabulary=artefact.vocabulary, fractions=(1, 0, 0)).train.graphs
    else:
        return None, "none (give --candidates)"
    if loaded.vocabulary != artefact.vocabulary:
        raise ValueError(f"candidates {name!r} have another vocabulary than the artefact {artefact.name!r}")
    return loaded, f"{len(loaded):,} of {name}"


# -- commands --------------------------------------------------------------------------------------------------


def _data(chosen):
    data = _load(chosen, progress=not chosen.json)
    report = data.report()
    if chosen.export:
        for split in ("train", "validation", "test"):
            _write_csv(chosen.export / f"{split}.csv", getattr(data, split).frame)
        _write_csv(chosen.export / "skipped.csv", data.skipped)
    lines = [f"{report['name']}: {report['rows']:,} rows"]
    lines += [f"  {split:<11}{report[split]:>9,}" for split in ("train", "validation", "test")]
    lines += [f"  {'skipped':<11}{len(data.skipped):>9,}"]
    lines += [f"    {count:>7,}  {reason}" for reason, count in report["skipped"].items()]
    lines += [
        f"  node labels  {' '.join(report['node_labels'])}",
        f"  edge labels  {' '.join(report['edge_labels'])}",
        f"  up to {report['max_nodes']} nodes; digest {report['digest'][:16]}",
    ]
    _say(chosen, report, lines)


def _loop(chosen, loop):
    set_by_user = {"steps": chosen.steps, "learning_rate": chosen.learning_rate}
    loop = replace(loop, **{k: v for k, v in set_by_user.items() if v is not None})
    every = max(1, min(loop.validate_every, loop.steps // 4))
    precision = "medium" if chosen.fast else loop.matmul_precision
    return replace(loop, validate_every=every, checkpoint_every=every, matmul_precision=precision)


def _train_embedding(chosen):
    from elekit import release, train
    from elekit.embedding import EmbeddingConfig

    data = _load(chosen, inputs=False, progress=not chosen.json)
    training = train.EmbeddingTraining()
    training = replace(training, loop=_loop(chosen, training.loop), batch_size=chosen.batch_size or training.batch_size)
    psi = train.fit_embedding(
        data.train.graphs,
        validation=data.validation.graphs,
        config=EmbeddingConfig(hidden=chosen.hidden, dim=chosen.dim),
        training=training,
        seed=chosen.seed,
        device=chosen.device,
        checkpoint=chosen.out / "psi.checkpoint",
        progress=not chosen.json,
    )
    about = {
        "data": data.report(),
        "seed": chosen.seed,
        "psi": {"training": asdict(training), "history": psi.history},
        "surrogates": {},
    }
    name = chosen.data if chosen.data in ("molecules7", "qm9") else Path(chosen.data).stem
    release.save(release.Artefact(name, psi, about=about), chosen.out)
    _report_fit(chosen, chosen.out, psi.history)


def _train_surrogate(chosen):
    from elekit import release, train
    from elekit.surrogate import BackboneConfig

    artefact = release.load(chosen.artefact)
    seed = artefact.about.get("seed", chosen.seed)  # the same split, so that nothing leaks
    data = _load(argparse.Namespace(**{**vars(chosen), "seed": seed}), vocabulary=artefact.vocabulary, progress=not chosen.json)
    if data.vocabulary != artefact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artefact {chosen.artefact}; train an embedding on it first")
    training = train.SurrogateTraining()
    training = replace(training, loop=_loop(chosen, training.loop), batch_size=chosen.batch_size or training.batch_size)
    kind = chosen.backbone or train.kind_of(data.train.inputs)
    name = chosen.name or (chosen.input[0] if chosen.input else kind)
    h = train.fit_surrogate(
        artefact.psi,
        data.train,
        validation=data.validation,
        backbone=BackboneConfig(kind, width=chosen.width),
        training=training,
        seed=chosen.seed,
        device=chosen.device,
        checkpoint=chosen.artefact / f"h-{name}.checkpoint",
        progress=not chosen.json,
    )
    artefact.surrogates[name] = h
    artefact.about.setdefault("surrogates", {})[name] = {
        "training": asdict(training), "history": h.history, "digest": data.digest
    }  # fmt: skip
    release.save(artefact, chosen.artefact)
    _report_fit(chosen, chosen.artefact, h.history)


def _report_fit(chosen, folder: Path, history: list[dict]):
    last = history[-1]
    figures = ", ".join(f"{k} {v:.3f}" for k, v in last.items() if isinstance(v, float) and k != "seconds")
    _say(
        chosen,
        {"artefact": str(folder), "history": history},
        [f"saved in {folder} after {last['step']:,} steps: {figures}" + (" (interrupted)" if last.get("interrupted") else "")],
    )
    if last.get("interrupted"):
        raise KeyboardInterrupt


def _decode(chosen):
    from elekit import chem, decoding, release
    from elekit.graph import to_networkx

    artefact = release.load(chosen.artefact)
    _, h = artefact.surrogate(chosen.surrogate)
    inputs = chosen.inputs or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    graphs, _ = _candidates(chosen, artefact)
    decoded = decoding.decode(artefact.psi, h.predict(inputs), candidates=graphs, config=_decode_config(chosen))
    molecular = chem.is_molecular(artefact.vocabulary)
    answers = []
    for i, (text, loss) in enumerate(zip(inputs, decoded.loss.tolist())):
        graph = decoded.graphs[i]
        if molecular:
            drawn = chem.to_smiles(graph)[0]
        else:
            (one,) = to_networkx(graph)
            drawn = {"nodes": [a["label"] for _, a in one.nodes(data=True)], "edges": [[u, v, a["label"]] for u, v, a in one.edges(data=True)]}
        answers.append({"input": text, "smiles" if molecular else "graph": drawn, "loss": round(loss, 6)})
    _say(chosen, {"decoded": answers}, [f"{a.get('smiles', a.get('graph'))}\tloss {a['loss']:.4f}\t{a['input']}" for a in answers])


def _evaluate(chosen):
    from elekit import chem, datasets, evaluation, release

    artefact = release.load(chosen.artefact)
    config = _decode_config(chosen)
    name, h = (None, None) if chosen.oracle else artefact.surrogate(chosen.surrogate or _fitting(chosen, artefact))
    if chosen.data in datasets.NAMES and chosen.data == artefact.name and not chosen.input and name:
        chosen.input = [name]
    data = _load(chosen, whole=True, vocabulary=artefact.vocabulary, inputs=not chosen.oracle, progress=not chosen.json)
    if data.vocabulary != artefact.vocabulary:
        raise ValueError(f"{chosen.data} has another vocabulary than the artefact {chosen.artefact}")
    test = data.test.sample(chosen.limit, chosen.seed)
    if chosen.oracle:
        target = artefact.psi.embed(test.graphs)
    else:
        inputs = test.inputs
        if chosen.randomise:
            inputs = chem.randomise_smiles(inputs, chosen.seed)
        target = h.predict(inputs)
    graphs, where = _candidates(chosen, artefact)
    judged = evaluation.judge(
        artefact.psi, target, test.graphs, candidates=graphs, config=config, timeout=chosen.timeout,
        rank_among=test.graphs, progress=not chosen.json,
    )  # fmt: skip
    if chosen.table:
        table = judged.table.copy()
        table.insert(0, "row", test.frame["row"].to_numpy())
        _write_csv(chosen.table, table)
    summary = judged.summary
    document = {
        "artefact": str(chosen.artefact),
        "data": chosen.data,
        "from": "psi(y)" if chosen.oracle else f"h({name})",
        "method": config.method or ("candidates+polish" if graphs is not None else "gradient+polish"),
        "candidates": where,
        "skipped": data.report()["skipped"] if chosen.data not in datasets.NAMES else {},
        **summary,
    }
    lines = [f"{k:>26}  {v:.4f}" if isinstance(v, float) else f"{k:>26}  {v}" for k, v in document.items()]
    _say(chosen, document, lines)


def _fitting(chosen, artefact) -> str | None:
    """The surrogate named like the input column, where there is one."""
    wanted = (chosen.input or [chosen.smiles or "smiles"])[0]
    return wanted if wanted in artefact.surrogates and (chosen.input or chosen.data not in ("molecules7",)) else None


def _write_csv(path: Path, frame):
    from elekit.files import write_atomically

    write_atomically(path, lambda partial: frame.to_csv(partial, index=False))


if __name__ == "__main__":
    sys.exit(main())
