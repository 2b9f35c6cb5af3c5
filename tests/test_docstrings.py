"""Public names are documented in Google style: `python tests/test_docstrings.py [folder]` lists what is missing.

Public are the names in the `__all__` of elekit and of its packages, and the public methods and properties of the classes
among them. Arguments need a section `Args:` (a class may use `Attributes:`), results `Returns:` or `Yields:`.
"""

import dataclasses
import enum
import functools
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import elekit

ARGUMENTS = r"^(Args|Attributes):$"
RESULTS = r"^(Returns|Yields):$"


def packages():
    """elekit and its packages."""
    found = [module.name for module in pkgutil.walk_packages(elekit.__path__, "elekit.") if module.ispkg]
    return ["elekit", *sorted(found)]


def public():
    """(name, object) of each public function and class, once."""
    seen = set()
    for package in reversed(packages()):  # the home of a name before the door of elekit
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            home = getattr(value, "__module__", "") or ""
            if callable(value) and home.startswith("elekit") and id(value) not in seen:
                seen.add(id(value))
                yield f"{package}.{name}", value


def function_of(value):
    """The function behind decorators of functions and methods; None for anything else."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    function = inspect.unwrap(value) if callable(value) else None
    made_elsewhere = not (getattr(function, "__module__", "") or "").startswith(("elekit", __name__))
    return None if made_elsewhere else function  # such as matplotlib's `set`


def returns_something(function):
    annotation = inspect.signature(function).return_annotation
    return annotation not in (None, "None", inspect.Signature.empty, "NoReturn", "Never")


def faults_of_text(text, takes, gives):
    """What a docstring lacks."""
    if not (text or "").strip():
        return ["docstring"]
    lines = inspect.cleandoc(text)
    found = []
    if takes and not re.search(ARGUMENTS, lines, re.M):
        found.append("Args:")
    if gives and not re.search(RESULTS, lines, re.M):
        found.append("Returns:")
    return found


def faults_of_function(function, text=None):
    parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
    return faults_of_text(text or function.__doc__, bool(parameters), returns_something(function))


def inherited(cls, name):
    """The docstring of a member, or that of the member of elekit that it overrides."""
    for base in cls.__mro__:
        member = base.__dict__.get(name)
        if base.__module__.startswith("elekit") and getattr(member, "__doc__", None):
            return member.__doc__
    return None


def faults_of_class(cls, name):
    """(name, what it lacks) of a class and its public members."""
    documented = cls.__doc__
    if dataclasses.is_dataclass(cls):
        takes = bool(dataclasses.fields(cls))
        documented = documented if not (documented or "").startswith(f"{cls.__name__}(") else None  # generated
    elif issubclass(cls, (enum.Enum, BaseException)):
        takes = False
    else:
        init = cls.__dict__.get("__init__")
        takes = init is not None and len(inspect.signature(init).parameters) > 1
        documented = f"{documented or ''}\n{inspect.cleandoc(init.__doc__ or '') if takes else ''}"
    yield name, faults_of_text(documented, takes, False)
    for base in cls.__mro__:
        if not base.__module__.startswith("elekit"):
            continue
        for member, value in base.__dict__.items():
            if member.startswith("_") or next(b for b in cls.__mro__ if member in b.__dict__) is not base:
                continue
            place = f"{name}.{member}" if base is cls else f"{base.__module__}.{base.__qualname__}.{member}"
            if isinstance(value, (property, functools.cached_property)):
                yield place, faults_of_text(inherited(cls, member), False, False)
            elif not isinstance(value, type) and inspect.isfunction(function_of(value)):
                yield place, faults_of_function(function_of(value), inherited(cls, member))


def offenders():
    """{name: what its documentation lacks}."""
    found = {}
    for name, value in public():
        if inspect.isclass(value):
            found.update({place: faults for place, faults in faults_of_class(value, name) if faults})
        elif function := function_of(value):
            faults = faults_of_function(function)
            found.update({name: faults} if faults else {})
    return found


def test_the_check_sees_what_is_missing():
    def undocumented(x): ...

    def no_sections(x) -> int:
        """Text."""

    def complete(x) -> int:
        """Text.

        Args:
            x: A number.

        Returns:
            Another one.
        """

    def nothing_to_say() -> None:
        """Text."""

    assert faults_of_function(undocumented) == ["docstring"]
    assert faults_of_function(no_sections) == ["Args:", "Returns:"]
    assert faults_of_function(complete) == faults_of_function(nothing_to_say) == []


def test_public_names_have_docstrings_with_sections():
    assert offenders() == {}


def test_the_api_reference_is_built_offline(tmp_path):
    """Every package has a page; pages load nothing from other machines."""
    root = Path(elekit.__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, root / ".ci" / "build_docs.py", tmp_path], cwd=root, check=True, capture_output=True
    )
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    assert {f"{package.replace('.', '/')}.html" for package in packages()} <= set(pages)
    assert "fit_embedding" in pages["elekit/training.html"] and "Arguments:" in pages["elekit/graphs.html"]
    loaded = re.compile(r"<(?:script|img|iframe)[^>]* src=(?!.data:)|<link[^>]* href=|url\(['\"]?http|@import")
    assert [name for name, page in pages.items() if loaded.search(page)] == []


if __name__ == "__main__":
    folder = sys.argv[1].strip("/").removeprefix("elekit/") if sys.argv[1:] else ""
    missing = {name: faults for name, faults in offenders().items() if f".{folder}" in name}
    for name, faults in sorted(missing.items()):
        print(f"{name}: {', '.join(faults)}")
    print(f"{len(missing)} public names lack documentation")
