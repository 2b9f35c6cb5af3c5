"""Assemble the browser side of a widget or page from its ES modules and style sheets; no bundler and no network.

Modules follow three rules, checked here, which keep the assembly exact without parsing JavaScript:

1. All imports are named and relative, `import { a, b as c } from "./other.js";`, and come before any code.
2. The only export is the last statement, `export { a, b };`.
3. No other line starts with `import` or `export`.
"""

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_NAMES = r"\{([\w$,\s]*)\}"
_IMPORT = re.compile(rf'^import {_NAMES} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(rf"^export {_NAMES};\n\Z", re.MULTILINE)
_OTHER = re.compile(r"^(import|export)\b.*", re.MULTILINE)


def script(entry: Path) -> str:
    """One ES module that holds `entry` and everything it imports, each module in a scope of its own.

    The default export is an object of the exports of `entry`, as anywidget expects of an entry that ends in
    `export { render };`. Raises a ValueError if a module breaks a rule, imports an unknown name, or is in a cycle.
    """
    exports: dict[Path, set[str]] = {}
    parts: list[str] = []
    _append(entry.resolve(), (), exports, parts)
    return "\n".join([*parts, f"export default {_variable(entry.resolve(), exports)};\n"])


def style(*names: str) -> str:
    """One style sheet: the rules that all widgets share, then the named sheets of `static`."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("shared.css", *names))


def _append(path: Path, importing: tuple[Path, ...], exports: dict[Path, set[str]], parts: list[str]) -> None:
    """Append a module to `parts`, after the modules it imports."""
    if path in importing:
        raise ValueError(f"{path.name} imports itself through {' -> '.join(p.name for p in importing)}")
    if path in exports:
        return
    code, imports = path.read_text(encoding="utf-8"), []
    for found in _IMPORT.finditer(code):
        source = (path.parent / found[2]).resolve()
        _append(source, (*importing, path), exports, parts)
        names = _list(found[1])
        missing = sorted({name.split(" as ")[0] for name in names} - exports[source])
        if missing:
            raise ValueError(f"{path.name} imports {', '.join(missing)} from {source.name}, which does not export it")
        members = ", ".join(name.replace(" as ", ": ") for name in names)
        imports.append(f"const {{ {members} }} = {_variable(source, exports)};")
    exported = _EXPORT.search(code)
    names = _list(exported[1]) if exported else []
    code = _EXPORT.sub("", _IMPORT.sub("", code))
    other = _OTHER.search(code)
    if other:
        raise ValueError(f"{path.name}: cannot bundle {other[0]!r}; see the rules in {Path(__file__).name}")
    exports[path] = set(names)
    body = "\n".join([*imports, code.strip(), f"return {{ {', '.join(names)} }};"])
    parts.append(f"const {_variable(path, exports)} = (() => {{\n{body}\n}})();")


def _list(names: str) -> list[str]:
    return [" ".join(name.split()) for name in names.split(",") if name.strip()]


def _variable(path: Path, exports: dict[Path, set[str]]) -> str:
    """The constant that holds a module's exports; numbered, because two folders may use the same file name."""
    return f"${list(exports).index(path)}_{path.stem}"
