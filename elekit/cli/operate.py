"""`elekit estimate / compress / predict / registry / promote / rollback / serve / monitor`."""

import getpass
import json
import os
import secrets
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import elekit as ele
from elekit.cli import data as cli_data
from elekit.cli import evaluate
from elekit.cli import train as cli_train
from elekit.cli.process import tell

if TYPE_CHECKING:
    from elekit.datasets import Dataset
    from elekit.model.artifact import Artifact
    from elekit.operation import Predictor, PredictorSpec, Registry

TOKEN = "ELEKIT_TOKEN"  # environment variable of `elekit serve`
COMPRESSED_ON = 500  # held-out pairs


def estimate(args: Namespace) -> None:
    """Measure a few steps, and print what training and decoding will cost."""
    operation = ele.operation.estimate
    seconds = None if args.budget is None else operation.parse_budget(args.budget)
    cli_data.check_positive(args, "inputs")
    cli_data.set_threads(args)
    artifact = None if args.artifact is None else ele.model.load(args.artifact)
    data = _data(args, artifact)
    found, ways, chosen = [], None, None
    if artifact is None or args.training:
        found += _of_training(args, data)
    if artifact is not None:
        ways, chosen, estimates = _of_decoding(args, artifact, data, seconds)
        found += estimates
    document: dict[str, Any] = {"estimates": operation.table(found).to_dict("records")}
    lines = [str(one) for one in found]
    if ways is not None:
        document["ways"] = ways.to_dict("records")
        document["within_budget"] = chosen
        lines += _curve(ways, seconds, chosen)
        if args.picture:
            budget = None if seconds is None else 1_000 * seconds
            _draw(args.picture, ele.draw.quality_by_time(ways, budget=budget))
            lines.append(f"drawn in {args.picture}")
    elif seconds is not None:
        document["within_budget"] = _steps_within(found, seconds, args)
        lines.append(document["within_budget"]["says"])
    cli_data.print_result(args, document, lines)


def _data(args: Namespace, artifact: "Artifact | None") -> "Dataset":
    if artifact is None:
        return cli_data.load(args)
    if artifact.surrogates:
        name, h = artifact.surrogate(args.surrogate or evaluate.surrogate_for(args, artifact))
        args.surrogate, args.input = name, evaluate.input_of(args, artifact, name, h)
    options: dict[str, Any] = {"vocabulary": artifact.vocabulary, "seed": artifact.about.get("seed", 0)}
    return cli_data.load(args, artifact=artifact, inputs=bool(artifact.surrogates), **options)


def _of_training(args: Namespace, data: "Dataset") -> list[Any]:
    operation = ele.operation.estimate
    training = cli_train.with_options(args, ele.training.EmbeddingTraining())
    config = ele.model.EmbeddingConfig(hidden=args.hidden, dim=args.dim)
    found = [operation.estimate_embedding(data, config, training, seed=args.seed, device=args.device)]
    if data.train.inputs is not None:
        kind = args.backbone or ele.training.surrogate.infer_kind(data.train.inputs)
        shape = ele.model.BackboneConfig(kind, width=args.width, through=args.through)
        own = cli_train.with_options(args, ele.training.surrogate.default_training(shape))
        psi = operation.untrained(data, config)
        found.append(operation.estimate_surrogate(psi, data, shape, own, seed=args.seed, device=args.device))
    return found


def _of_decoding(args: Namespace, artifact: "Artifact", data: "Dataset", seconds: float | None) -> Any:
    """The ways to decode, measured on held-out cases; the one that fits the budget; and estimates of all inputs."""
    operation = ele.operation
    graphs, _ = operation.load_candidates(artifact, args.candidates)
    h = artifact.surrogate(args.surrogate)[1] if artifact.surrogates else None
    test = data.test if len(data.test) else data.train
    cases = test.sample(args.cases, args.seed)
    if h is not None and cases.inputs is not None:
        cases = ele.evaluation.judging.readable(h, cases)[0]
    else:
        h = None
    if not len(cases):
        raise ValueError("there are no held-out cases to decode; give more data")
    known = None if graphs is None else ele.decoding.Candidates.of(artifact.psi, graphs)
    target = artifact.psi.embed(cases.graphs) if h is None else h.predict(cases.inputs)
    head = h is not None and h.has_graph_head
    large = ele.decoding.default_method(artifact.psi).startswith("growth")
    ways = operation.ways.ways(own_graphs=head, candidates=known is not None, local=large)
    measured = operation.ways.measure_ways(
        artifact.psi, target, cases.graphs, ways, candidates=known, seed=args.seed,
        start=h.graphs(cases.inputs) if head and h is not None else None,
    )  # fmt: skip
    best = operation.ways.best_within(measured, *(() if seconds is None else (1_000 * seconds,)))
    chosen = None if best is None else {**best.to_dict(), "settings": dict(ways[best["way"]])}
    front = operation.ways.front(measured)["way"]
    estimates = [
        operation.estimate.estimate_decoding(artifact, h, cases, ways[way], args.inputs, candidates=known, what=way)
        for way in front
    ]
    return measured, chosen, estimates


def _curve(ways: Any, seconds: float | None, chosen: dict[str, Any] | None) -> list[str]:
    """The quality against the time, as lines, and what a budget costs."""
    front = set(ele.operation.ways.front(ways)["way"])
    lines = ["ways to decode, quickest first (* = no other one is both quicker and better):"]
    for row in ways.sort_values("milliseconds").itertuples():
        mark = "*" if row.way in front else " "
        exact = f"{row.exact:6.1%} exact ({row.low:.1%} to {row.high:.1%} of {row.count})"
        lines.append(f" {mark} {row.milliseconds:8.3g} ms a graph  {exact}  {row.way}")
    if seconds is None:
        return lines
    limit, best = ele.operation.estimate.duration(seconds), float(ways["exact"].max())
    if chosen is None:
        least = float(ways["milliseconds"].min())
        return [*lines, f"no way takes less than {limit} a graph; the quickest takes {least:.3g} ms"]
    lost = 100 * (best - chosen["exact"])
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in chosen["settings"].items())
    return [*lines, f"within {limit}: {chosen['way']} ({options}); it costs {lost:.1f} points of exact answers"]


def _steps_within(found: list[Any], seconds: float, args: Namespace) -> dict[str, Any]:
    total = sum(one.seconds for one in found)
    limit = ele.operation.estimate.duration(seconds)
    if total <= seconds:
        return {"minutes": None, "says": f"within {limit}: the usual number of steps"}
    share = seconds / total
    says = (
        f"within {limit}: {share:.0%} of the usual steps, as by --minutes {share * found[0].seconds / 60:.2g} for psi"
    )
    return {"share": share, "says": f"{says}; what that costs in quality shows in the validation of the training"}


def compress(args: Namespace) -> None:
    """Measure light variants of an artifact, and save one."""
    operation = ele.operation.compress
    cli_data.set_threads(args)
    cli_train.check_overwrite(args.out)
    artifact = ele.model.load(args.artifact)
    data = _data(args, artifact)
    graphs, source = ele.operation.load_candidates(artifact, args.candidates)
    known = None if graphs is None else ele.decoding.Candidates.of(artifact.psi, graphs)
    surrogates = []
    if args.distill is not None:
        surrogates = [_distilled(args, artifact, data)]
    validation = data.validation if len(data.validation) else data.test
    options: dict[str, Any] = {"surrogate": args.surrogate, "candidates": known, "surrogates": surrogates}
    found = operation.compress(
        artifact, validation, **options, seed=args.seed, budget=args.budget, progress=cli_data.show_progress(args)
    )
    row = found.best(args.lost / 100)
    chosen = found.table.iloc[row].to_dict()
    figures = {"compression": {name: _plain(value) for name, value in chosen.items()}}
    sets: dict[str, Any] = {}
    if args.sets is not None:
        half = validation.take(range(1, len(validation), 2))  # others than those that the variant was chosen on
        sets = {
            "calibrate_on": half.sample(2 * COMPRESSED_ON, args.seed + 1),
            "level": args.sets,
            "candidates": known,
        }
    saved = operation.save_variant(found.variants[row], args.out, parent=found.parent, figures=figures, **sets)
    table = found.table.assign(chosen=found.table.index == row)
    if args.table:
        ele.datasets.tables.write_csv(args.table, table.reset_index(names="row"))
    if args.picture:
        _draw(args.picture, ele.draw.quality_by_time(_with_sizes(table), by="weights"))
    lines = [_variant_line(one) for one in table.sort_values("milliseconds").to_dict("records")]
    lines += [
        f"saved in {args.out}, version {saved.digest[:12]}, made from {found.parent[:12]}; candidates: {source}"
    ]
    document = {"variants": [{k: _plain(v) for k, v in one.items()} for one in table.to_dict("records")]}
    cli_data.print_result(args, {**document, "artifact": str(args.out), "version": saved.digest}, lines)


def _distilled(args: Namespace, artifact: "Artifact", data: "Dataset") -> str:
    """Train a narrower h on the points of the one that there is; its name."""
    name, teacher = artifact.surrogate(args.surrogate)
    shape = getattr(teacher.backbone, "config", None)
    if shape is None:
        raise ValueError(f"{name!r} is a module of its own, of which no narrower one can be made")
    narrow = replace(shape, width=args.distill)
    h = ele.operation.compress.distill(artifact.psi, teacher, data, narrow, seed=args.seed, progress=not args.json)
    own = f"{name} distilled"
    artifact.surrogates[own] = h
    artifact.about.setdefault("surrogates", {})[own] = {
        **artifact.about.get("surrogates", {}).get(name, {}), "distilled_from": name, "history": h.history,
    }  # fmt: skip
    return own


def _with_sizes(table: Any) -> Any:
    """The table with a column that names h, precision and size."""
    sizes = [
        f"{h}, {bits}: {size / 1e6:.1f} MB" for h, bits, size in zip(table["h"], table["precision"], table["bytes"])
    ]
    return table.assign(weights=sizes)


def _draw(path: Path, figure: Any) -> None:
    kind = path.suffix.lstrip(".").lower() or "svg"
    ele.datasets.files.write_atomically(path, lambda partial: figure.savefig(partial, format=kind))


def _variant_line(row: dict[str, Any]) -> str:
    mark = "*" if row["chosen"] else " "
    cost = f"{row['bytes'] / 1e6:6.2f} MB ({row['size']:.2f}) {row['milliseconds']:8.3g} ms ({row['speed']:.2f} x)"
    exact = f"{row['exact']:6.1%} exact ({row['low']:.1%} to {row['high']:.1%})"
    return f" {mark} {cost}  {exact}  {row['h']}, {row['precision']}, {row['way']}"


def predict(args: Namespace) -> int:
    """Answer all rows of a file; the status is 1 if some failed."""
    cli_data.check_positive(args, "part_rows", "workers")
    spec = _spec(args)
    found = ele.operation.predict_file(
        spec, args.input, args.output, column=args.column, keep=args.keep or (), part_rows=args.part_rows,
        workers=args.workers, dask=args.dask, progress=cli_data.show_progress(args),
        tell=None if args.json else lambda line: tell(f"elekit: {line}"),
    )  # fmt: skip
    counts = {name: getattr(found, name) for name in ("rows", "answered", "unsure", "refused", "failed", "resumed")}
    lines = [f"written to {found.output}: " + ", ".join(f"{value:,} {name}" for name, value in counts.items())]
    seconds = round(found.seconds, 1)
    cli_data.print_result(args, {"output": str(found.output), **counts, "seconds": seconds}, lines)
    return int(found.failed > 0)


def _spec(args: Namespace) -> "PredictorSpec":
    """The predictor that the options describe, from an artifact or from a stage of a registry."""
    artifact = args.artifact
    if getattr(args, "registry", None):
        artifact = ele.operation.Registry(args.registry).fetch(args.stage)
    if artifact is None:
        raise ValueError("name a loss with --artifact, or a registry with --registry")
    settings = {name: value for name, value in evaluate.settings(args).items() if value is not None}
    folder = ele.model.artifact.locate(artifact).resolve()
    calibration = None
    if not args.no_sets:
        calibration = ele.operation.predictor.stored_calibration(ele.model.load(folder))
    return ele.operation.PredictorSpec(
        str(folder), args.surrogate, _absolute(args.candidates), args.candidates_column, settings, calibration
    )


def _absolute(source: str | None) -> str | None:
    return source if source in (None, "none", *ele.datasets.NAMES) else str(Path(str(source)).resolve())


def registry(args: Namespace) -> None:
    """List a registry, after checking its log and all versions; or add a version to it."""
    held = ele.operation.Registry(args.registry)
    if args.add is not None:
        entry = held.add(args.add, by=_who(args), note=args.note, card=args.with_card)
        cli_data.print_result(args, _entry(entry), [str(entry)])
        return
    entries, stages = held.entries(), held.stages()
    for version in held.versions():
        held.fetch(version)  # raises if it was altered
    lines = [f"{len(entries)} entries, {len(held.versions())} versions; all digests fit"]
    lines += [f"  {stage:<11} {version}" for stage, version in stages.items()]
    lines += [str(entry) for entry in entries]
    document = {"stages": stages, "versions": held.versions(), "log": [_entry(entry) for entry in entries]}
    cli_data.print_result(args, document, lines)


def promote(args: Namespace) -> int:
    """Run the gates of a version, and promote it if all are met; the status is 1 if it is refused."""
    held = ele.operation.Registry(args.registry)
    file = ele.operation.gates.read_gates(args.gates)
    held.store.check_writable()
    if args.artifact is not None:
        content = ele.model.artifact.verify(ele.model.artifact.locate(args.artifact))
        version = ele.model.artifact.digest(content)
        if version not in held.versions():
            held.add(args.artifact, by=_who(args), note=args.note, card=args.with_card)
    else:
        version = held.resolve(args.version)
    held.check_step(version, args.to)
    before = held.stages().get(args.to, "")
    cli_data.set_threads(args)
    candidate = _in_operation(held, version, args)
    operating_version = held.stages().get("production")
    operating = None
    if operating_version and operating_version != version:
        operating = _in_operation(held, operating_version, args)
    args.surrogate = candidate.name
    data = _data(args, candidate.artifact)
    report = ele.operation.gates.check(
        candidate, data, file, operating=operating, progress=cli_data.show_progress(args)
    )
    entry = held.record(
        version, args.to, by=_who(args), gates=report.to_json(), passed=report.passed, before=before, note=args.note
    )
    failed = ", ".join(report.failed)
    lines = [*report.lines(), str(entry)] + ([f"refused: {failed}"] if failed else [])
    cli_data.print_result(args, {**_entry(entry), "passed": report.passed, "failed": report.failed}, lines)
    return int(not report.passed)


def _in_operation(held: "Registry", version: str, args: Namespace) -> "Predictor":
    artifact = ele.model.load(held.fetch(version))
    name = args.surrogate if args.surrogate in artifact.surrogates else None
    graphs, source = ele.operation.load_candidates(artifact, args.candidates)
    return ele.operation.Predictor(artifact, surrogate=name, candidates=graphs, source=source)


def rollback(args: Namespace) -> None:
    """Bring back the version that a stage held before."""
    entry = ele.operation.Registry(args.registry).rollback(
        by=_who(args), stage=args.stage, to=args.version, note=args.note
    )
    cli_data.print_result(args, _entry(entry), [str(entry)])


def serve(args: Namespace) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C."""
    server = ele.operation.server
    token = None if args.no_token else os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    server.check_exposure(args.host, token)
    cli_data.set_threads(args)
    spec = _spec(args)
    predictor = spec.load()
    held = ele.operation.Registry(args.registry) if args.registry else None

    def newer() -> "Predictor | None":
        if held is None:
            return None
        nonlocal spec
        version = held.resolve(args.stage)
        if version == app_version[0]:
            return None
        spec = _spec(args)
        new = spec.load()
        app_version[0] = version
        return new

    def card() -> Path | None:
        folder = Path(spec.artifact)
        return next((path for path in (args.with_card, folder / "card.html") if path and path.is_file()), None)

    app_version = [predictor.version]
    config = server.ServerConfig(token, max_waiting=args.max_waiting, poll=args.poll)
    log = ele.operation.RequestLog(args.log, args.log_share) if args.log else None
    app = server.make_app(predictor, config, load=newer if held else None, log=log, card=card)
    address = f"http://{f'[{args.host}]' if ':' in args.host else args.host}:{args.port}"
    if token is not None and TOKEN not in os.environ:
        tell(f"elekit: token {token} (set {TOKEN} to choose one)")
    tell(f"elekit: version {predictor.version[:12]} answers at {address}; Ctrl-C ends it")
    server.serve(app, args.host, args.port)


def monitor(args: Namespace) -> int:
    """Report whether a loss in operation does what was promised; the status is 1 if it does not."""
    operation = ele.operation.monitor
    level = args.level
    if level is None and (args.artifact or args.registry):
        folder = args.artifact or ele.operation.Registry(args.registry).fetch(args.stage)
        calibration = ele.operation.predictor.stored_calibration(ele.model.load(folder))
        level = None if calibration is None else calibration.level
    log, skipped = operation.read_log(args.log)
    truths = operation.read_truths(args.truths, args.log) if args.truths else None
    report = operation.monitor(log, truths=truths, level=level, window=args.window, skipped=skipped)
    if args.out:
        ele.datasets.files.write_atomically(args.out, lambda partial: partial.write_text(report.to_html(), "utf-8"))
    if args.metrics:
        ele.datasets.files.write_atomically(args.metrics, lambda partial: partial.write_text(report.metrics()))
    alarms = [vars(alarm) for alarm in report.alarms]
    document = {"verdict": report.verdict, "alarms": alarms, "tests": report.tests, "answers": len(log)}
    lines = [report.verdict, *(f"  {alarm.text}" for alarm in report.alarms)]
    lines += [f"written to {path}" for path in (args.out, args.metrics) if path]
    cli_data.print_result(args, document, lines)
    return int(bool(report.alarms))


def _who(args: Namespace) -> str:
    name: str = args.by or getpass.getuser()
    return name


def _entry(entry: Any) -> dict[str, Any]:
    return {**vars(entry), "gates": dict(entry.gates)}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda one: one.item()))
