"""ELE against what people would use instead, on the tasks of the literature (floor 4).

tasks     the data, the splits, what is judged       noise    training pairs and inputs spoilt on purpose
problem   what a method is given                     methods  every method, behind one interface
runner    runs, resumed and never repeated           results  the file they go to, and the table of it
"""

from benchmarks.methods import METHODS
from benchmarks.results import RESULTS, read, table
from benchmarks.runner import planned, run_all
from benchmarks.tasks import TASKS

__all__ = ["METHODS", "RESULTS", "TASKS", "planned", "read", "run_all", "table"]
