"""ELE against what people would use instead, on the tasks of the literature (floor 4).

    tasks     the data, the splits, what is judged       noise    training pairs and inputs spoilt on purpose
    problem   what a method is given                     methods  every method, behind one interface
    runner    runs, resumed and never repeated           results  the file they go to, and the table of it
"""

from elekit.benchmark.methods import METHODS
from elekit.benchmark.results import RESULTS, read, table
from elekit.benchmark.runner import planned, run_all
from elekit.benchmark.tasks import TASKS

__all__ = ["METHODS", "RESULTS", "TASKS", "planned", "read", "run_all", "table"]
