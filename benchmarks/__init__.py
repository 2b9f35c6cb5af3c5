"""Benchmark of ELE against other methods for structured prediction. Run as `python -m benchmarks TASK`.

    tasks       data sets, splits and what is evaluated     noise       corruption of training pairs and inputs
    task_data   what a method receives                      methods     all methods behind one interface
    runner      executes runs, resumable                    results     the results files and their table
    aggregate   means over seeds and paired differences     report      the results page, its tables and figures

The package depends on elekit; nothing in elekit depends on it.
"""

from benchmarks.methods import METHODS
from benchmarks.results import RESULTS, read_runs, to_table
from benchmarks.runner import plan_runs, run_all
from benchmarks.tasks import TASKS

__all__ = ["METHODS", "RESULTS", "TASKS", "plan_runs", "read_runs", "run_all", "to_table"]
