"""For teachers: grade notebooks, print the answer key, or run the 90-minute path.

python notebooks/checks grade anna.ipynb ben.ipynb     which exercises are solved
python notebooks/checks key 01_graphs_as_tensors       the answers, computed now
python notebooks/checks path                           run the 90-minute path, with the time of each lesson
"""

import argparse
import contextlib
import csv
import os
import sys
import textwrap
import time
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(NOTEBOOKS), str(NOTEBOOKS.parent / "data" / "build")]  # checks; flats, of lesson 06

from checks import grading  # noqa: E402 (needs the path above)

COLUMNS = ("file", "lesson", "name", "kind", "result", "message")


def grade(files: list[Path], seconds: float, table: Path | None) -> int:
    """Print the grades of notebooks, and write them as csv, one by one; returns the exit status."""
    failed = False
    with contextlib.ExitStack() as stack:
        write = None
        if table is not None:
            if table.exists() and table.suffix != ".csv":
                print(f"{table} exists and is no .csv; name another file", file=sys.stderr)
                return 1
            kept = stack.enter_context(table.open("w", newline="", encoding="utf-8-sig", errors="backslashreplace"))
            write = csv.writer(kept).writerow
            write(COLUMNS)
        for file in files:
            try:
                lesson, grades = grading.grade(file, seconds)
            except ValueError as error:
                failed = True
                print(error, file=sys.stderr)
                lesson, grades = "", [grading.Grade("", False, grading.FAILED, str(error))]
            else:
                print(f"{file}: {lesson}, {summary(grades)}", flush=True)
                for one in grades:
                    print(f"  {one.name:<22} {one.result:<12} {one.message}", flush=True)
            for one in grades if write else ():
                kind = "guess" if one.is_guess else "exercise"
                write([plain(text) for text in (str(file), lesson, one.name, kind, one.result, one.message)])
                kept.flush()
    return 1 if failed else 0


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def positive(text: str) -> float:
    """A time limit in seconds."""
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise ValueError
    return seconds


def summary(grades: list[grading.Grade]) -> str:
    """How many exercises are solved, and how many guesses were made."""
    solved = [one.result == grading.CORRECT for one in grades if not one.is_guess]
    made = [one.result in (grading.CORRECT, grading.WRONG) for one in grades if one.is_guess]
    return f"exercises {sum(solved)} of {len(solved)}, guesses made {sum(made)} of {len(made)}"


def print_key(wanted: list[str]) -> int:
    """Print the answers to the exercises and guesses of lessons; returns the exit status."""
    known = grading.lessons()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"{unknown[0]} is not one of the lessons {', '.join(known)}", file=sys.stderr)
        return 1
    os.chdir(NOTEBOOKS)
    for name in wanted or known:
        print(f"# {name}\n", flush=True)
        for task, one in grading.key(known[name]):
            print(f"{task.name}: {one.message}", flush=True)
            print(textwrap.indent(task.solution, "    "), end="", flush=True)
        print(flush=True)
    return 0


def run_path() -> int:
    """Execute the cells of the 90-minute path, each lesson in a kernel of its own; returns the exit status."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    total, known = 0.0, grading.lessons()
    for name in grading.path(known):
        lesson = nbformat.v4.new_notebook(cells=[cell for cell in known[name] if grading.PATH in grading.tags(cell)])
        started = time.perf_counter()
        try:
            NotebookClient(lesson, timeout=600, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
        except CellExecutionError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        total += time.perf_counter() - started
        print(f"{name:<32} {len(lesson.cells):3} cells {time.perf_counter() - started:6.0f} s", flush=True)
    print(f"{'all':<32} {total:16.0f} s")
    return 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python notebooks/checks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("grade", help="which exercises of notebooks are solved (their answers are executed)")
    one.add_argument("files", nargs="+", type=Path, metavar="NOTEBOOK")
    one.add_argument("--seconds", type=positive, default=300.0, help="time limit of each answer (default: 300)")
    one.add_argument("--csv", type=Path, metavar="FILE", help="also write a table with a row for each exercise")
    one = commands.add_parser("key", help="print the answers to exercises and guesses, computed now")
    one.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 01_graphs_as_tensors (default: all)")
    commands.add_parser("path", help="run the cells of the 90-minute path, each lesson in a kernel of its own")
    options = parser.parse_args()
    if options.command == "path":
        return run_path()
    if options.command == "key":
        return print_key(options.lessons)
    return grade(options.files, options.seconds, options.csv)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files and answers may be anything
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
