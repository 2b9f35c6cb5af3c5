"""Which way the imports run: a module imports only from floors below its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "elekit"
FLOORS = {  # modules, and folders as a whole
    0: "files project graph",
    1: "datasets augment chem edits metrics refinement distances",
    2: "embedding contrastive loss surrogate training decoding",
    3: "train repeats evaluation release inspect draw correction conformal",
    4: "cli widgets recipes lessons dashboard card",
}
DOOR = ""  # elekit/__init__.py: above all floors
# Imports within a floor, each for a reason; none of them may close a circle.
SAME_FLOOR = {
    ("graph", "project"),  # Graph.symmetrised is a projection
    ("datasets", "chem"),  # a column of SMILES is read as graphs
    ("distances", "chem"),  # the fingerprints of the Tanimoto distance are those of molecules
    ("distances", "metrics"),  # the edit distance
    ("distances", "refinement"),  # the colours that the Weisfeiler-Lehman kernel counts
    ("cli", "card"),  # `elekit card`
    ("recipes", "cli"),  # the corrected loss is what `elekit correct` makes
    ("recipes", "card"),  # the card that comes along
    ("card", "widgets"),  # what the card shows of them without a kernel
    ("decoding", "loss"),  # what is minimised is the learned loss
    ("surrogate", "loss"),  # an h may go through a graph, which psi embeds
    ("correction", "train"),  # a loss is corrected by training it on
    ("correction", "inspect"),  # rules are about the price list
    ("correction", "evaluation"),  # what it costs elsewhere
    ("conformal", "inspect"),  # intervals, slices, words of figures
    ("repeats", "train"),  # a training is what is repeated
    ("repeats", "release"),  # beside the artefact that tells its settings
}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def folder(module):
    return module.split(".")[0]


def floor(module):
    """The floor of a module; None for one that the table lacks."""
    if module == DOOR:
        return 5
    return next((number for number, names in FLOORS.items() if folder(module) in names.split()), None)


def attributes_of(names, tree):
    """x of each `name.x` in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield node.attr


def imports(source, module="", is_package=False, modules=MODULES):
    """Modules of the package that a source imports, anywhere in it: names without the leading `elekit`."""
    found, tree = set(), ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [(alias.name, None) for alias in node.names if alias.name != "elekit"]
            doors = {alias.asname or "elekit" for alias in node.names if alias.name == "elekit"}
            targets += [("elekit", name) for name in attributes_of(doors, tree)]  # what is taken through the door
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["elekit", *filter(None, module.split("."))]
                here = here[: len(here) - node.level + is_package]
                base = ".".join([*here, *filter(None, [node.module])])
            targets = [(base, alias.name) for alias in node.names]
        else:
            continue
        for base, name in targets:
            if base.split(".")[0] != "elekit" or (base, name) == ("elekit", "__version__"):
                continue
            inner = base.removeprefix("elekit").lstrip(".")
            longer = f"{inner}.{name}".lstrip(".")
            found.add(longer if name and longer in modules else inner)
    return found - {module}


def edges():
    for module, path in MODULES.items():
        for target in imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"):
            yield module, target


GRAPH = {module: set() for module in MODULES}
for source, target in edges():
    GRAPH[source].add(target)


def allowed(module, target):
    """Modules of one folder may import each other."""
    above, below = floor(module), floor(target)
    if above is None or below is None:
        return False
    pair = folder(module), folder(target)
    return below < above or pair[0] == pair[1] or (below == above and pair in SAME_FLOOR)


def reached(module):
    """Everything that importing a module imports in turn."""
    seen, todo = set(), [module]
    while todo:
        for target in GRAPH.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def test_the_walk_sees_every_way_to_import():
    modules = {"", "graph", "datasets", "datasets.reading", "chem"}
    for source, expected in {
        "import elekit.graph": {"graph"},
        "import elekit\nelekit.__version__": set(),
        "import elekit\nelekit.load()": {""},
        "import elekit as ele\nele.chem.valence": {"chem"},
        "from elekit import graph, chem": {"graph", "chem"},
        "from elekit import load": {""},
        "from elekit import __version__": set(),
        "from elekit.graph import Graph": {"graph"},
        "from elekit.datasets import reading": {"datasets.reading"},
        "def f():\n    from elekit import chem": {"chem"},
        "from . import splits, reading": {"datasets", "datasets.reading"},
        "from .reading import x": {"datasets.reading"},
        "from ..graph import Graph": {"graph"},
        "import torch, elekitchen\nfrom torch import graph": set(),
    }.items():
        assert imports(source, "datasets.frame", modules=modules) == expected, source
    assert imports("from .reading import x", "datasets", True, modules) == {"datasets.reading"}


def test_every_module_has_a_floor():
    assert len(MODULES) > 10 and "datasets.reading" in MODULES
    assert [module for module in MODULES if floor(module) is None] == []


def test_imports_go_down():
    assert ("train.surrogate", "training") in set(edges())
    wrong = [f"{m or 'elekit'} imports {t or 'elekit'}" for m, t in edges() if m != DOOR and not allowed(m, t)]
    assert wrong == []


def test_no_import_closes_a_circle():
    assert [module for module in MODULES if module != DOOR and module in reached(module)] == []


def test_every_declared_exception_is_needed():
    assert {(folder(module), folder(target)) for module, target in edges()} >= SAME_FLOOR


@pytest.mark.parametrize("module", [m for m in MODULES if folder(m) in ("loss", "decoding")])
def test_loss_and_decoding_take_any_psi(module):
    assert reached(module) & {"embedding", "surrogate"} == set()


HEAVY = ("matplotlib", "ipywidgets", "IPython", "rdkit", "pandas", "pyarrow", "scipy", "sklearn", "umap", "pooch")


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, elekit; print([name for name in {HEAVY} if name in sys.modules], elekit.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] elekit", ran.stderr
