"""`elekit benchmark`: a task of the field, all methods, one results file."""

from elekit.cli import sources


def benchmark(chosen):
    from elekit import benchmark

    if chosen.task == "report":
        _report(chosen)
        return
    plan = benchmark.planned(
        chosen.task, methods=chosen.method, labels=chosen.labels, seeds=chosen.seeds, noise=chosen.noise
    )
    if chosen.list:
        there = benchmark.read(benchmark.results.path_of(chosen.task, chosen.results))
        lines = [
            f"{'done' if benchmark.results.is_there(there, run) else 'open'}  {benchmark.runner.described(run)}"
            for run in plan
        ]
        sources.say(chosen, {"runs": plan}, lines)
        return
    done = benchmark.run_all(
        plan,
        folder=chosen.results,
        work=chosen.work,
        threads=chosen.threads,
        progress=sources.shows_bars(chosen),
    )
    path = benchmark.results.path_of(chosen.task, chosen.results)
    document = {"task": chosen.task, "runs": len(plan), "done now": done, "results": str(path)}
    sources.say(chosen, document, [f"{name:>10}  {value}" for name, value in document.items()])


def _report(chosen):
    from elekit.benchmark import report, results

    ours = chosen.results.resolve() == results.RESULTS.resolve()  # the README quotes what comes along, nothing else
    written = [str(path) for path in report.write(chosen.results, report.README if ours else None)]
    sources.say(chosen, {"written": written}, written)
