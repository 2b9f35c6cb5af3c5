"""Command line: `python -m benchmarks TASK` runs a task, `python -m benchmarks report` writes the results page."""

import argparse
import json
import sys
from pathlib import Path

import benchmarks
from benchmarks import results, runner
from benchmarks.tasks import TASKS
from elekit.cli import process

DESCRIPTION = "Run a benchmark task with every method and append the results to the task's results file."
EPILOG = """\
examples:
  python -m benchmarks smi2mol --labels 5000   every method on QM9 with 5,000 labeled pairs
  python -m benchmarks smi2mol --list          which runs are done and which are open
  python -m benchmarks report                  tables and figures of all results, for data/results/README.md

Runs that are already in the results file are skipped. After Ctrl-C, SIGTERM or SIGHUP, the same command resumes.
exit status: 0 success, 1 error (one line on standard error), 2 wrong usage, 130, 143 or 129 after Ctrl-C, SIGTERM or
SIGHUP (progress is kept), 141 if the reader of standard output has gone
"""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "task",
        metavar="TASK",
        help=f"{', '.join(TASKS)}; or 'report' to write the page and the figures of all results",
    )
    parser.add_argument("--method", action="append", metavar="NAME", help="run only this method; repeatable")
    parser.add_argument(
        "--labels", action="append", type=_labels, metavar="N", help="number of labeled pairs, or 'all'; repeatable"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="number of seeds for each size (default: the task's)")
    parser.add_argument(
        "--noise", action="append", type=_noise, metavar="KIND:RATE", help="such as labels:0.1, or 'none'; repeatable"
    )
    parser.add_argument("--list", action="store_true", help="list done and open runs without running any")
    parser.add_argument(
        "--results", type=Path, default=Path("data/results"), metavar="FOLDER", help="results (default: %(default)s)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/benchmark"),
        metavar="FOLDER",
        help="checkpoints (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run, continued="finished runs are kept; the same command continues from what is saved")
    return parser


def _labels(text: str) -> int | None:
    return None if text == "all" else int(text)


def _noise(text: str) -> tuple[str, float] | None:
    kind, _, rate = text.partition(":")
    return None if text == "none" else (kind, float(rate))


def run(args: argparse.Namespace) -> None:
    """Run or list the runs of a task, or write the report."""
    if args.task == "report":
        write_report(args)
        return
    plan = benchmarks.plan_runs(
        args.task, methods=args.method, labels=args.labels, seeds=args.seeds, noise=args.noise
    )
    path = results.results_path(args.task, args.results)
    if args.list:
        done = results.read_runs(path)
        lines = [f"{'done' if results.is_done(done, one) else 'open'}  {runner.describe_run(one)}" for one in plan]
        show(args, {"runs": plan}, lines)
        return
    progress = not args.json and sys.stderr.isatty()
    executed = benchmarks.run_all(plan, folder=args.results, work=args.work, threads=args.threads, progress=progress)
    document = {"task": args.task, "runs": len(plan), "executed": executed, "results": str(path)}
    show(args, document, [f"{name:>10}  {value}" for name, value in document.items()])


def write_report(args: argparse.Namespace) -> None:
    from benchmarks import report  # matplotlib loads here

    own_results = args.results.resolve() == results.RESULTS.resolve()  # the README shows only the shipped results
    written = [str(path) for path in report.write(args.results, report.README if own_results else None)]
    show(args, {"written": written}, written)


def show(args: argparse.Namespace, document: dict, lines: list[str]) -> None:
    """Print the document as JSON, or the lines."""
    text = process.printable("\n".join(lines))
    sys.stdout.write((json.dumps(document, indent=1, default=str) if args.json else text) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    return process.run("benchmarks", parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
