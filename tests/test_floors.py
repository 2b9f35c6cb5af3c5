"""Which way imports run: within a folder of the package, or to a folder below it. There are no exceptions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "elekit"
FLOORS = (  # from the lowest up
    "graphs", "datasets", "model", "decoding", "training", "evaluation", "inspect", "draw", "audit", "correction",
    "operation", "widgets", "card", "cli",
)  # fmt: skip
DOOR = ""  # elekit/__init__.py: above all floors
OUTSIDE = {"benchmarks", "notebooks", "data"}  # folders beside the package
OUTSIDE |= {path.stem for path in (ROOT / "data" / "build").glob("*.py")} | {
    "checks",
    "dashboard",
}  # as they are imported


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def folder(module):
    return module.split(".")[0]


def attributes_of(names, tree):
    """x of each `name.x` in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield node.attr


def imported(source, module="", is_package=False):
    """(module, name or None) of each import in a source, anywhere in it; relative ones are resolved."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name != "elekit")
            doors = {alias.asname or "elekit" for alias in node.names if alias.name == "elekit"}
            yield from (("elekit", name) for name in attributes_of(doors, tree))  # what is taken through the door
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["elekit", *filter(None, module.split("."))]
                here = here[: len(here) - node.level + is_package]
                base = ".".join([*here, *filter(None, [node.module])])
            yield from ((base, alias.name) for alias in node.names)


def imports(source, module="", is_package=False, modules=MODULES):
    """Modules of the package that a source imports: names without the leading `elekit`."""
    found = set()
    for base, name in imported(source, module, is_package):
        if base.split(".")[0] != "elekit" or (base, name) == ("elekit", "__version__"):
            continue
        inner = base.removeprefix("elekit").lstrip(".")
        longer = f"{inner}.{name}".lstrip(".")
        found.add(longer if name and longer in modules else inner)
    return found - {module}


GRAPH = {
    module: imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
    for module, path in MODULES.items()
}


def allowed(module, target):
    """Modules of one folder may import each other."""
    return target != DOOR and FLOORS.index(folder(target)) <= FLOORS.index(folder(module))


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
    modules = {"", "graphs", "datasets", "datasets.reading", "graphs.smiles"}
    for source, expected in {
        "import elekit.graphs": {"graphs"},
        "import elekit\nelekit.__version__": set(),
        "import elekit\nelekit.load()": {""},
        "import elekit as ele\nele.graphs.edits": {"graphs"},
        "from elekit import graphs, model": {"graphs", ""},
        "from elekit import __version__": set(),
        "from elekit.graphs import Graph": {"graphs"},
        "from elekit.graphs import smiles": {"graphs.smiles"},
        "def f():\n    from elekit.graphs import smiles": {"graphs.smiles"},
        "from . import splits, reading": {"datasets", "datasets.reading"},
        "from .reading import x": {"datasets.reading"},
        "from ..graphs import Graph": {"graphs"},
        "import torch, elekitchen\nfrom torch import graphs": set(),
    }.items():
        assert imports(source, "datasets.frame", modules=modules) == expected, source
    assert imports("from .reading import x", "datasets", True, modules) == {"datasets.reading"}


def test_every_folder_has_a_floor():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "_data")}
    assert folders == set(FLOORS)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py"}


def test_imports_go_down():
    edges = [(module, target) for module, targets in GRAPH.items() for target in targets]
    assert ("training.surrogate", "training.loop") in edges
    wrong = [f"elekit.{m} imports elekit.{t}" for m, t in edges if m != DOOR and not allowed(m, t)]
    assert wrong == []


def test_no_import_closes_a_circle():
    assert [module for module in MODULES if module != DOOR and module in reached(module)] == []


def test_the_package_imports_nothing_beside_it():
    wrong = [
        f"elekit.{module} imports {base}"
        for module, path in MODULES.items()
        for base, _ in imported(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
        if base.split(".")[0] in OUTSIDE
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [m for m in MODULES if m == "model.loss" or folder(m) == "decoding"])
def test_loss_and_decoding_take_any_psi(module):
    reaches = reached(module)
    assert "model.embedding" not in reaches
    assert not any(name.startswith("model.surrogate") for name in reaches)
