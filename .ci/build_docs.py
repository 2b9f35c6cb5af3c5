"""The API reference, from docstrings: `python .ci/build_docs.py FOLDER`. Reads nothing from the network."""

import importlib
import pkgutil
import sys
from pathlib import Path

import pdoc

import elekit

packages = [elekit.__name__, *(m.name for m in pkgutil.walk_packages(elekit.__path__, "elekit.") if m.ispkg)]
for package in packages:  # pdoc does not see names that load when they are first used
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))
pdoc.render.configure(docformat="google", footer_text=f"elekit {elekit.__version__}")
pdoc.pdoc("elekit", output_directory=Path(sys.argv[1]))
