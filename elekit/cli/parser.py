"""What can be typed: commands, options and their help."""

import argparse
from pathlib import Path

from elekit.cli import carding, correcting, evaluating, sources, training

OVERVIEW = """\
Learned losses for structured prediction: learn a loss psi on graphs, regress h on it, decode graphs.

An artifact is a folder that holds a learned loss psi and the surrogates h that were trained on it. molecules7 and
qm9 are shipped ready-made: give their name in place of a folder.
"""

BACKBONES = ("character", "word", "smiles", "tfidf", "vector")
THROUGH = ("point", "graph")
EXAMPLES = """\
examples:
  elekit data molecules7                       what the shipped data set holds, and what was left out
  elekit data my.csv --smiles structure        the same for a table of yours
  elekit data my.csv --export splits           write splits/train.csv, validation.csv, test.csv, skipped.csv
  elekit train embedding --data splits/train.csv --out runs/mine
  elekit train surrogate --artifact runs/mine --data splits/train.csv --input text
  elekit train repeats --artifact runs/mine --data splits/train.csv
  elekit evaluate --artifact runs/mine --data splits/test.csv --candidates splits/train.csv
  elekit correct --artifact molecules7 --rules rules.json --data molecules7 --out runs/corrected
  elekit card --artifact molecules7            a page for those who must sign the loss off
  elekit decode --artifact molecules7 "The molecule is an ether ..."
  elekit decode --artifact molecules7 --sets 0.9 "..."   not one answer, but all that it may be, at 90 %
  elekit evaluate --artifact qm9 --data my.csv
  elekit evaluate --artifact qm9 --data my.csv --oracle --method gradient --starts 16

exit status: 0 done, 1 refused (one sentence says why), 2 wrong usage, 130 interrupted (what was reached is kept)
"""

SOURCE = "molecules7, qm9, or a csv, tsv or parquet file"


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="elekit", description=OVERVIEW, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    about = "read a data set, split it, and say what was left out and why"
    data = commands.add_parser("data", help=about, description=_sentence(about))
    data.add_argument("data", help=SOURCE)
    _data_options(data)
    data.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write train, validation, test and skipped rows as csv files"
    )
    _finish(data, sources.report)

    about = "learn a loss (embedding), regress on one (surrogate), or learn one again to see what stays (repeats)"
    train = commands.add_parser("train", help=about, description=_sentence(about))
    stages = train.add_subparsers(dest="stage", required=True, metavar="STAGE")
    _embedding(stages)
    _surrogate(stages)
    _repeats(stages)

    _correct(commands)

    about = "decode graphs from inputs"
    decode = commands.add_parser("decode", help=about, description=_sentence(about))
    decode.add_argument(
        "inputs",
        nargs="*",
        help="what h reads: texts, SMILES, or vectors as numbers with commas; none: one a line from standard input",
    )
    decode.add_argument("--seed", type=int, default=0, help="of random starts (default: %(default)s)")
    _artifact_options(decode)
    _finish(decode, evaluating.decode)

    about = "decode a test set, and judge what came out"
    evaluate = commands.add_parser("evaluate", help=about, description=_sentence(about))
    evaluate.add_argument(
        "--data",
        required=True,
        help="molecules7 or qm9 (their test split), or a csv, tsv or parquet file (all of its rows)",
    )
    _data_options(evaluate, "the graphs that are drawn and of random starts; the split is that of the training")
    _artifact_options(evaluate)
    evaluate.add_argument(
        "--oracle", action="store_true", help="decode from psi(y), the true embedding: how decodable is the loss?"
    )
    evaluate.add_argument(
        "--limit",
        type=int,
        help="at most so many graphs, drawn with --seed (default: 1000 of a named set, all of a file)",
    )
    evaluate.add_argument(
        "--randomize", action="store_true", help="write SMILES inputs anew, along random paths, before h reads them"
    )
    evaluate.add_argument(
        "--timeout", type=float, default=10.0, help="seconds a pair for an edit distance (default: %(default)s)"
    )
    evaluate.add_argument("--table", type=Path, metavar="CSV", help="write one row a prediction to this file")
    _finish(evaluate, evaluating.evaluate)

    _card(commands)
    return whole


def _card(commands):
    about = "write a loss card: one HTML file that says what a loss rewards, how sure that is, and how it was found"
    card = commands.add_parser("card", help=about, description=_sentence(about))
    card.add_argument(
        "--artifact", type=Path, required=True, metavar="FOLDER", help="a learned loss: a folder, molecules7 or qm9"
    )
    card.add_argument(
        "--data", help=f"what it was trained on: {SOURCE} (default: the data set that a shipped loss is called after)"
    )
    _data_options(card, "all that is drawn; the split is that of the training")
    card.add_argument(
        "--whole", action="store_true", help="--data is a file of test cases alone: all of its rows are judged"
    )
    card.add_argument(
        "--surrogate", metavar="NAME", help="which h of the artifact predicts (default: the one that fits)"
    )
    card.add_argument(
        "--repeats", type=Path, metavar="FOLDER", help="other trainings (default: those that lie in the artifact)"
    )
    card.add_argument(
        "--compare", type=Path, metavar="OLD", help="an older card, or an older artifact: what changed?"
    )
    card.add_argument(
        "--out",
        type=Path,
        default=Path("card.html"),
        metavar="HTML",
        help="where the card goes (default: %(default)s)",
    )
    _finish(card, carding.card)


def _embedding(stages):
    about = "learn psi, the loss, from graphs alone"
    embedding = stages.add_parser("embedding", help=about, description=_sentence(about))
    embedding.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the artifact goes")
    embedding.add_argument(
        "--dim", type=int, default=256, help="dimensions of the space psi maps into (default: %(default)s)"
    )
    embedding.add_argument("--hidden", type=int, default=96, help="width of psi's node states (default: %(default)s)")
    _fit_options(embedding, training.embedding)


def _backbone(text: str) -> str:
    family, _, name = text.partition(":")
    if text not in BACKBONES and not (family == "hf" and name):
        raise argparse.ArgumentTypeError(f"no backbone {text!r}; there are {', '.join(BACKBONES)} and hf:NAME")
    return text


def _surrogate(stages):
    about = "learn h, from inputs to points of psi's sphere"
    surrogate = stages.add_parser("surrogate", help=about, description=_sentence(about))
    surrogate.add_argument(
        "--artifact", type=Path, required=True, metavar="FOLDER", help="the loss to regress on; h is added to it"
    )
    surrogate.add_argument("--name", help="name of this h in the artifact (default: that of its input)")
    surrogate.add_argument(
        "--backbone",
        type=_backbone,
        metavar=f"{{{','.join(BACKBONES)},hf:NAME}}",
        help="how h reads its inputs (default: what suits them); hf:NAME is an encoder of Hugging Face, which wants a "
        "small --learning-rate such as 3e-5",
    )
    surrogate.add_argument("--width", type=int, default=128, help="width of the backbone (default: %(default)s)")
    surrogate.add_argument(
        "--through",
        choices=THROUGH,
        default="point",
        help="what h ends in: a point of the sphere, or a relaxed graph that psi embeds, which is far more exact where "
        "places of the input become nodes, as in SMILES; few pairs (up to 1,000) make four beginnings there, and what "
        "goes on is the best on validation (default: %(default)s)",
    )
    _fit_options(surrogate, training.surrogate)


def _repeats(stages):
    about = "learn psi again with the same settings, to see which statements about the loss hold each time"
    repeats = stages.add_parser("repeats", help=about, description=_sentence(about))
    repeats.add_argument(
        "--artifact", type=Path, required=True, metavar="FOLDER", help="the loss to repeat; repeats are added to it"
    )
    repeats.add_argument("--data", required=True, help=f"what it was trained on: {SOURCE}")
    _columns(repeats)
    repeats.add_argument("--seeds", type=int, default=2, help="repeats with another seed (default: %(default)s)")
    repeats.add_argument(
        "--halves", type=int, default=2, help="repeats on a random half of the graphs (default: %(default)s)"
    )
    _training_options(repeats, training.repeats)


def _correct(commands):
    about = "train a learned loss to keep rules and judgments, and tell what that cost elsewhere"
    correct = commands.add_parser("correct", help=about, description=_sentence(about))
    correct.add_argument(
        "--artifact",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the loss to correct: a folder, molecules7 or qm9",
    )
    correct.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the new artifact goes")
    correct.add_argument(
        "--rules",
        type=Path,
        metavar="JSON",
        help='a list of rules such as {"rule": "nearly free", "kinds": ["relabel C to N"]}, '
        '{"rule": "at least", "kinds": ["close a ring *"], "times": 2} or {"rule": "grows"}',
    )
    correct.add_argument(
        "--judgments", type=Path, metavar="JSONL", help="judgments, as the widget elekit.widgets.judge writes them"
    )
    correct.add_argument(
        "--weight", type=float, default=1.0, help="of the rules and judgments (default: %(default)s)"
    )
    correct.add_argument(
        "--decoded",
        type=int,
        default=100,
        help="held-out graphs that are decoded, each way; 0: none (default: %(default)s)",
    )
    correct.add_argument(
        "--refit", action="store_true", help="train the h that reads these data on, until it fits the corrected loss"
    )
    _fit_options(correct, correcting.correct)


def _fit_options(stage, run):
    stage.add_argument("--data", required=True, help=SOURCE)
    _data_options(stage)
    stage.add_argument("--steps", type=int, help="training steps (default: the library's)")
    stage.add_argument("--batch-size", type=int, help="graphs or pairs a step (default: the library's)")
    stage.add_argument("--learning-rate", type=float, help="peak learning rate (default: the library's)")
    stage.add_argument(
        "--fast", action="store_true", help="bfloat16 inside matrix products, where the processor has it"
    )
    _training_options(stage, run)


def _training_options(stage, run):
    stage.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    stage.add_argument("--by", metavar="NAME", help="who trains, to be recorded in the artifact (default: nobody is)")
    stage.epilog = "Ctrl-C keeps what was reached; the same command goes on from there."
    _finish(stage, run)


def _data_options(command, random: str = "the split and of all that is random"):
    _columns(command)
    command.add_argument("--seed", type=int, default=0, help=f"of {random} (default: %(default)s)")


def _columns(command):
    outputs = command.add_mutually_exclusive_group()
    outputs.add_argument(
        "--smiles", metavar="COLUMN", help="column of a table with molecules as SMILES (default: smiles)"
    )
    outputs.add_argument("--graph", metavar="COLUMN", help="column of a table with graphs as node-link JSON")
    command.add_argument(
        "--input",
        action="append",
        metavar="COLUMN",
        help="column of a table with what h reads (given several times: numbers of a vector; default: the SMILES as "
        "written); of molecules7: description or smiles",
    )


def _artifact_options(command):
    command.add_argument(
        "--artifact", type=Path, required=True, metavar="FOLDER", help="a learned loss: a folder, molecules7 or qm9"
    )
    command.add_argument("--surrogate", metavar="NAME", help="which h of the artifact (default: the one that fits)")
    command.add_argument(
        "--method",
        help="candidates, candidates+polish, gradient, gradient+polish, rounded or rounded+polish (default: "
        "rounded+polish of an h that goes through a graph; else candidates+polish where there are candidates, else "
        "gradient+polish)",
    )
    command.add_argument(
        "--candidates",
        metavar="DATA",
        help="graphs to choose from: molecules7, qm9 (training split) or a file, 'none' for none "
        "(default: what a shipped psi was trained on, if it is at hand)",
    )
    command.add_argument(
        "--candidates-column", metavar="COLUMN", help="column of that file (default: smiles; graph if no molecules)"
    )
    command.add_argument("--starts", type=int, help="gradient descents of each target (default: 4)")
    command.add_argument("--iterations", type=int, help="gradient steps (default: 100)")
    command.add_argument(
        "--rule",
        help="step rule: euclidean (the paper's), euclidean-plain, euclidean-adam, exponentiated or adam "
        "(default: euclidean)",
    )
    command.add_argument("--beam", type=int, help="graphs kept by the polish (default: 2)")
    command.add_argument(
        "--sets",
        type=float,
        metavar="LEVEL",
        help="also sets of graphs that hold the truth in so many cases: 0.9 for 90 %%",
    )
    command.add_argument(
        "--calibrate",
        metavar="FILE",
        help="pairs that nothing was learned from, which --sets needs: a csv, tsv or parquet file with the columns that h "
        "was trained on (default: the validation split of what a shipped h was trained on)",
    )
    command.add_argument(
        "--budget-ms", type=float, help="milliseconds for a batch of 256 targets; the best answer so far comes back"
    )


def _sentence(about: str) -> str:
    return about[0].upper() + about[1:] + "."


def _finish(command, run):
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command.set_defaults(run=run)
