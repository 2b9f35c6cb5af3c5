"""Operation, measured: `python -m benchmarks.operation PART`, with PART one of

    estimates   estimates of 12 runs against what they took
    compress    size, time and exact answers of the shipped losses, as they are and compressed
    bulk        --rows random writings of QM9's molecules: memory, rows lost or doubled over --kills kills
    dask        two local Dask workers against one, the same rows, in turn
    serve       10,000 requests by 32 clients with a promotion in between, 5 % of the inputs malformed

Each prints one JSON document. All but `estimates` and `compress` need QM9 (`ELEKIT_DATA_DIR` or a download).
"""

import argparse
import functools
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import elekit as ele
from elekit import datasets, operation
from elekit.graphs.smiles import randomize_smiles
from elekit.training import EmbeddingTraining, fit_embedding, fit_surrogate
from elekit.training.surrogate import default_training

CLIENTS, REQUESTS, MALFORMED = 32, 10_000, 0.05
WITHIN = 1.5  # factor between estimate and truth
QUICK: dict[str, Any] = {"candidates": "none", "settings": {"method": "rounded"}}


def estimates(_: argparse.Namespace) -> dict[str, Any]:
    """Estimates of 12 runs, each made before it, and what the run took."""
    rows = []
    for name, kind in (("molecules7", "description"), ("molecules7", "smiles"), ("faults", "report")):
        data = datasets.load(name, inputs=kind)
        artifact = ele.load(name)
        for steps, batch in ((60, 256), (120, 64)):
            training = EmbeddingTraining()
            loop = replace(training.loop, steps=steps, validate_every=steps // 4, checkpoint_every=steps)
            training = replace(training, loop=loop, batch_size=batch)
            if kind == "smiles":  # the graphs are those of the descriptions: h in place of psi
                shape = ele.BackboneConfig("smiles", through="graph")
                own = default_training(shape)
                loop = replace(own.loop, steps=steps, validate_every=steps // 4, checkpoint_every=steps)
                own = replace(own, loop=loop, batch_size=batch)
                expected = operation.estimate.estimate_surrogate(artifact.psi, data, shape, own)
                fit: Any = functools.partial(fit_surrogate, artifact.psi, data.train, backbone=shape, training=own)
                run = functools.partial(fit, validation=data.validation, progress=False)
            else:
                expected = operation.estimate.estimate_embedding(data, training=training)
                fit = functools.partial(fit_embedding, data.train.graphs, training=training)
                run = functools.partial(fit, validation=data.validation.graphs, progress=False)
            rows.append(_compared(f"{expected.what}, {name} {kind}, {steps} steps of {batch}", expected, run))
        _, h = artifact.surrogate(kind)
        head = h.has_graph_head
        known = ele.Candidates.of(artifact.psi, data.train.graphs[:2_000])
        ways = operation.ways.ways(own_graphs=head, candidates=True)
        for way in list(ways)[1:3] if head else ("nearest known graph", "nearest known graphs, edited (beam 2)"):
            cases = data.test.sample(240, 1)
            expected = operation.estimate.estimate_decoding(
                artifact, h, data.test.sample(96, 0), ways[way], len(cases), candidates=known, what=way
            )
            config = operation.decode_config(ways[way])

            def decode(cases=cases, config=config, h=h, artifact=artifact, known=known):
                start = h.graphs(cases.inputs) if config.needs_start else None
                target = h.predict(cases.inputs)
                ele.evaluation.judging.decode_many(artifact.psi, target, candidates=known, start=start, config=config)

            rows.append(_compared(f"decoding, {name} {kind}, {way}", expected, decode))
    fine = sum(row["within"] for row in rows)
    return {"runs": rows, "within": fine / len(rows), "factor": WITHIN}


def _compared(what: str, expected: operation.estimate.Estimate, run: Any) -> dict[str, Any]:
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    factor = max(expected.seconds / seconds, seconds / expected.seconds)
    held = expected.low <= seconds <= expected.high
    print(f"{what}: expected {expected.seconds:.1f} s, took {seconds:.1f} s", file=sys.stderr)
    return {
        "what": what,
        "expected": expected.seconds,
        "took": seconds,
        "within": factor <= WITHIN,
        "in_interval": held,
    }


def compress(args: argparse.Namespace) -> dict[str, Any]:
    """The shipped losses as they are and compressed, on test cases that the choice was not made on."""
    rows = []
    for name, kind in (("molecules7", "description"), ("faults", "report"), ("qm9", "smiles")):
        if not datasets.available_offline(name):
            continue
        artifact = ele.load(name)
        data = datasets.load(name, inputs=kind, vocabulary=artifact.vocabulary, prepare=artifact.prepare)
        _, h = artifact.surrogate(kind)
        known = None if h.has_graph_head else ele.Candidates.of(artifact.psi, data.train.graphs)
        found = operation.compress.compress(
            artifact, data.validation.sample(args.cases), surrogate=kind, candidates=known
        )
        best = found.best()
        pair = [found.variants[0], found.variants[best]]
        test = data.test.sample(args.cases, 1)
        measured = []
        for one in pair:
            own = None if known is None else ele.Candidates.of(one.artifact.psi, known.graphs)
            predictor = operation.Predictor(one.artifact, surrogate=kind, candidates=own, settings=one.settings)
            start = predictor.h.graphs(test.inputs) if h.has_graph_head else None
            target, chosen = predictor.h.predict(test.inputs), {one.way: one.settings}
            options: dict[str, Any] = {"candidates": own, "start": start}
            table = operation.ways.measure_ways(one.artifact.psi, target, test.graphs, chosen, **options)
            measured.append(table.iloc[0].to_dict())
        rows.append({
            "loss": name, "h": kind, "chosen": f"{pair[1].precision}, {pair[1].way}",
            "size": float(found.table["size"][best]),
            "times_faster": measured[0]["milliseconds"] / measured[1]["milliseconds"],
            "exact_before": measured[0]["exact"], "exact_after": measured[1]["exact"], "cases": len(test),
        })  # fmt: skip
        print(rows[-1], file=sys.stderr)
    return {"compressed": rows}


def writings(rows: int, folder: Path) -> Path:
    """A parquet file with random writings of the molecules of QM9."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    artifact = ele.load("qm9")
    data = datasets.load("qm9", inputs="smiles", vocabulary=artifact.vocabulary, prepare=artifact.prepare)
    known = [text for part in (data.train, data.validation, data.test) for text in part.inputs or ()]
    path, made, turn = folder / "writings.parquet", 0, 0
    schema = pa.schema([("number", pa.int64()), ("smiles", pa.string())])
    with pq.ParquetWriter(str(path), schema) as writer:
        while made < rows:
            some = randomize_smiles(known[: rows - made], turn)
            numbers = pa.array(range(made, made + len(some)), pa.int64())
            writer.write_table(pa.table({"number": numbers, "smiles": pa.array(some, pa.string())}, schema))
            made, turn = made + len(some), turn + 1
    return path


def bulk(args: argparse.Namespace) -> dict[str, Any]:
    """A large file, killed again and again: each row must be there once."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, output = writings(args.rows, folder), folder / "out.parquet"
        command = [sys.executable, "-m", "elekit.cli", "predict", "--artifact", "qm9", "--candidates", "none"]
        command += [
            "--input",
            str(source),
            "--output",
            str(output),
            "--keep",
            "number",
            "--workers",
            str(args.workers),
        ]
        command += ["--method", args.method] if args.method else []
        draw, kills, peak, began = random.Random(0), 0, 0, time.perf_counter()
        while True:
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
            until = time.monotonic() + draw.uniform(20, 20 + args.between) if kills < args.kills else float("inf")
            while run.poll() is None and time.monotonic() < until:
                peak = max(peak, _memory_of_group(run.pid))
                time.sleep(0.5)
            if run.poll() is not None:
                break
            run.send_signal(signal.SIGKILL)  # the workers end by themselves
            run.wait()
            kills += 1
        seconds = time.perf_counter() - began
        rows, wrong, failed = 0, 0, 0
        with pq.ParquetFile(output) as file:
            for batch in file.iter_batches(columns=["row", "number", "failed"]):
                for row, number in zip(batch.column("row").to_pylist(), batch.column("number").to_pylist()):
                    wrong += row != rows or int(number) != rows
                    rows += 1
                failed += batch.num_rows - batch.column("failed").null_count
        return {
            "rows": args.rows, "kills": kills, "status": run.returncode,
            "lost_or_doubled": wrong + abs(args.rows - rows),
            "failed": failed, "seconds": seconds, "peak_memory_gb": peak / 1e9, "workers": args.workers,
        }  # fmt: skip


def _memory_of_group(leader: int) -> int:
    """Proportional memory of all processes of a session, in bytes (Linux)."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == leader:
                lines = (path / "smaps_rollup").read_text().splitlines()
                total += 1_024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ValueError, IndexError):
            continue
    return total


def dask(args: argparse.Namespace) -> dict[str, Any]:
    """One and two workers in turn, several times, on the same rows; and the overhead of a part."""
    from dask.distributed import Client, LocalCluster

    with tempfile.TemporaryDirectory() as place:
        source = writings(args.rows, Path(place))
        import pandas as pd

        texts = pd.read_parquet(source)["smiles"].tolist()
        size = operation.bulk.PART_ROWS // 4
        parts = [texts[i : i + size] for i in range(0, len(texts), size)]
        spec = json.dumps(operation.PredictorSpec("qm9", **QUICK).to_json())
        spent: dict[int, list[float]] = {1: [], 2: []}
        inside = []
        clusters = {n: LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None) for n in spent}
        clients = {n: Client(cluster) for n, cluster in clusters.items()}
        for client in clients.values():  # each worker loads the artifact once, before the time is taken
            client.gather([client.submit(operation.bulk.answer_by_spec, spec, ["C"], pure=False, workers=[worker])
                           for worker in client.scheduler_info()["workers"] for _ in range(2)])  # fmt: skip
        for _ in range(args.repeats):
            for n, client in clients.items():
                client.run(_forget)
                began = time.perf_counter()
                found = client.gather([client.submit(_timed, spec, part, pure=False) for part in parts])
                spent[n].append(time.perf_counter() - began)
                if n == 1:
                    inside.append(sum(seconds for seconds, _ in found))
        for n in clients:
            clients[n].close()
            clusters[n].close()
    ratios = [one / two for one, two in zip(spent[1], spent[2])]
    overhead = statistics.median((a - b) / len(parts) for a, b in zip(spent[1], inside))
    each = statistics.median(inside) / len(parts)
    hundred = 100 * each / (each + 100 * max(overhead, 0.0) if overhead * 100 > each else each + overhead)
    return {
        "rows": len(texts), "parts": len(parts), "seconds": spent, "ratio": statistics.median(ratios),
        "seconds_in_a_part": each, "overhead_of_a_part": overhead, "speed_of_100_workers_by_this_model": hundred,
    }  # fmt: skip


def _timed(spec: str, part: list[str]) -> tuple[float, int]:
    began = time.perf_counter()
    answers = operation.bulk.answer_by_spec(spec, part)
    return time.perf_counter() - began, len(answers)


def _forget() -> None:
    """Workers remember answers, which the second turn must not have."""
    for spec in [json.dumps(operation.PredictorSpec("qm9", **QUICK).to_json())]:
        operation.bulk._loaded(spec).fresh()


def serve(args: argparse.Namespace) -> dict[str, Any]:
    """Requests by many clients on loopback, a promotion in between, some inputs malformed."""
    names = ("molecules7", "molecules7-corrected")
    texts = list(datasets.load("molecules7", inputs="description").test.inputs or ())
    with tempfile.TemporaryDirectory() as place:
        registry = operation.Registry(place)
        digest = {}
        for name in names:
            digest[name] = registry.add(name, by="benchmark").version
        for stage in operation.registry.STAGES[1:]:
            registry.record(digest[names[0]], stage, by="benchmark", gates={}, passed=True, before="")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        token = secrets.token_hex(8)
        command = [
            sys.executable,
            "-m",
            "elekit.cli",
            "serve",
            "--registry",
            place,
            "--port",
            str(port),
            "--poll",
            "0.5",
        ]
        command += ["--candidates", "none", "--surrogate", "description", "--method", "gradient", "--starts", "1"]
        command += ["--iterations", "3", "--max-waiting", "100000"]
        server = subprocess.Popen(command, env={**os.environ, "ELEKIT_TOKEN": token})
        client = operation.Client(f"http://127.0.0.1:{port}", token, timeout=600)
        while True:
            try:
                client.health()
                break
            except OSError:
                time.sleep(0.2)
        single = []
        for text in texts[:60]:
            began = time.perf_counter()
            client.predict(text)
            single.append(time.perf_counter() - began)
        draw, lock = random.Random(0), threading.Lock()
        requested = [(draw.choice(texts), draw.random() < MALFORMED) for _ in range(args.requests)]
        found: list[tuple[float, float, str, bool]] = []
        switched: list[float] = []

        def ask(number: int) -> None:
            text, bad = requested[number]
            own = operation.Client(client.url, token, timeout=600)
            began = time.perf_counter()
            (answer,) = own.predict([draw.choice([5, None, "", {"a": 1}]) if bad else text])
            with lock:
                found.append((began, time.perf_counter() - began, own.version, ("refused" in answer) == bad))
                if len(found) == args.requests // 3:
                    for stage in operation.registry.STAGES[1:]:
                        before = registry.stages()[stage]
                        registry.record(digest[names[1]], stage, by="benchmark", gates={}, passed=True, before=before)
                    switched.append(time.perf_counter())

        with ThreadPoolExecutor(CLIENTS) as pool:
            errors = sum(
                future.exception() is not None for future in [pool.submit(ask, i) for i in range(args.requests)]
            )
        server.send_signal(signal.SIGTERM)
        status = server.wait(120)
    last_old = max(began for began, _, version, _ in found if version == digest[names[0]])
    first_new = min((began for began, _, version, _ in found if version == digest[names[1]]), default=float("nan"))
    unknown = sum(version not in digest.values() for *_, version, _ in found)
    before = sum(version != digest[names[0]] for began, _, version, _ in found if began + 1e-9 < switched[0] - 5)
    seconds = sorted(spent for _, spent, *_ in found)
    p95, one = seconds[int(0.95 * len(seconds))], statistics.median(single)
    return {
        "requests": args.requests, "clients": CLIENTS, "lost": args.requests - len(found), "errors": errors,
        "wrong_version": unknown + before, "not_refused_or_refused_wrongly": sum(not fine for *_, fine in found),
        "seconds_from_promotion_to_new_answers": first_new - switched[0],
        "seconds_to_last_old_answer": last_old - switched[0],
        "single_ms": 1_000 * one, "p50_ms": 1_000 * statistics.median(seconds), "p95_ms": 1_000 * p95,
        "p95_over_single": p95 / one, "exit_status": status,
    }  # fmt: skip


PARTS = {"estimates": estimates, "compress": compress, "bulk": bulk, "dask": dask, "serve": serve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of bulk and dask")
    parser.add_argument("--kills", type=int, default=30, help="of bulk")
    parser.add_argument("--between", type=float, default=20.0, help="most seconds between kills, after the first 20")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of bulk")
    parser.add_argument("--method", help="of decoding, of bulk")
    parser.add_argument("--repeats", type=int, default=3, help="of dask")
    parser.add_argument("--cases", type=int, default=500, help="of compress")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of serve")
    args = parser.parse_args()
    print(json.dumps(PARTS[args.part](args), indent=1))


if __name__ == "__main__":
    main()
