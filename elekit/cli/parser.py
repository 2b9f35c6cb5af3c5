"""Commands, options and their help. Imports nothing heavy, so that `elekit --help` is fast."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elekit.cli import card, correct, data, evaluate, info, operate, train

OVERVIEW = """\
Learned losses for structured prediction: learn a loss psi on graphs, regress h on it, decode graphs.

An artifact is a folder with a learned loss psi and the surrogates h trained on it. molecules7, qm9, chembl24 and
faults are shipped: use their names in place of a folder.
"""
EXAMPLES = """\
examples:
  elekit data molecules7                       summarize the shipped data set and its skipped rows
  elekit data my.csv                           the same for your table with a column smiles (or --smiles NAME)
  elekit data my.csv --export splits           write splits/train.csv, validation.csv, test.csv, skipped.csv
  elekit info molecules7                       describe an artifact, and whether its loss is of use
  elekit train embedding --data splits/train.csv --out runs/mine
  elekit train surrogate --artifact runs/mine --data splits/train.csv --input text
  elekit train repeats --artifact runs/mine --data splits/train.csv
  torchrun --nproc-per-node 2 -m elekit.cli train embedding ...   on two processes (surrogate, too)
  elekit evaluate --artifact runs/mine --data splits/test.csv --candidates splits/train.csv
  elekit correct --artifact molecules7 --rules rules.json --data molecules7 --out runs/corrected
  elekit card --artifact molecules7            write the loss card, a page for reviewers
  elekit decode --artifact molecules7 "The molecule is an ether ..."
  elekit decode --artifact molecules7 --sets 0.9 "..."   a set that contains the truth with probability at least 0.9
  elekit evaluate --artifact qm9 --data my.csv
  elekit evaluate --artifact qm9 --data my.csv --oracle --method gradient --starts 16
  elekit estimate --data splits/train.csv        what training would cost, from a few measured steps
  elekit estimate --artifact qm9 --data my.csv --budget 20ms   the best way to decode within 20 ms a graph
  elekit compress --artifact qm9 --data my.csv --out runs/light --sets 0.9
  elekit predict --artifact runs/light --input big.parquet --output out.parquet
  elekit registry losses --add runs/light        keep a version
  elekit promote --registry losses --artifact runs/light --to staging --gates gates.toml --data my.csv
  elekit serve --registry losses --log logs      answer over HTTP with the version in production
  elekit monitor --log logs --truths truths.csv --out monitor.html

exit status: 0 success, 1 error (one line on standard error), 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
SIGHUP; progress is saved), 141 if the reader of standard output has gone
"""
BACKBONES = ("character", "word", "smiles", "tfidf", "vector")
FILE = "a file (csv, tsv, txt, parquet, json, jsonl, smi, sdf, graphml, gml, conllu)"
NAMED = "molecules7, faults, qm9, chembl, maintie, ud"
SOURCE = f"{NAMED}, or {FILE}"
ARTIFACT = "a folder, or a shipped one: molecules7, qm9, chembl24 or faults"
SURROGATE = "h of the artifact (default: the one that fits)"
CANDIDATES = (
    f"graphs to choose from: {NAMED} (training split), a file, or none (default: training graphs of a shipped "
    "psi, if available offline)"
)
REGISTRY = "a registry of versions: a folder, or an address that fsspec reads, such as s3://bucket/losses"

Command = argparse.ArgumentParser
Run = Callable[[argparse.Namespace], int | None]


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; its result has the function to call as `run`."""
    whole = argparse.ArgumentParser(
        prog="elekit", description=OVERVIEW, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _data(_command(commands, "data", "load a data set, split it, and report the rows left out and why", data.report))
    _info(_command(commands, "info", "describe an artifact, and whether its loss is of use", info.info))
    about = "learn a loss (embedding), regress on one (surrogate), or retrain one to see what varies (repeats)"
    stages = _command(commands, "train", about).add_subparsers(dest="stage", required=True, metavar="STAGE")
    _embedding(_command(stages, "embedding", "learn psi, the loss, from graphs alone", train.embedding))
    _surrogate(_command(stages, "surrogate", "learn h, from inputs to points of psi's sphere", train.surrogate))
    about = "learn psi again with the same settings, to see which statements about the loss hold each time"
    _repeats(_command(stages, "repeats", about, train.repeats))
    about = "train a learned loss to keep rules and judgments, and report what that costs elsewhere"
    _correct(_command(commands, "correct", about, correct.correct))
    _decode(_command(commands, "decode", "decode graphs from inputs", evaluate.decode))
    _evaluate(_command(commands, "evaluate", "decode a test set and score the results", evaluate.evaluate))
    about = "measure a few steps, and say what training and decoding will cost; find what fits a budget"
    _estimate(_command(commands, "estimate", about, operate.estimate))
    about = (
        "make a loss light: weights in fewer bits, a narrower search, a smaller h; save the best as a new artifact"
    )
    _compress(_command(commands, "compress", about, operate.compress))
    about = "answer all rows of a large file, in parts that a killed run keeps"
    _predict(_command(commands, "predict", about, operate.predict))
    about = "list and check the versions, stages and log of a registry, or add a version"
    _registry(_command(commands, "registry", about, operate.registry))
    about = "run the gates of a version, and promote it to a stage if all are met"
    _promote(_command(commands, "promote", about, operate.promote))
    _rollback(_command(commands, "rollback", "bring back the version that a stage held before", operate.rollback))
    _serve(_command(commands, "serve", "answer over HTTP, with limits and a token", operate.serve))
    about = "report whether a loss in operation still does what was promised"
    _monitor(_command(commands, "monitor", about, operate.monitor))
    about = "write a loss card: one HTML file with what a loss rewards, how certain that is, and how it was measured"
    _card(_command(commands, "card", about, card.card))
    return whole


def _command(commands: Any, name: str, about: str, run: Run | None = None) -> Command:
    command: Command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    if run is not None:
        command.add_argument("--json", action="store_true", help="print one JSON document")
        command.set_defaults(run=run)
    return command


def _data(command: Command) -> None:
    command.add_argument("data", help=SOURCE)
    _data_options(command)
    _path(command, "--export", "FOLDER", "write train, validation, test and skipped rows as csv, formulas quoted")


def _info(command: Command) -> None:
    _path(command, "artifact", "ARTIFACT", ARTIFACT)
    about = f"its training data, to measure the health of an older artifact: {SOURCE} (default: those of its name)"
    command.add_argument("--data", help=about)


def _embedding(command: Command) -> None:
    _path(command, "--out", "FOLDER", "where to write the artifact", required=True)
    _number(command, "--dim", int, 512, "dimension of the embedding space")
    _number(command, "--hidden", int, 64, "width of psi's node states")
    _fit_options(command)


def _backbone(text: str) -> str:
    family, _, name = text.partition(":")
    if text not in BACKBONES and not (family == "hf" and name):
        raise argparse.ArgumentTypeError(f"no backbone {text!r}; choose {', '.join(BACKBONES)} or hf:NAME")
    return text


def _surrogate(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", "the loss to regress on; h is added to it", required=True)
    command.add_argument("--name", help="name of this h in the artifact (default: name of its input)")
    about = "how h reads its inputs (default: by their type); hf:NAME is a Hugging Face encoder, which needs a small "
    about += "--learning-rate such as 3e-5"
    command.add_argument("--backbone", type=_backbone, metavar=f"{{{','.join(BACKBONES)},hf:NAME}}", help=about)
    _number(command, "--width", int, 128, "width of the backbone")
    about = (
        "point: h ends in a point of the sphere. graph: h goes through a relaxed graph that psi embeds (graph head); "
    )
    about += "choose it if input positions correspond to nodes, as in SMILES. With at most 1,000 pairs, graph trains "
    about += "four random starts and continues the best one (default: %(default)s)"
    reads = (
        "smiles: inputs are molecules, read in one canonical form, or else refused. verbatim: inputs are read as "
        "they are. auto: smiles if 95 %% of the inputs are and the graphs are molecules; typos in other texts are "
        "corrected (default: %(default)s)"
    )
    command.add_argument("--reads", choices=("auto", "smiles", "verbatim"), default="auto", help=reads)
    command.add_argument("--through", choices=("point", "graph"), default="point", help=about)
    _fit_options(command)


def _repeats(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", "the loss to retrain; repeats are added to it", required=True)
    command.add_argument("--data", required=True, help=f"its training data: {SOURCE}")
    _columns(command)
    _number(command, "--seeds", int, 5, "repeats with another seed")
    _number(command, "--halves", int, 4, "repeats on a random half of the graphs")
    _training_options(command)


def _correct(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", f"the loss to correct: {ARTIFACT}", required=True)
    _path(command, "--out", "FOLDER", "where to write the new artifact", required=True)
    about = 'a list of rules such as {"rule": "nearly free", "kinds": ["relabel C to N"]}, '
    about += '{"rule": "at least", "kinds": ["close a ring *"], "times": 2} or {"rule": "grows"}'
    _path(command, "--rules", "JSON", about)
    _path(command, "--judgments", "JSONL", "judgments, as written by the widget elekit.widgets.judge")
    _number(command, "--weight", float, 1.0, "weight of the rules and judgments")
    _number(command, "--decoded", int, 100, "held-out graphs to decode before and after; 0 = none")
    _flag(command, "--refit", "continue training the h of this data until it fits the corrected loss")
    _fit_options(command)


def _decode(command: Command) -> None:
    about = "inputs of h: texts, SMILES, or vectors as numbers with commas (default: lines of standard input)"
    command.add_argument("inputs", nargs="*", help=about)
    _number(command, "--seed", int, 0, "seed of random starts")
    _decoding_options(command)
    _attributes(command)


def _evaluate(command: Command) -> None:
    about = f"{NAMED} (their test split), or all rows of {FILE}"
    command.add_argument("--data", required=True, help=about)
    _data_options(command, "seed of the sampled graphs and of random starts; the split is that of the training")
    _decoding_options(command)
    about = "decode from psi(y), the true embedding: how decodable is the loss? With a local psi, --max-nodes may be "
    _flag(command, "--oracle", about + "larger than in the training")
    about = "largest number of graphs, sampled (default: 1000 of a named set, all of a file)"
    command.add_argument("--limit", type=int, help=about)
    _flag(command, "--randomize", "rewrite SMILES along random paths first (matters to an h with --reads verbatim)")
    _number(command, "--timeout", float, 2.0, "seconds per edit distance")
    _path(command, "--table", "CSV", "write one row per prediction to this file")


def _card(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", f"a learned loss: {ARTIFACT}", required=True)
    command.add_argument("--data", help=f"its training data: {SOURCE} (default: that of a shipped loss)")
    _data_options(command, "seed of all sampling; the split is that of the training")
    _flag(command, "--whole", "--data is a file of test cases: use all of its rows")
    command.add_argument("--surrogate", metavar="NAME", help="h of the artifact (default: the one that fits)")
    _path(command, "--repeats", "FOLDER", "other trainings (default: those in the artifact)")
    _path(command, "--compare", "OLD", "an older card or artifact: what changed?")
    _flag(command, "--replicate", "measure everything again on other graphs, and state how the intervals did")
    command.add_argument("--registry", metavar="ADDRESS", help=f"{REGISTRY}: the card shows stage, gates and history")
    _path(command, "--limits", "TOML", "acceptance limits; the card shows whether each is met")
    _path(command, "--out", "HTML", "card to write (default: %(default)s)", default=Path("card.html"))
    _budget(command, "the results so far")
    _threads(command)


def _fit_options(command: Command) -> None:
    command.add_argument("--data", required=True, help=SOURCE)
    _data_options(command)
    command.add_argument("--steps", type=int, help="training steps (default: that of the library)")
    command.add_argument("--minutes", type=float, help="largest time of the training, which it plans for")
    command.add_argument("--batch-size", type=int, help="graphs or pairs per step (default: that of the library)")
    command.add_argument("--learning-rate", type=float, help="peak learning rate (default: that of the library)")
    _flag(command, "--fast", "bfloat16 inside matrix products, if the processor has it")
    _training_options(command)


def _training_options(command: Command) -> None:
    _threads(command)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    command.add_argument("--by", metavar="NAME", help="who trains, recorded in the artifact (default: nobody)")
    command.epilog = "Ctrl-C, SIGTERM and SIGHUP save the progress; the same command continues from there."
    command.set_defaults(continued="the same command continues from what is saved")


def _data_options(command: Command, seed: str = "seed of the split and of all sampling") -> None:
    _columns(command)
    _number(command, "--seed", int, 0, seed)


def _columns(command: Command) -> None:
    outputs = command.add_mutually_exclusive_group()
    outputs.add_argument("--smiles", metavar="COLUMN", help="column of molecules as SMILES (default: smiles)")
    outputs.add_argument(
        "--graph",
        metavar="COLUMN",
        help="column of graphs as node-link JSON (default: graph, without a column smiles)",
    )
    about = "column of the inputs of h (repeat it for the numbers of a vector; default: the SMILES as written); for "
    about += "molecules7 description or smiles"
    command.add_argument("--input", action="append", metavar="COLUMN", help=about)
    about = "column of the places of the nodes in the text, as JSON: [start, end] for each node, or null"
    command.add_argument("--spans", metavar="COLUMN", help=about)
    about = "levels of the types of entities in maintie (default: 2)"
    command.add_argument("--level", type=int, choices=(1, 2, 3), help=about)
    _attributes(command)
    _preparation(command)


def _preparation(command: Command) -> None:
    """Options of `elekit.datasets.Prepare`, None if not given."""
    about = "which rows are read, and how they become graphs; with an artifact, as in its training unless given"
    group = command.add_argument_group("preparation", about)
    group.add_argument("--subset", type=int, metavar="N", help="read N rows, drawn by the seed of the splits")
    about = "keep only the largest fragment of each SMILES, without the counterions of salts (default: all)"
    group.add_argument("--fragments", choices=("all", "largest"), help=about)
    about = (
        "neutralize: move hydrogens so that charges vanish where they can. none: also skip rows with charges that "
    )
    group.add_argument("--charges", choices=("keep", "neutralize", "none"), help=f"{about}remain (default: keep)")
    about = "label the bonds of aromatic rings aromatic, or else single and double"
    group.add_argument("--aromatic", action=argparse.BooleanOptionalAction, default=None, help=about)
    group.add_argument("--min-nodes", type=int, metavar="N", help="skip rows of graphs with fewer nodes")
    group.add_argument("--max-nodes", type=int, metavar="N", help="skip rows of graphs with more nodes")
    about = "labels in fewer rows are rare (default: 1); with the labels of an artifact, those that it lacks"
    group.add_argument("--min-count", type=int, metavar="N", help=about)
    about = "skip rows with rare labels, or replace these labels by one (default: skip)"
    group.add_argument("--rare", choices=("skip", "other"), help=about)
    about = "skip rows of graphs in pieces, with cycles, or without exactly one root (default: any)"
    group.add_argument("--structure", choices=("any", "connected", "tree", "arborescence"), help=about)


def _attributes(command: Command) -> None:
    about = "attribute of the labels of {}s of graphs; none for graphs without (default: %(default)s)"
    for kind in ("node", "edge"):
        command.add_argument(f"--{kind}-attribute", metavar="NAME", default="label", help=about.format(kind))


def _estimate(command: Command) -> None:
    command.add_argument("--data", required=True, help=SOURCE)
    _path(command, "--artifact", "FOLDER", f"also the ways to decode with a learned loss: {ARTIFACT}")
    command.add_argument("--surrogate", metavar="NAME", help=SURROGATE)
    about = "time to keep to: of one graph with --artifact, such as 20ms, else of the training, such as 2h"
    command.add_argument("--budget", metavar="TIME", help=about)
    _number(command, "--inputs", int, 10_000, "inputs to decode, whose time is estimated")
    _number(command, "--cases", int, 200, "held-out cases that the ways are measured on")
    _flag(command, "--training", "with --artifact, also the cost of training anew")
    command.add_argument("--candidates", metavar="DATA", help=CANDIDATES)
    _path(command, "--picture", "FILE", "draw quality against time, as svg, png or pdf")
    _number(command, "--dim", int, 512, "dimension of the embedding space")
    _number(command, "--hidden", int, 64, "width of psi's node states")
    command.add_argument("--backbone", type=_backbone, metavar="NAME", help="as of `train surrogate`")
    _number(command, "--width", int, 128, "width of the backbone")
    command.add_argument("--through", choices=("point", "graph"), default="point", help="as of `train surrogate`")
    _data_options(command)
    command.add_argument("--steps", type=int, help="training steps (default: that of the library)")
    command.add_argument("--minutes", type=float, help="largest time of the training")
    command.add_argument("--batch-size", type=int, help="graphs or pairs per step (default: that of the library)")
    command.set_defaults(learning_rate=None, fast=False)
    _threads(command)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")


def _compress(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", f"the loss to make light: {ARTIFACT}", required=True)
    _path(command, "--out", "FOLDER", "where to write the light artifact", required=True)
    command.add_argument("--data", required=True, help=f"{SOURCE}; variants are compared on its validation split")
    command.add_argument("--surrogate", metavar="NAME", help=SURROGATE)
    _data_options(command)
    command.add_argument("--candidates", metavar="DATA", help=CANDIDATES)
    _number(command, "--lost", float, 0.5, "points of exact answers that may be lost")
    about = "also train a smaller h of this width on the answers of the larger one (minutes)"
    command.add_argument("--distill", type=int, metavar="WIDTH", help=about)
    about = "also calibrate prediction sets at this level, which are saved with it"
    command.add_argument("--sets", type=float, metavar="LEVEL", help=about)
    _path(command, "--table", "CSV", "write one row per variant to this file")
    _path(command, "--picture", "FILE", "draw quality against time, as svg, png or pdf")
    _budget(command, "the variants so far")
    _threads(command)


def _predict(command: Command) -> None:
    _path(command, "--input", "FILE", "parquet, csv, tsv, jsonl, txt or smi; texts also as .gz", required=True)
    _path(command, "--output", "FILE", "a new parquet file", required=True)
    about = "column of the inputs (repeat it for the numbers of a vector; default: the name of h, or smiles)"
    command.add_argument("--column", action="append", metavar="COLUMN", help=about)
    command.add_argument("--keep", action="append", metavar="COLUMN", help="a column to copy to the output")
    _number(command, "--part-rows", int, 2_000, "rows that are answered and saved at a time")
    command.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    about = "address of a Dask scheduler such as tcp://10.0.0.1:8786, or local for a cluster on this machine"
    command.add_argument("--dask", metavar="ADDRESS", help=about)
    _flag(command, "--no-sets", "no prediction sets, even if the artifact carries a calibration")
    _number(command, "--seed", int, 0, "seed of random starts")
    _in_operation(command, required=False)
    _search_options(command)
    command.set_defaults(continued="the same command continues from what is saved")


def _in_operation(command: Command, *, required: bool) -> None:
    _path(command, "--artifact", "FOLDER", f"a learned loss: {ARTIFACT}", required=required)
    command.add_argument("--registry", metavar="ADDRESS", help=f"{REGISTRY}, in place of --artifact")
    command.add_argument("--stage", default="production", help="its stage (default: %(default)s)")


def _registry(command: Command) -> None:
    command.add_argument("registry", metavar="ADDRESS", help=REGISTRY)
    _path(command, "--add", "FOLDER", "add this artifact as a candidate")
    _logged(command)


def _logged(command: Command) -> None:
    command.add_argument("--by", metavar="NAME", help="who does it (default: the user of this machine)")
    command.add_argument("--note", default="", metavar="TEXT", help="remark for the log")
    _path(command, "--with-card", "HTML", "the loss card of the version")


def _promote(command: Command) -> None:
    command.add_argument("--registry", metavar="ADDRESS", required=True, help=REGISTRY)
    which = command.add_mutually_exclusive_group(required=True)
    about = "the artifact to promote; it is added first if the registry lacks it"
    which.add_argument("--artifact", type=Path, metavar="FOLDER", help=about)
    which.add_argument(
        "--version", metavar="DIGEST", help="a version of the registry, or the beginning of its digest"
    )
    command.add_argument("--to", choices=("staging", "production"), required=True, help="the stage")
    _path(command, "--gates", "TOML", "what it must show, see elekit.operation.gates", required=True)
    about = "held-out data with training, validation and test splits, on which the gates are measured"
    command.add_argument("--data", required=True, help=f"{about}: {SOURCE}")
    command.add_argument("--surrogate", metavar="NAME", help=SURROGATE)
    command.add_argument("--candidates", metavar="DATA", help=CANDIDATES)
    _data_options(command)
    _logged(command)
    _threads(command)


def _rollback(command: Command) -> None:
    command.add_argument("--registry", metavar="ADDRESS", required=True, help=REGISTRY)
    command.add_argument("--stage", choices=("staging", "production"), default="production", help="the stage")
    command.add_argument("--version", metavar="DIGEST", help="the version (default: the one before the present one)")
    _logged(command)


def _serve(command: Command) -> None:
    _in_operation(command, required=False)
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    _number(command, "--port", int, 8000, "port")
    about = "accept requests without a token (on loopback only); else it comes from ELEKIT_TOKEN, or is printed"
    _flag(command, "--no-token", about)
    _number(command, "--max-waiting", int, 1_000, "inputs that may wait; further ones are refused with 429")
    _number(command, "--poll", float, 5.0, "seconds between looks at the registry for a newly promoted version")
    _path(command, "--log", "FOLDER", "log answers for `elekit monitor`, inputs as keyed hashes")
    _number(command, "--log-share", float, 1.0, "share of the answers that is logged")
    _path(command, "--with-card", "HTML", "the loss card to show at /card (default: that of the registry)")
    _flag(command, "--no-sets", "no prediction sets, even if the artifact carries a calibration")
    _number(command, "--seed", int, 0, "seed of random starts")
    _search_options(command)


def _monitor(command: Command) -> None:
    _path(command, "--log", "FOLDER", "log of `elekit serve`", required=True)
    _path(command, "--truths", "CSV", "later truths, with columns id and truth")
    about = "promise of the prediction sets (default: that of the artifact)"
    command.add_argument("--level", type=float, help=about)
    _in_operation(command, required=False)
    _number(command, "--window", int, 200, "least number of answers that are looked at together")
    _path(command, "--out", "HTML", "write a page for readers")
    _path(command, "--metrics", "FILE", "write figures for Prometheus' node exporter")


def _decoding_options(command: Command) -> None:
    _path(command, "--artifact", "FOLDER", f"a learned loss: {ARTIFACT}", required=True)
    _search_options(command)
    about = "also prediction sets; 0.9 = contain the truth with probability at least 0.9"
    command.add_argument("--sets", type=float, metavar="LEVEL", help=about)
    about = "for --sets, a file of pairs that were not used for training, with the columns of h "
    about += "(default: the validation split of a shipped h)"
    command.add_argument("--calibrate", metavar="FILE", help=about)
    _budget(command, "the best results so far")


def _search_options(command: Command) -> None:
    command.add_argument("--surrogate", metavar="NAME", help=SURROGATE)
    about = "candidates, growth (joins pieces of the training graphs), gradient or rounded, each alone or with "
    about += "+polish (default: rounded+polish with a graph head; else candidates+polish with candidates, else "
    about += "growth+polish for large graphs and gradient+polish for others)"
    command.add_argument("--method", help=about)
    command.add_argument("--candidates", metavar="DATA", help=CANDIDATES)
    about = "column of that file (default: smiles; graph if no molecules)"
    command.add_argument("--candidates-column", metavar="COLUMN", help=about)
    command.add_argument("--starts", type=int, help="gradient descents of each target (default: 4)")
    command.add_argument("--iterations", type=int, help="gradient steps (default: 100)")
    about = "step rule: euclidean (the paper's), euclidean-plain, euclidean-adam, exponentiated or adam "
    about += "(default: euclidean)"
    command.add_argument("--rule", help=about)
    command.add_argument("--beam", type=int, help="graphs kept by the polish (default: 2)")
    _threads(command)


def _budget(command: Command, results: str) -> None:
    about = f"time for the whole measurement; then, as after Ctrl-C, {results} are used (default: no limit)"
    command.add_argument("--budget", type=float, metavar="SECONDS", help=about)


def _threads(command: Command) -> None:
    about = "threads of torch (default: those of torch, OMP_NUM_THREADS; on a busy machine one)"
    command.add_argument("--threads", type=int, metavar="N", help=about)


def _path(command: Command, name: str, metavar: str, text: str, **options: Any) -> None:
    command.add_argument(name, type=Path, metavar=metavar, help=text, **options)


def _number(command: Command, name: str, kind: type, default: float, text: str) -> None:
    command.add_argument(name, type=kind, default=default, help=f"{text} (default: %(default)s)")


def _flag(command: Command, name: str, text: str) -> None:
    command.add_argument(name, action="store_true", help=text)
