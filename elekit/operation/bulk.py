"""Answers to a large file: streamed in parts, spread over processes or machines, resumed after any end.

Part k holds rows k * P to (k + 1) * P. Its answers are written to `OUTPUT.parts/` as soon as they are there, by one
rename. A run that was killed continues with the parts that are missing; the last step joins them to the output.
"""

import csv
import functools
import gzip
import importlib
import itertools
import json
import math
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm.auto import tqdm

from elekit.datasets.files import check_writable, locked, write_atomically
from elekit.datasets.strict_json import parse_json, read_json
from elekit.graphs import _schema as schema
from elekit.graphs._optional import extra
from elekit.operation.estimate import duration, resident
from elekit.operation.predictor import Json, Predictor, PredictorSpec

PART_ROWS = 2_000
IN_FLIGHT = 2  # parts for each worker, so that none waits
NOTES = ("unsure", "refused", "failed", "read_as", "unknown", "set")  # columns of texts, empty where there is nothing
OWN = ("row", "input", "smiles", "graph", "loss", *NOTES)
TEXTS = (".csv", ".tsv", ".jsonl", ".txt", ".smi")
POLL = 0.01  # seconds between looks at the parts in flight
WATCH = 1.0  # seconds between looks at the parent process
csv.field_size_limit(2**30)


@dataclass(frozen=True)
class BulkReport:
    """What a run has done.

    Args:
        output: The file with the answers.
        rows: Number of rows, each of which is in the output once.
        answered: Number of rows with an answer.
        refused: Number of rows whose input h refuses.
        failed: Number of rows that raised an error or ended a worker.
        unsure: Number of answers that are marked unsure.
        resumed: Number of rows that earlier runs had answered.
        seconds: Time of this run.
    """

    output: Path
    rows: int
    answered: int
    refused: int
    failed: int
    unsure: int
    resumed: int
    seconds: float


@dataclass
class _Part:
    number: int
    first: int  # row
    inputs: list[Any]
    kept: dict[str, list[Any]]
    problems: dict[int, str] = field(default_factory=dict)  # rows that could not be read


class _Workers(Protocol):
    """Processes that answer parts."""

    @property
    def count(self) -> int: ...

    @property
    def deaths(self) -> tuple[type[BaseException], ...]: ...

    def submit(self, inputs: list[Any]) -> Any: ...

    def restart(self) -> None: ...

    def close(self) -> None: ...


def predict_file(
    spec: PredictorSpec, source: str | Path, output: str | Path, *, column: str | Sequence[str] | None = None,
    keep: Sequence[str] = (), part_rows: int = PART_ROWS, workers: int | None = None, dask: str | None = None,
    progress: bool = True, tell: Callable[[str], object] | None = None,
) -> BulkReport:  # fmt: skip
    """Answer all rows of a file.

    Args:
        spec: The predictor.
        source: A parquet, csv, tsv, jsonl, txt or smi file (the texts also as .gz); txt and smi have one input a
            line. It is read in parts, so that memory does not grow with its rows.
        output: A new parquet file: row (from 0), input, smiles or graph, loss, and texts unsure, refused, failed,
            read_as, unknown and set, see `Predictor.answers`.
        column: Column of the inputs, or columns of the numbers of a vector; None means the name of h, or else smiles.
        keep: Further columns to copy to the output, such as identifiers.
        part_rows: Rows of a part.
        workers: Processes; None means one for each core.
        dask: Address of a Dask scheduler that spreads the parts over machines, or "local"; the artifact must be at
            the same path there. None means processes of this machine.
        progress: Whether to show a progress bar.
        tell: Called with lines for the user, such as the expected time.

    Returns:
        What was done.

    Raises:
        ValueError: If the file has no such column, the output exists, or an unfinished run was another one.
        OSError: If a file cannot be read or written; what is done is kept.
    """
    schema.whole(1, 10**6)(part_rows, "part_rows")
    source, output, began = Path(source), Path(output), time.monotonic()
    if output.suffix != ".parquet":
        raise ValueError(f"the output is a parquet file, got {output}; pandas.read_parquet reads it")
    with extra("data"):
        importlib.import_module("pyarrow")
    parts = output.with_name(f"{output.name}.parts")
    columns, total = _columns(spec, source, column)
    if clash := set(keep) & {*OWN}:
        raise ValueError(f"the output has a column {min(clash)!r} of its own, so this one cannot be kept")
    version = _version(spec)
    stat = source.stat()
    identity = {
        "source": str(source.resolve()), "bytes": stat.st_size, "changed": stat.st_mtime_ns, "column": columns,
        "keep": list(keep), "part_rows": part_rows, "predictor": spec.to_json(), "version": version,
    }  # fmt: skip
    identity = json.loads(json.dumps(identity))
    busy = f"another process is writing {output}; wait until it ends"
    with locked(output.with_name(f".{output.name}.lock"), output, busy):
        _check_run(parts, output, identity)
        done = {int(file.stem) for file in parts.glob("??????.parquet")} if parts.exists() else set()
        if not output.exists():
            check_writable(parts / "run.json")
            write_atomically(parts / "run.json", lambda partial: partial.write_text(json.dumps(identity, indent=1)))
            kind = "smiles" if _is_molecular(spec) else "graph"
            run = _Run(parts, kind, _stream(source, columns, keep, part_rows), done, total, progress, tell or _silent)
            run.answer(_start(spec, workers, dask))
            resumed = _join(parts, output, run.parts, done)
        else:  # killed between the last two steps
            resumed = _rows(output)
        shutil.rmtree(parts, ignore_errors=True)
    return _report(output, resumed, time.monotonic() - began)


class _Run:
    """The parts of a run, as they come in."""

    def __init__(
        self, folder: Path, kind: str, stream: Iterator[_Part], done: set[int], total: int | None, progress: bool,
        tell: Callable[[str], object],
    ):  # fmt: skip
        self.folder, self.kind, self.stream, self.done, self.tell = folder, kind, stream, done, tell
        self.parts = 0
        self._began, self._new, self._total = time.monotonic(), 0, total
        self._bar = tqdm(total=total, desc="predict", unit="row", disable=not progress, mininterval=0.5)
        self._rows = _known_rows(folder, done)

    def answer(self, make_workers: Callable[[], _Workers]) -> None:
        """Answer the parts that are missing."""
        workers: _Workers | None = None
        flying: list[tuple[_Part, Any]] = []
        try:
            for part in self.stream:
                self.parts += 1
                if self._rows.get(part.number) == len(part.inputs):
                    self._bar.update(len(part.inputs))
                    continue
                workers = workers or make_workers()
                flying.append((part, workers.submit(_readable(part))))
                while len(flying) >= IN_FLIGHT * workers.count:
                    flying = self._land(flying, workers)
            while workers is not None and flying:
                flying = self._land(flying, workers)
        finally:
            self._bar.close()
            if workers is not None:
                workers.close()

    def _land(self, flying: list[tuple[_Part, Any]], workers: _Workers) -> list[tuple[_Part, Any]]:
        """Write the parts that are answered; waits for one at least."""
        while not any(future.done() for _, future in flying):
            time.sleep(POLL)
        left = []
        for number, (part, future) in enumerate(flying):
            if not future.done():
                left.append((part, future))
                continue
            try:
                found = future.result()
            except workers.deaths:  # which one did it is not known: each part once more, by itself
                workers.restart()
                for other, _ in [*left, *flying[number:]]:
                    self._write(other, _isolated(workers, _readable(other)))
                return []
            self._write(part, found)
        return left

    def _write(self, part: _Part, found: list[Json]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        answers = iter(found)
        rows = [
            {"input": part.inputs[i], "failed": part.problems[i]} if i in part.problems else next(answers)
            for i in range(len(part.inputs))
        ]
        first = part.first
        columns: dict[str, Any] = {
            "row": pa.array(range(first, first + len(rows)), pa.int64()),
            "input": pa.array([_text(one) for one in part.inputs], pa.string()),
            self.kind: pa.array([_text(row.get(self.kind)) for row in rows], pa.string()),
            "loss": pa.array([row.get("loss") for row in rows], pa.float64()),
            **{name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in NOTES},
            **{name: pa.array([_text(one) for one in values], pa.string()) for name, values in part.kept.items()},
        }
        path = self.folder / f"{part.number:06}.parquet"
        write_atomically(path, lambda partial: pq.write_table(pa.table(columns), str(partial)))
        self._bar.update(len(rows))
        self._new += len(rows)
        if self._began:
            self._estimate()

    def _estimate(self) -> None:
        """One line, once: what is to be expected."""
        each = (time.monotonic() - self._began) / self._new
        self._began = 0.0
        if self._total:
            left = max(0, self._total - self._bar.n)
            self.tell(
                f"about {duration(each * left)} for the other {left:,} of {self._total:,} rows "
                f"({1_000 * each:.3g} ms a row, the start of the workers included); {resident() / 1e9:.1f} GB here"
            )


def _readable(part: _Part) -> list[Any]:
    return [one for i, one in enumerate(part.inputs) if i not in part.problems]


def _isolated(workers: _Workers, inputs: list[Any]) -> list[Json]:
    """Answers of a part that may end a worker, down to the row that does."""
    if not inputs:
        return []
    try:
        found: list[Json] = workers.submit(inputs).result()
        return found
    except workers.deaths:
        workers.restart()
    if len(inputs) == 1:
        return [{"input": inputs[0], "failed": "a worker process ended on this row, perhaps for lack of memory"}]
    half = len(inputs) // 2
    return _isolated(workers, inputs[:half]) + _isolated(workers, inputs[half:])


# -- workers -------------------------------------------------------------------------------------------------------
_predictor: Predictor | None = None


def _start(spec: PredictorSpec, workers: int | None, dask: str | None) -> Callable[[], _Workers]:
    count = workers or os.cpu_count() or 1
    schema.whole(1, 10_000)(count, "workers")
    if dask is not None:
        return lambda: _Dask(spec, dask, count)
    return (lambda: _Here(spec)) if count == 1 else (lambda: _Processes(spec, count))


class _Here:
    """This process, if one is enough."""

    count = 1
    deaths: tuple[type[BaseException], ...] = ()

    def __init__(self, spec: PredictorSpec):
        self._predictor = spec.load()

    def submit(self, inputs: list[Any]) -> Future:
        future: Future = Future()
        future.set_result(answer_rows(self._predictor, inputs))
        return future

    def restart(self) -> None: ...

    def close(self) -> None: ...


class _Processes:
    """Processes of this machine, one thread each, that load the artifact once."""

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, spec: PredictorSpec, count: int):
        self.count, self._spec = count, json.dumps(spec.to_json())
        self._open()

    def _open(self) -> None:
        context = multiprocessing.get_context("spawn")
        options: Json = {"initializer": _load_worker, "initargs": (self._spec, os.getpid())}
        self._pool = ProcessPoolExecutor(self.count, context, **options)

    def submit(self, inputs: list[Any]) -> Future:
        return self._pool.submit(_answer_in_worker, inputs)

    def restart(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._open()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Dask:
    """Workers of a Dask cluster. Each loads the artifact from its path once; tasks hold inputs alone."""

    def __init__(self, spec: PredictorSpec, address: str, count: int):
        with extra("scale"):
            from dask.distributed import Client, KilledWorker, LocalCluster
        self.deaths: tuple[type[BaseException], ...] = (KilledWorker,)
        self._spec = json.dumps(spec.to_json())
        self._cluster = None
        if address == "local":
            self._cluster = LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None)
        self._client = Client(self._cluster or address)
        self.count = max(1, len(self._client.scheduler_info()["workers"]))

    def submit(self, inputs: list[Any]) -> Any:
        return self._client.submit(answer_by_spec, self._spec, inputs, pure=False, retries=0)

    def restart(self) -> None:
        """The scheduler starts workers anew by itself."""

    def close(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _load_worker(spec: str, parent: int) -> None:
    global _predictor
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _predictor = PredictorSpec.from_json(parse_json(spec)).load()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, however that was: nobody waits for its answers."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


def _answer_in_worker(inputs: list[Any]) -> list[Json]:
    assert _predictor is not None
    return answer_rows(_predictor, inputs)


@functools.lru_cache(maxsize=2)
def _loaded(spec: str) -> Predictor:
    torch.set_num_threads(1)
    return PredictorSpec.from_json(parse_json(spec)).load()


def answer_by_spec(spec: str, inputs: list[Any]) -> list[Json]:
    """Answer inputs in a process that loads the predictor when it first needs it.

    Args:
        spec: A `PredictorSpec` as JSON.
        inputs: Inputs.

    Returns:
        As of `answer_rows`.
    """
    return answer_rows(_loaded(spec), inputs)


def answer_rows(predictor: Predictor, inputs: list[Any], **options: Any) -> list[Json]:
    """Answer inputs; one that raises an error gets the field `failed` and keeps no other from its answer.

    Args:
        predictor: The predictor.
        inputs: Inputs.
        **options: As of `Predictor.answers`.

    Returns:
        One object for each.
    """
    if not inputs:
        return []
    try:
        return predictor.answers(inputs, **options)
    except Exception as error:
        if len(inputs) == 1:
            message = " ".join(str(error).split()) or type(error).__name__
            return [{"input": inputs[0], "failed": message[:500]}]
    half = len(inputs) // 2
    return answer_rows(predictor, inputs[:half], **options) + answer_rows(predictor, inputs[half:], **options)


# -- files ---------------------------------------------------------------------------------------------------------
def _stream(source: Path, columns: list[str], keep: Sequence[str], part_rows: int) -> Iterator[_Part]:
    """The parts of a file."""
    rows = _parquet_rows(source, columns, keep) if source.suffix == ".parquet" else _text_rows(source, columns, keep)
    for number in itertools.count():
        some = list(itertools.islice(rows, part_rows))
        if not some:
            return
        inputs: list[Any] = []
        problems: dict[int, str] = {}
        for i, (values, _, problem) in enumerate(some):
            inputs.append(values[0] if len(columns) == 1 else values)
            if problem or any(one is None or one == "" or one != one for one in values):
                problems[i] = problem or "empty input"
        kept = {name: [row[1][k] for row in some] for k, name in enumerate(keep)}
        yield _Part(number, number * part_rows, inputs, kept, problems)


Row = tuple[list[Any], list[Any], str]  # values of the input columns, of the kept ones, and why it cannot be read


def _parquet_rows(source: Path, columns: list[str], keep: Sequence[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=list(dict.fromkeys([*columns, *keep]))):
            values = batch.to_pydict()
            ours, theirs = ([values[name] for name in names] for names in (columns, keep))
            for i in range(batch.num_rows):
                yield [one[i] for one in ours], [one[i] for one in theirs], ""


def _text_rows(source: Path, columns: list[str], keep: Sequence[str]) -> Iterator[Row]:
    kind = _kind(source)
    with _open(source) as lines:
        if kind in (".txt", ".smi"):
            for line in lines:
                text = line.rstrip("\r\n")
                text, _, name = text.partition("\t") if kind == ".smi" and "\t" in text else (text, "", "")
                yield [text], [name] * len(keep), ""
        elif kind == ".jsonl":
            for line in lines:
                try:
                    values = parse_json(line)
                    yield [values[name] for name in columns], [values.get(name) for name in keep], ""
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    problem = f"it lacks {error}" if isinstance(error, KeyError) else "it is no JSON object"
                    yield [line.strip()] * len(columns), [None] * len(keep), problem
        else:
            reader = csv.reader(lines, delimiter="\t" if kind == ".tsv" else ",")
            header = next(reader)
            places, others = ([header.index(name) for name in names] for names in (columns, keep))
            for row in reader:
                if not row:
                    continue
                wrong = "" if len(row) == len(header) else f"it has {len(row)} fields, the header has {len(header)}"
                values, kept = ([row[i] if i < len(row) else None for i in some] for some in (places, others))
                yield values, kept, wrong


def _kind(source: Path) -> str:
    suffixes = [suffix.lower() for suffix in source.suffixes]
    return next((one for one in reversed(suffixes) if one != ".gz"), "")


def _open(source: Path) -> Any:
    opened = gzip.open if source.suffix.lower() == ".gz" else open
    return opened(source, "rt", encoding="utf-8-sig", errors="replace", newline="")


def _columns(spec: PredictorSpec, source: Path, column: str | Sequence[str] | None) -> tuple[list[str], int | None]:
    """The input columns of a file, and its rows if they are known."""
    if not source.is_file():
        raise FileNotFoundError(f"no file {source}")
    kind, total = _kind(source), None
    if kind not in (".parquet", *TEXTS):
        raise ValueError(f"{source} has no ending that is read here: .parquet, {', '.join(TEXTS)}")
    if kind in (".txt", ".smi"):
        return ["input"], None
    if kind == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(source)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{source} is not a parquet file: {error}") from None
        held, total = list(file.schema_arrow.names), file.metadata.num_rows
    else:
        with _open(source) as lines:
            first = next(lines, "")
        if not first.strip():
            raise ValueError(f"{source} is empty")
        try:
            held = (
                list(parse_json(first)) if kind == ".jsonl" else next(csv.reader([first], delimiter=_separator(kind)))
            )
        except ValueError:
            held = []
    given = [column] if isinstance(column, str) else list(column or [])
    usual = (spec.surrogate or "smiles", "smiles", "input")
    wanted = given or [next((one for one in usual if one in held), "smiles")]
    if missing := [name for name in wanted if name not in held]:
        listed = ", ".join(map(str, held[:20])) or "none"
        raise ValueError(f"{source} has no column {missing[0]!r}; it has {listed}; name yours with --input")
    return wanted, total


def _separator(kind: str) -> str:
    return "\t" if kind == ".tsv" else ","


def _check_run(parts: Path, output: Path, identity: Json) -> None:
    """Raise a ValueError if the output exists, or the parts are of another run."""
    try:
        earlier = read_json(parts / "run.json")
    except FileNotFoundError:
        if output.exists():
            raise ValueError(f"{output} exists; name another output, or remove it first") from None
        return
    except ValueError as error:
        raise ValueError(f"{parts / 'run.json'} is damaged ({error}); remove {parts} to begin anew") from None
    different = sorted(key for key in identity.keys() | earlier.keys() if identity.get(key) != earlier.get(key))
    if different:
        fix = "give the same as then, or remove it"
        raise ValueError(f"{parts} holds an unfinished run with another {', '.join(different)}; {fix}")


def _known_rows(folder: Path, done: set[int]) -> dict[int, int]:
    """Numbers of rows of the parts that can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {}
    for number in done:
        try:
            found[number] = pq.ParquetFile(folder / f"{number:06}.parquet").metadata.num_rows
        except (pa.ArrowInvalid, OSError):
            continue  # it is answered again
    return found


def _join(parts: Path, output: Path, count: int, done: set[int]) -> int:
    """Join all parts to the output; returns how many rows earlier runs had answered."""
    import pyarrow.parquet as pq

    files = [parts / f"{number:06}.parquet" for number in range(count)]
    rows, resumed = 0, 0
    if not files:
        raise ValueError("the file has no rows")

    def write(partial: Path) -> None:
        nonlocal rows, resumed
        with pq.ParquetWriter(str(partial), pq.read_schema(files[0])) as writer:
            for number, file in enumerate(files):
                table = pq.read_table(file)
                first = table["row"][0].as_py() if len(table) else rows
                if first != rows:
                    raise ValueError(f"{file} begins with row {first}, expected is {rows}; remove {parts}")
                writer.write_table(table)
                rows += len(table)
                resumed += len(table) if number in done else 0

    write_atomically(output, write)
    return resumed


def _rows(output: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(output).metadata.num_rows)


def _report(output: Path, resumed: int, seconds: float) -> BulkReport:
    import pyarrow.parquet as pq

    counts = dict.fromkeys(("rows", "refused", "failed", "unsure"), 0)
    with pq.ParquetFile(output) as file:
        for batch in file.iter_batches(columns=["refused", "failed", "unsure"]):
            counts["rows"] += batch.num_rows
            for name in ("refused", "failed", "unsure"):
                counts[name] += batch.num_rows - batch.column(name).null_count
    answered = counts["rows"] - counts["refused"] - counts["failed"]
    return BulkReport(output, answered=answered, resumed=resumed, seconds=seconds, **counts)


def _version(spec: PredictorSpec) -> str:
    from elekit.model import artifact as artifacts

    return artifacts.digest(artifacts.verify(artifacts.locate(spec.artifact)))


def _is_molecular(spec: PredictorSpec) -> bool:
    from elekit.graphs.graph import GraphVocabulary
    from elekit.graphs.smiles import is_molecular
    from elekit.model import artifact as artifacts

    content = artifacts.verify(artifacts.locate(spec.artifact))
    return is_molecular(GraphVocabulary.from_json(content["vocabulary"]))


def _text(value: Any) -> str | None:
    """A cell of text: JSON of what is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _silent(_: str) -> None: ...
