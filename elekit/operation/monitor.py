"""Whether a loss in operation still does what was promised: from its log and, where they come in, later truths.

Answers are divided into windows in the order of time. Each window is held against the promise of the prediction sets
(exact binomial test) and against the first windows (Kolmogorov-Smirnov and Fisher tests); Holm's correction keeps the
chance of any false alarm at 5 %.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from elekit.datasets.strict_json import parse_json
from elekit.draw.base import BLUE, GRAY, VERMILION
from elekit.draw.svg import chart_svg
from elekit.evaluation.intervals import wilson
from elekit.graphs import _schema as schema
from elekit.graphs._optional import extra
from elekit.operation.pages import render
from elekit.operation.request_log import keyed_hash, log_key

WINDOW = 200  # answers, at least
WINDOWS = 30  # at most
REFERENCE = 0.2  # share of the windows that later ones are compared with
ALARM = 0.05  # chance of a false alarm, over all tests
MEASURES = {  # columns that later windows are compared in
    "loss": "learned loss of the answers",
    "nearest": "distance to the nearest known graph",
    "unknown": "unknown tokens of an input",
    "length": "length of an input",
}
WITH_TRUTHS = {"coverage": "sets that hold the truth", "exact": "exact answers"}
SHARES = {"unsure": "unsure answers", "refused": "refused inputs", "failed": "failed inputs"}
_RECORD = schema.fields(
    {
        "at": schema.text(40, visible=True), "id": schema.text(100, visible=True),
        "version": schema.text(64, visible=True), "input": schema.text(64, visible=True),
        "length": schema.whole(0, 10**9), "outcome": schema.one_of("answered", "refused", "failed"),
        "unsure": schema.one_of(True, False), "unknown": schema.whole(0, 10**9),
        "loss": schema.maybe(schema.number(-1, 5)), "nearest": schema.maybe(schema.number(-1, 5)),
        "answer": schema.maybe(schema.text(64)),
    },
    {"size": schema.whole(0, 10**9), "set": schema.items(schema.text(64), 10_000)},
)  # fmt: skip


@dataclass(frozen=True)
class Alarm:
    """A promise or a figure that no longer holds.

    Args:
        about: "coverage", or a key of `MEASURES` or `SHARES`.
        since: Time of the first answer of the first window in which it shows.
        text: One sentence with figures.
        p: Corrected p-value.
    """

    about: str
    since: str
    text: str
    p: float


@dataclass(frozen=True, eq=False)
class MonitorReport:
    """What a log shows.

    Args:
        windows: One row per window: first and last (times), answers, versions, shares of `SHARES` with _low and _high
            (Wilson 95 %), medians of `MEASURES`, and with truths: known, covered, coverage, exact with intervals.
        alarms: What no longer holds.
        tests: Number of tests that were corrected for.
        level: Promise of the prediction sets; None if there is none.
        skipped: Number of lines that could not be read.
        unmatched: Number of truths without an answer in the log.
    """

    windows: pd.DataFrame
    alarms: tuple[Alarm, ...]
    tests: int
    level: float | None
    skipped: int = 0
    unmatched: int = 0

    @property
    def verdict(self) -> str:
        """One sentence: whether all holds."""
        answers = int(self.windows["answers"].sum())
        if self.alarms:
            return f"{len(self.alarms)} of {self.tests} tests show a change: {self.alarms[0].text}"
        promise = "" if "coverage" not in self.windows else " and the promise of the sets holds"
        return f"No change shows in {answers:,} answers ({self.tests} tests){promise}."

    def metrics(self) -> str:
        """The last window and the alarms in Prometheus' text format.

        Returns:
            Lines of text.
        """
        last, lines = self.windows.iloc[-1], []
        names = [name for name in (*SHARES, *MEASURES, "coverage", "exact") if name in self.windows]
        for name in names:
            if math.isfinite(last[name]):
                lines += [f"# TYPE elekit_monitor_{name} gauge", f"elekit_monitor_{name} {float(last[name]):.6g}"]
        abouts = [*names]
        lines.append("# TYPE elekit_monitor_alarm gauge")
        raised = {alarm.about for alarm in self.alarms}
        lines += [f'elekit_monitor_alarm{{about="{name}"}} {int(name in raised)}' for name in abouts]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The report as one page that needs no network.

        Returns:
            HTML.
        """
        drawn = {
            title: _chart(self.windows, name, self.level if name == "coverage" else None)
            for name, title in {**WITH_TRUTHS, **SHARES, **MEASURES}.items()
            if name in self.windows and self.windows[name].notna().any()
        }
        return render("monitor.html.j2", report=self, charts=drawn, rows=self.windows.to_dict("records"))


def read_log(folder: str | Path) -> tuple[pd.DataFrame, int]:
    """Read a log of requests.

    Args:
        folder: As of `RequestLog`, or one file of it.

    Returns:
        One row per answer in the order of time, and the number of lines that could not be read.

    Raises:
        ValueError: If there is no log.
    """
    folder = Path(folder)
    files = sorted(folder.glob("requests-*.jsonl")) if folder.is_dir() else [folder]
    if not files or not files[0].is_file():
        raise ValueError(f"there is no log of requests in {folder}; serve with --log {folder}")
    rows, skipped = [], 0
    for line in _lines(files):
        try:
            record = parse_json(line)
            _RECORD(record, "the line")
            rows.append(record)
        except ValueError:
            skipped += 1  # such as the last line of a server that was killed
    if not rows:
        raise ValueError(f"the log in {folder} has no line that can be read ({skipped} cannot)")
    table = pd.DataFrame(rows)
    for name in ("size", "set"):
        if name not in table:
            table[name] = None
    for name in MEASURES:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    for name in ("refused", "failed"):
        table[name] = table["outcome"] == name
    return table.sort_values("at", kind="stable", ignore_index=True), skipped


def read_truths(path: str | Path, folder: str | Path) -> dict[str, str]:
    """Read truths that came in later, hashed with the key of the log.

    Args:
        path: A csv file with columns id (as the server returned it, with "/" and the number of the input if there
            were several) and truth (SMILES of molecules, otherwise the graph as the answers write it).
        folder: Folder of the log.

    Returns:
        Hash of the truth by identifier.

    Raises:
        ValueError: If a column is missing, or the log has no key.
    """
    key = log_key(Path(folder) if Path(folder).is_dir() else Path(folder).parent)
    with open(path, encoding="utf-8-sig", newline="") as opened:
        rows = csv.DictReader(opened)
        if missing := {"id", "truth"} - set(rows.fieldnames or ()):
            raise ValueError(f"{path} has no column {min(missing)!r}; truths have the columns id and truth")
        pairs = [(row["id"] if "/" in row["id"] else f"{row['id']}/0", row["truth"]) for row in rows if row["id"]]
    return {name: keyed_hash(key, _normal(truth)) for name, truth in pairs}


def monitor(
    log: pd.DataFrame, *, truths: Mapping[str, str] | None = None, level: float | None = None, window: int = WINDOW,
    skipped: int = 0,
) -> MonitorReport:  # fmt: skip
    """Look for changes and broken promises.

    Args:
        log: As `read_log` returns it.
        truths: As `read_truths` returns them; None if none are known.
        level: Promise of the prediction sets, in (0, 1); None if they promise nothing.
        window: Least number of answers of a window.
        skipped: Number of lines that could not be read, for the report.

    Returns:
        The report.

    Raises:
        ValueError: If there are too few answers for two windows.
    """
    schema.whole(20, 10**9)(window, "window")
    count = min(WINDOWS, len(log) // window)
    if count < 2:
        raise ValueError(f"{len(log):,} answers make no two windows of {window}; wait for more, or lower --window")
    truths = truths or {}
    known = log["id"].map(truths)
    log = log.assign(
        known=known.notna(),
        exact=(log["answer"] == known) & known.notna(),
        covered=[isinstance(held, list) and truth in held for held, truth in zip(log["set"], known)],
        has_set=[isinstance(held, list) for held in log["set"]],
    )
    parts = [log.iloc[some] for some in np.array_split(np.arange(len(log)), count)]
    first = max(1, round(REFERENCE * count))
    tests = [*_promises(parts, level), *_drifts(pd.concat(parts[:first]), parts[first:], first)]
    alarms = _holm(tests, parts)
    with_truths = bool(known.notna().any())
    windows = pd.DataFrame([_window(part, with_truths) for part in parts])
    unmatched = len(truths) - int(known.notna().sum())
    return MonitorReport(windows, tuple(alarms), len(tests), level if with_truths else None, skipped, unmatched)


Test = tuple[str, int, float, str]  # about, window, p-value, and a sentence


def _promises(parts: Sequence[pd.DataFrame], level: float | None) -> Iterator[Test]:
    with extra("card"):
        from scipy.stats import binomtest
    if level is None:
        return
    for number, part in enumerate(parts):
        some = part[part["known"] & part["has_set"]]
        if len(some):
            hits = int(some["covered"].sum())
            p = float(binomtest(hits, len(some), level, alternative="less").pvalue)
            text = f"the sets held the truth of {hits} of {len(some)} answers ({hits / len(some):.0%}), "
            yield "coverage", number, p, f"{text}the promise is {level:.0%}"


def _drifts(reference: pd.DataFrame, parts: Sequence[pd.DataFrame], first: int) -> Iterator[Test]:
    from scipy.stats import fisher_exact, ks_2samp

    for number, part in enumerate(parts, first):
        for name, title in MEASURES.items():
            old, new = reference[name].dropna(), part[name].dropna()
            if len(old) and len(new) and (old.nunique() > 1 or new.nunique() > 1):
                p = float(ks_2samp(old, new).pvalue)
                yield name, number, p, f"{title}: median {new.median():.3g}, it was {old.median():.3g}"
        for name, title in SHARES.items():
            counts = [[int(some[name].sum()), int((~some[name]).sum())] for some in (reference, part)]
            if counts[0][0] or counts[1][0]:
                old_share, new_share = (hits / (hits + rest) for hits, rest in counts)
                p = float(fisher_exact(counts).pvalue)
                yield name, number, p, f"{title}: {new_share:.1%}, it was {old_share:.1%}"


def _holm(tests: Sequence[Test], parts: Sequence[pd.DataFrame]) -> list[Alarm]:
    """The first window in which each figure changes, after Holm's correction; broken promises first."""
    alarms: dict[str, Alarm] = {}
    corrected, running = [], 0.0
    for rank, test in enumerate(sorted(tests, key=lambda test: test[2])):
        running = max(running, min(1.0, test[2] * (len(tests) - rank)))
        corrected.append((test, running))
    for (about, number, _, text), p in sorted(corrected, key=lambda pair: pair[0][1]):
        if p <= ALARM and about not in alarms:
            since = str(parts[number]["at"].iloc[0])
            alarms[about] = Alarm(about, since, f"since {since[:16]} {text}.", p)
    return sorted(alarms.values(), key=lambda alarm: (alarm.about != "coverage", alarm.since))


def _window(part: pd.DataFrame, with_truths: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "first": part["at"].iloc[0], "last": part["at"].iloc[-1], "answers": len(part),
        "versions": ", ".join(part["version"].unique()),
    }  # fmt: skip
    for name in SHARES:
        row |= _share(name, int(part[name].sum()), len(part))
    row |= {name: float(part[name].median()) for name in MEASURES}
    if with_truths:
        some = part[part["known"]]
        row["known"] = len(some)
        row |= _share("exact", int(some["exact"].sum()), len(some))
        sets = some[some["has_set"]]
        row |= _share("coverage", int(sets["covered"].sum()), len(sets))
    return row


def _share(name: str, hits: int, count: int) -> dict[str, float]:
    if not count:
        return {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    return dict(zip((name, f"{name}_low", f"{name}_high"), (hits / count, *wilson(hits, count))))


def _normal(truth: str) -> str:
    """A truth as answers are written: canonical SMILES of molecules; JSON without blanks that do not matter."""
    try:
        return json.dumps(parse_json(truth), sort_keys=True) if truth.lstrip().startswith("{") else _canonical(truth)
    except ValueError:
        return truth


def _canonical(smiles: str) -> str:
    from elekit.graphs.smiles import parse_smiles

    try:
        parsed = parse_smiles(smiles)
    except ModuleNotFoundError:
        return smiles
    return smiles if parsed.error else parsed.canonical


def _lines(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as opened:
            yield from (line for line in opened if line.strip())


def _chart(windows: pd.DataFrame, name: str, promise: float | None) -> str:
    """A curve over the windows, with its interval and the promise."""
    is_share = name in (*SHARES, "coverage", "exact")
    factor, unit = (100, "%") if is_share else (1, "median")

    def line(title: str, color: str, column: str) -> tuple[str, str, list[float], list[float]]:
        fine = windows[windows[column].notna()]
        return title, color, [float(i + 1) for i in fine.index], (factor * fine[column]).tolist()

    series = [line("by window", BLUE, name)]
    if is_share:
        series += [line(f"95 % interval, {end} end", GRAY, f"{name}_{end}") for end in ("low", "high")]
    if promise is not None:
        xs = series[0][2]
        series.append(("promise", VERMILION, [xs[0], xs[-1]], [100 * promise] * 2))
    return chart_svg(series, f"{name} by window", across="window", up=unit)
