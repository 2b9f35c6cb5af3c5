"""Files of other programs as tables: what can be read without guessing, and why the rest cannot."""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree
from xml.parsers import expat

import networkx as nx
import pandas as pd

from elekit.datasets import conllu, files
from elekit.datasets.strict_json import parse_json
from elekit.graphs._optional import extra
from elekit.graphs.graph import short
from elekit.graphs.smiles import is_readable_size

Table = tuple[pd.DataFrame, dict[int, str]]  # the rows, and why some of them cannot be read
Reader = Callable[[bytes, str], Table]  # of the content of a file and the ending of its name

ROW = "row"  # first column of exported tables: numbers of the rows of the source
MAX_BYTES = 2**30  # of a file, decompressed
MAX_DEPTH = 50  # of XML
SAMPLE = 100  # records that must agree with the header about the separator
SEPARATORS = (",", ";", "\t", "|")
COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
EMPTY = b"\n\n\n  0  0  0     0  0            999 V2000\nM  END\n"  # a record of SD files without atoms
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # how cells begin that a spreadsheet may compute, or that are quoted
BINARY = (  # how files begin that are no text
    (b"PK\x03\x04", "an Excel or zip file; save the sheet as csv"),
    (b"\xd0\xcf\x11\xe0", "an Excel file; save the sheet as csv"),
    (b"PAR1", "a parquet file; name it .parquet"),
    (b"\x1f\x8b", "a gzip file; end its name in .gz"),
    (b"\x80", "a pickle, which can run code; save the table as csv or parquet"),
)
BROKEN = (
    ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, RecursionError, csv.Error, zlib.error,
    lzma.LZMAError, nx.NetworkXError, expat.ExpatError, ElementTree.ParseError,
)  # fmt: skip


def read_file(path: Any, reader: Reader | None = None) -> Table:
    """Read a file by the ending of its name, or with a given reader.

    Returns the rows, and by row number the reasons why some cannot be read; these have empty cells. Raises a
    ValueError of one line that names the file, the problem and a fix.
    """
    path = Path(path)
    if not path.is_file():  # a pipe may never end
        raise FileNotFoundError(f"no file {path}{' but a folder' if path.is_dir() else ''}")
    suffixes = [s.lower() for s in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSED else ""
    kind = suffixes[-1] if suffixes else ""
    try:
        if kind == ".parquet" and reader is None:
            return pd.read_parquet(path), {}
        with COMPRESSED.get(packed, open)(path, "rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES / 2**30:g} GiB; read it in parts and give a DataFrame")
        if not content.strip():
            raise _EmptyError
        return (reader or READERS.get(kind, _delimited))(content, kind)
    except (_EmptyError, pd.errors.EmptyDataError):
        raise ValueError(f"{path} is empty") from None
    except ModuleNotFoundError:
        raise
    except BROKEN as broken:
        problem = f"the key {broken} is missing" if isinstance(broken, KeyError) else str(broken)
        problem = " ".join(problem.split()) or type(broken).__name__
        problem = problem if len(problem) <= 300 else f"{problem[:280]}..."
        raise ValueError(f"{path} cannot be read as a table: {problem}") from None


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table whose first column is "row", so that no cell of text or name of a column is a formula.

    A spreadsheet computes cells that begin with =, +, -, @, tab or a line break; these get an apostrophe before them,
    as do those that begin with apostrophes and then so. `read_file` takes it away again where "row" is the first
    column.
    """
    assert table.columns[0] == ROW
    quoted = _apply_to_text(table, lambda text: "'" + text if FORMULA.match(text) else text)
    text = quoted.to_csv(index=False)
    if "\r" in text.replace("\r\n", "\n"):  # which csv leaves without quotes
        text = quoted.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    files.write_atomically(
        path, lambda partial: partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    )


def _unquoted(table: pd.DataFrame) -> pd.DataFrame:
    return _apply_to_text(table, lambda text: text[1:] if text[:1] == "'" and FORMULA.match(text) else text)


def _apply_to_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = table.set_axis(range(table.shape[1]), axis=1)
    for place, (_, column) in enumerate(table.items()):
        cells = column.tolist()
        new = [change(cell) if isinstance(cell, str) else cell for cell in cells]
        if any(a is not b for a, b in zip(cells, new)):
            changed[place] = pd.Series(new, index=table.index, dtype=object).infer_objects()
    return changed.set_axis([change(name) if isinstance(name, str) else name for name in table.columns], axis=1)


class _EmptyError(Exception):
    pass


def _text(content: bytes) -> str:
    for start, format in BINARY:
        if content.startswith(start):
            raise ValueError(f"it is {format}")
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        fix = "save it as UTF-8 (from Latin-1: iconv -f latin1 -t utf-8), or give pandas.read_csv(path, encoding=...)"
        raise ValueError(f"line {line} is no {encoding.upper().removesuffix('-SIG')} text; {fix}") from None
    if "\0" in text:
        raise ValueError("it has NUL characters, as UTF-16 without a mark has; save it as UTF-8")
    if not text.strip():
        raise _EmptyError
    return text


# -- delimited text ------------------------------------------------------------------------------------------------
def _delimited(content: bytes, kind: str) -> Table:
    text = _text(content)
    if re.match(r"\s*(\{|\[\s*[\[{])", text):
        raise ValueError("it looks like JSON; end its name in .json, or .jsonl for one object per line")
    if text.lstrip().startswith("<"):
        raise ValueError("it looks like XML or HTML; graphs in GraphML end in .graphml")
    native = {".csv": ",", ".tsv": "\t", ".tab": "\t"}.get(kind)
    old = csv.field_size_limit(MAX_BYTES)
    try:
        return _rectangle(text, _separator(text, native))
    finally:
        csv.field_size_limit(old)


def _records(text: str, separator: str) -> Any:
    """The records that are not blank, as lists of fields; quoted fields may have separators and several lines."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from (row for row in rows if len(row) > 1 or (row and row[0].strip()))
    except csv.Error as wrong:
        raise ValueError(f"line {rows.line_num}: {wrong}; check the quotes") from None


def _separator(text: str, native: str | None) -> str:
    """The separator of the header line, if that is clear."""
    clear, possible = [], []
    for separator in SEPARATORS:
        try:
            records = [row for row, _ in zip(_records(text, separator), range(SAMPLE + 1))]
        except ValueError:
            continue  # quotes that only another separator explains
        if len(records[0]) > 1:
            possible.append(separator)
            if all(_fields(row, len(records[0])) for row in records):
                clear.append(separator)
    found = clear or possible or [native or ","]
    if len(found) > 1 and native not in found:
        raise ValueError(f"the separator may be {' or '.join(map(repr, found))}; save it as .csv with commas")
    return found[0] if len(found) == 1 else str(native)


def _fields(row: list[str], width: int) -> list[str]:
    """The fields of a row of a table so wide, without empty ones at its end; none if it does not fit."""
    return row[:width] if len(row) >= width and not any(row[width:]) else []


def _rectangle(text: str, separator: str) -> Table:
    """A table whose rows all have the fields of the header; pandas alone would shift, fill or cut other rows."""
    records = _records(text, separator)
    header = next(records)
    width, refused, count, plain = len(header), dict[int, str](), 0, "\r" not in text
    for row in records:
        if len(row) != width:
            plain = False
            if not _fields(row, width):
                refused[count] = f"{len(row)} fields, the header has {width}"
        count += 1
    if count and len(refused) == count and width > 1:
        raise ValueError(f"its rows have {next(iter(refused.values()))}; check the separator {separator!r}")
    table = _parsed(text, separator) if plain else None
    if table is None or len(table) != count:
        clean = io.StringIO(newline="")
        writer = csv.writer(clean, delimiter=separator)
        writer.writerows(_fields(row, width) or [""] * width for row in _records(text, separator))
        table = _parsed(clean.getvalue(), separator, skip_blank_lines=False)
    if table.shape != (count, width):
        raise ValueError(f"{count} rows of {width} fields were read as {table.shape[0]} of {table.shape[1]}")
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]
    table = table.set_axis(names, axis=1)
    return _unquoted(table) if names[0] == ROW else table, refused


def _parsed(text: str, separator: str, **options: Any) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text, newline=""), sep=separator, index_col=False, low_memory=False, **options)


# -- JSON ----------------------------------------------------------------------------------------------------------
def _json(content: bytes, kind: str) -> Table:
    text, refused = _text(content), dict[int, str]()
    if kind == ".json":
        try:
            document = parse_json(text)
        except json.JSONDecodeError as wrong:
            if not wrong.msg.startswith("Extra data"):
                raise
            kind = ".jsonl"  # several objects
    if kind == ".json":
        rows = [document] if isinstance(document, dict) and "nodes" in document else document
        if not isinstance(rows, list):
            raise ValueError("it is no list of objects, one per row, as DataFrame.to_json(orient='records') writes")
    else:
        rows = []
        for line in filter(str.strip, text.splitlines() if "\n" not in text else text.split("\n")):
            try:
                rows.append(parse_json(line))
            except ValueError as wrong:
                refused[len(rows)] = f"unreadable JSON: {str(wrong)[:80]}"
                rows.append({})
    for row, one in enumerate(rows):
        if not isinstance(one, dict):
            refused[row] = f"no JSON object but {short(one, 40)}"
    return _of_rows([_row(one) if isinstance(one, dict) else {} for one in rows]), refused


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """One row; an object in node-link form becomes a graph with its own attributes as columns."""
    if not isinstance(one.get("nodes"), list) or not {"edges", "links"} & set(one):
        return one
    own = one["graph"] if isinstance(one.get("graph"), dict) else {}
    rest = {k: v for k, v in one.items() if k not in ("nodes", "edges", "links", "directed", "multigraph", "graph")}
    return {**rest, **{k: v for k, v in own.items() if k not in rest}, "graph": one}


def _of_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {str(name): [] for row in rows for name in row}
    for row in rows:
        for name, cells in columns.items():
            cells.append(row.get(name))
    whole = {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    for name, cells in columns.items():
        if not any(isinstance(cell, str) for cell in cells):  # text may be no valid Unicode
            whole[name] = whole[name].infer_objects()
    return pd.DataFrame(whole, range(len(rows)))


def read_spert(content: bytes, kind: str, *, level: int | None = None) -> Table:
    """A list of objects with tokens, entities and relations, see `from_spert`."""
    documents = parse_json(_text(content))
    if not isinstance(documents, list):
        raise ValueError("it is no list of objects with tokens, entities and relations")
    rows, refused = list[dict[str, Any]](), dict[int, str]()
    for number, document in enumerate(documents):
        try:
            rows.append(_document(document, level))
        except ValueError as wrong:
            refused[number] = str(wrong)
            text = str(document.get("text", "")) if isinstance(document, dict) else ""
            rows.append({"text": text, "graph": None, "spans": None})
    return _of_rows(rows), refused


def _document(document: Any, level: int | None) -> dict[str, Any]:
    """Text, graph and spans of one object; entities in the order of their places, the outer of nested ones first."""
    if not isinstance(document, dict):
        raise ValueError(f"no JSON object: {short(document, 40)}")
    tokens, entities, relations = (cast(Any, document.get(name)) for name in ("tokens", "entities", "relations"))
    if not isinstance(tokens, list) or not all(isinstance(one, str) and one for one in tokens):
        raise ValueError('no "tokens", a list of texts')
    fields = {"type": str, "start": int, "end": int}, {"type": str, "head": int, "tail": int}
    for name, some, kinds in (("entities", entities, fields[0]), ("relations", relations, fields[1])):
        if not isinstance(some, list) or not all(isinstance(one, dict) for one in some):
            raise ValueError(f'no "{name}", a list of objects')
        for k, one in enumerate(some):
            wrong = next((field for field, kind in kinds.items() if type(one.get(field)) is not kind), None)
            if wrong:
                raise ValueError(f"{name}: number {k} has {short(one.get(wrong), 30)} as {wrong!r}")
    for k, one in enumerate(entities):
        if not 0 <= one["start"] < one["end"] <= len(tokens):
            place = f"{one['start']} to {one['end']} of entity {k}, {len(tokens)} tokens"
            raise ValueError(f"an entity outside its text: {place}")
    order = sorted(range(len(entities)), key=lambda k: (entities[k]["start"], -entities[k]["end"]))
    graph, number = nx.MultiDiGraph(), {k: place for place, k in enumerate(order)}
    for k in order:
        graph.add_node(number[k], label="/".join(entities[k]["type"].split("/")[:level]))
    for k, one in enumerate(relations):
        if absent := [end for end in ("head", "tail") if one[end] not in number]:
            raise ValueError(f"a relation with an entity that does not exist: {one[absent[0]]} in relation {k}")
        graph.add_edge(number[one["head"]], number[one["tail"]], label=one["type"].rpartition("/")[2])
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    spans = [(starts[entities[k]["start"]], starts[entities[k]["end"]] - 1) for k in order]
    return {"text": " ".join(tokens), "graph": graph, "spans": spans}


# -- molecules and graphs ------------------------------------------------------------------------------------------
def _smi(content: bytes, kind: str) -> Table:
    """Lines of a SMILES and a name; with a header line (its first word has "smiles") a delimited table."""
    text = _text(content)
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if "smiles" in re.split(r"[\s,;|]", lines[0].strip())[0].lower():
        return _delimited(content if any(s in lines[0] for s in SEPARATORS) else _tabbed(lines), ".tsv")
    parts = [[*re.split(r"[\s,;]+", line.strip(), maxsplit=1), ""][:2] for line in lines]  # no SMILES has , or ;
    parts = [[f"{one} {name}", ""] if name.startswith("|") else [one, name] for one, name in parts]  # CXSMILES
    return pd.DataFrame(parts, columns=["smiles", "name"]), {}


def _tabbed(lines: list[str]) -> bytes:
    """Columns that blanks separate, the last one with its blanks, separated by tabs."""
    width = len(lines[0].split())
    return "\n".join("\t".join(line.split(maxsplit=width - 1)) for line in lines).encode()


def _sdf(content: bytes, kind: str) -> Table:
    with extra("chem"):
        from rdkit import Chem, rdBase
    rows: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    records = re.split(rb"^\$\$\$\$.*\n", content.rstrip() + b"\n", flags=re.MULTILINE)
    large = {row for row, record in enumerate(records) if not is_readable_size(*_counts(record))}
    content = b"$$$$\n".join(EMPTY if row in large else record for row, record in enumerate(records))
    with rdBase.BlockLogs():
        for mol in Chem.ForwardSDMolSupplier(io.BytesIO(content), sanitize=False):
            try:
                if mol is None or len(rows) in large:
                    raise ValueError("RDKit refuses it" if mol is None else "more than 1,000 atoms or 300 rings")
                Chem.SanitizeMol(mol)
                title = {"name": mol.GetProp("_Name")} if mol.HasProp("_Name") and mol.GetProp("_Name") else {}
                smiles = Chem.MolToSmiles(Chem.RemoveHs(mol), canonical=False)  # not the property of that name
                rows.append({**mol.GetPropsAsDict(), **title, "smiles": smiles})
            except (RuntimeError, ValueError) as wrong:
                refused[len(rows)] = f"unreadable record: {' '.join(str(wrong).split())[:80]}"
                rows.append({"smiles": None})
    return _of_rows(rows), refused


def _counts(record: bytes) -> tuple[int, int]:
    """Atoms and bonds that a record announces; RDKit takes minutes for many rings, also without sanitizing."""
    found = re.findall(rb"M  V30 COUNTS +(\d+) +(\d+)", re.sub(rb"-\r?\nM  V30 ", b"", record))
    line = (*record.split(b"\n", 4), b"", b"", b"")[3]
    if not found and line[:6].replace(b" ", b"0").isdigit():
        found = [(line[:3].replace(b" ", b"0"), line[3:6].replace(b" ", b"0"))]
    atoms, bonds = (sum(int(one[k][:9]) for one in found) for k in (0, 1))
    return atoms, bonds


def _graphml(content: bytes, kind: str) -> Table:
    depth, scanner = [0], expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise ValueError("it declares a document type or entities, which elekit does not read; remove the DOCTYPE")

    def start(*_: Any) -> None:
        depth[0] += 1
        if depth[0] > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")

    def end(*_: Any) -> None:
        depth[0] -= 1

    scanner.StartDoctypeDeclHandler = scanner.EntityDeclHandler = refuse
    scanner.StartElementHandler, scanner.EndElementHandler = start, end
    scanner.Parse(content, True)
    root, rows = ElementTree.fromstring(content), list[dict[str, Any]]()
    name = nx.readwrite.graphml.GraphMLReader
    space = f"{{{name.NS_GRAPHML}}}"
    for element in root.findall(f"{space}graph"):
        reader = name()
        try:
            graph = reader.make_graph(element, *reader.find_graphml_keys(root))
            for kind in ("node", "edge"):  # networkx keeps default values apart
                for *_, own in getattr(graph, f"{kind}s")(data=True):
                    own.update({**graph.graph.get(f"{kind}_default", {}), **own})
            ids = [node.get("id") for node in element.iter(f"{space}node")]
            if len(set(ids)) != len(ids) or set(ids) != set(map(str, graph)):
                graph = "ids of nodes are repeated, or edges name unknown nodes"
        except BROKEN as wrong:
            graph = f"no graph of GraphML: {str(wrong)[:80]}"
        rows.append({**_attributes(graph), "graph": graph})
    if not rows:
        raise ValueError(f"it has no element graph of {name.NS_GRAPHML}")
    return _of_rows(rows), {k: one["graph"] for k, one in enumerate(rows) if isinstance(one["graph"], str)}


def _gml(content: bytes, kind: str) -> Table:
    graph = nx.parse_gml(_text(content).splitlines(), label=None)
    return _of_rows([{**_attributes(graph), "graph": graph}]), {}


def read_conllu(content: bytes, kind: str, *, subtypes: bool = True) -> Table:
    """Sentences with their trees, see `conllu.sentences`."""
    found = list(conllu.sentences(_text(content), subtypes=subtypes))
    return _of_rows([row for row, _ in found]), {k: reason for k, (_, reason) in enumerate(found) if reason}


def _attributes(graph: Any) -> dict[str, Any]:
    """Attributes of the graph itself, which become columns."""
    own = graph.graph.items() if isinstance(graph, nx.Graph) else ()
    return {k: v for k, v in own if k not in ("node_default", "edge_default", "edge_ids")}


READERS: dict[str, Reader] = {
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _json),
    **dict.fromkeys((".smi", ".smiles", ".ism"), _smi),
    **dict.fromkeys((".sdf", ".sd", ".mol"), _sdf),
    ".graphml": _graphml,
    ".gml": _gml,
    ".conllu": read_conllu,
}
