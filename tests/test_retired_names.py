"""Names and words that the project has given up: `python tests/test_retired_names.py [folder]` lists what is left of them."""

import importlib
import io
import json
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("elekit", "benchmarks", "data/build", "notebooks")
SUFFIXES = {".py", ".js", ".css", ".j2", ".ipynb", ".md"}
SKIPPED = {"node_modules", "__pycache__", ".ipynb_checkpoints", "runs", ".jupyter"}

# Kept as they are: strings of file formats that shipped files hold, and names of other libraries.
KEPT = re.compile(r"artefact\.json|\"judgements\b|labelleft|edit_distance_unlabelled|Colour and Vision")

# American spelling, in names and in prose, inside of words too.
SPELLING = re.compile(
    r"artefact|colour|neighbour|judgement|behaviour|favour|labell|modell|cancell|catalogue|licence|programme\b|analys(?:e[drs]?|ing)\b"
    r"|(?<![a-z])grey|(?<![a-z])centr(?:e|ed|es|ing)(?![a-z])|barycentre"
    r"|(?:normal|symmetr|random|memor|kekul|canonical|summar|recogn|organ|minim|maxim|sanit|standard|general|optim|initial"
    r"|visual|serial|special|character|penal|categor|emphas|discret|vector|token|regular|parametr|local|neutral|real)"
    r"is(?:e[drs]?|ing|ations?|able)(?![a-z])",
    re.I,
)
# Identifiers, whole ones.
NAMES = {
    "LoopConfig",
    "PolishConfig",
    "PriceList",
    "PartShares",
    "Exam",
    "Telling",
    "told",
    "telling",
    "asking",
    "asks",
    "wishes",
    "wish",
    "put_right",
    "sameness",
    "standing",
    "said_of_loss",
    "said_of_use",
    "excess",
    "described",
    "rebuilt",
    "price_list",
    "neighbours_kept",
    "exam",
    "sit",
    "at_hand",
}
NAME_PARTS = re.compile(r"(?:^|_)(?:told|said|asked|wants|wishes|stood|stands|artefacts?)(?:_|$)")
# Words of prose, in docstrings, comments, messages, notebooks and pages.
WORDS = re.compile(
    r"\b(?:told of|tells of|(?:is|are|was|not) told(?! apart)|put right|sits? an exam|wish(?:es)? of|is asked for|goes on"
    r"|stands? (?:in|at|there)"
    r"|floor \d|that are there|for what is none|of those that|said of (?:loss|use))\b",
    re.I,
)
# Files: the modules that were renamed, by folder.
STEMS = {
    "": {
        "chem",
        "project",
        "refinement",
        "metrics",
        "release",
        "repeats",
        "train",
        "recipes",
        "lessons",
        "dashboard",
        "benchmark",
    },
    "model": {"making", "offsets", "release"},
    "decoding": {"polish", "steps", "teaching"},
    "training": {"repeats"},
    "inspect": {"asking", "around", "wishes", "shares", "prices", "scan", "spread", "words", "traits"},
    "audit": {"sameness", "memory", "places", "basis", "blindness", "answers", "weights", "blindspots", "columns"},
    "card": {"said_of_loss", "said_of_use", "shown", "measured", "elements", "subject", "wording"},
    "correction": {"exam", "judgements"},
    "evaluation": {"asking", "universes", "naming"},
}


def files(under=""):
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and not SKIPPED & set(path.parts):
                yield path
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md") if (ROOT / name).exists())


def text_of(path):
    """What a person writes in a file: of a notebook the cells alone, one after the other."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def retired_in(text, python=False):
    """(line number, what) of each retired spelling, word, and, in Python, identifier."""
    for number, line in enumerate(text.splitlines(), 1):
        line = KEPT.sub("", line)
        for pattern in (SPELLING, WORDS):
            yield from ((number, match[0]) for match in pattern.finditer(line))
    if python:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and (token.string in NAMES or NAME_PARTS.search(token.string.lower())):
                yield token.start[0], token.string


def offenders(under=""):
    """Lines `file:line: what`, of the files below a folder."""
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(under):
            for line, what in sorted(set(retired_in(text_of(path), path.suffix == ".py"))):
                yield f"{name}:{line}: {what}"


def retired_files():
    for folder, stems in STEMS.items():
        below = (ROOT / "elekit" / folder).rglob("*.py") if folder else (ROOT / "elekit").glob("*")
        yield from (path.relative_to(ROOT).as_posix() for path in below if path.stem in stems)


def dotted_names():
    """(file, name) of each dotted name of the package in any text: `elekit.graphs.Graph`."""
    for path in files():
        for name in sorted(set(re.findall(r"(?<![\w./-])elekit(?:\.[A-Za-z_]\w*)+", text_of(path)))):
            yield path.relative_to(ROOT).as_posix(), name


def resolves(name):
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(value, part):
                return part in getattr(value, "__annotations__", {})
            value = getattr(value, part)
        return True
    return False


def test_the_search_finds_them():
    source = 'def told(x):  # a Colour of the artefact in artefact.json\n    """It is put right."""\n    said_so = normalise(x)\n'
    assert sorted(set(retired_in(source, python=True))) == [
        (1, "Colour"), (1, "artefact"), (1, "told"), (2, "put right"), (3, "normalise"), (3, "said_so"),
    ]  # fmt: skip
    assert list(retired_in("colors = normalized(labels); otherwise, precise, centered", python=True)) == []
    assert resolves("elekit.load") and not resolves("elekit.nowhere.from_smiles")


PLACES = ("elekit", "benchmarks", "data/build", "notebooks", "README.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("under", PLACES)
def test_no_retired_name_is_left(under):
    assert list(offenders(under)) == []


def test_no_module_has_a_retired_name():
    assert list(retired_files()) == []


def test_dotted_names_of_the_package_exist():
    assert [(path, name) for path, name in dotted_names() if not resolves(name)] == []


if __name__ == "__main__":
    under = sys.argv[1].rstrip("/") if sys.argv[1:] else ""
    left = [*offenders(under), *(f"{path}: file name" for path in retired_files() if path.startswith(under))]
    left += [
        f"{path}: {name} does not exist"
        for path, name in dotted_names()
        if path.startswith(under) and not resolves(name)
    ]
    print(*left, f"{len(left)} left", sep="\n")
