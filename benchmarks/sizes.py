"""What graphs of very different sizes cost: `python -m benchmarks.sizes`, some minutes on one core.

The file is like Tox21: 8,014 molecules, here of ChEMBL (median 24 heavy atoms), six peptides of up to 127 atoms, and
20 rare elements. One thread trains psi for a few steps on it, and on molecules of its mean size.
"""

import resource
import sys
import time
from unittest.mock import patch

import pandas as pd
import torch

from elekit import datasets
from elekit.datasets import Dataset
from elekit.graphs.packed import PackedGraphs
from elekit.training import EmbeddingTraining, embedding
from elekit.training.loop import TrainerConfig

ROWS, STEPS, WARM = 8_014, 12, 2
LINKS = (10, 14, 18, 22, 26, 27)  # of the peptides
IONS = "Na+ K+ Li+ Ca+2 Mg+2 Zn+2 Fe+2 Cu+2 Ag+ Ba+2 Al+3 Co+2 Ni+2 Mn+2 Au Hg Pb Sn Se Te"


def molecules() -> list[str]:
    """SMILES of the file."""
    texts = datasets.load("chembl").train.frame["smiles"].sample(ROWS, random_state=0).tolist()
    peptides = ["N" + "".join(("C(C)C(=O)N", "CC(=O)N")[i % 2] for i in range(n)) + "CC(=O)O" for n in LINKS]
    ions = [f"[{ion}]" for ion in IONS.split()]
    return peptides + ions + texts[len(peptides) + len(ions) :]


def read(texts: list[str]) -> Dataset:
    """The data set of a table with these SMILES."""
    return datasets.from_frame(pd.DataFrame({"smiles": texts}), smiles="smiles")


def seconds_per_step(graphs: PackedGraphs) -> float:
    """Seconds of a step of psi, without what comes before and after."""
    times = []
    for steps in (WARM, WARM, WARM + STEPS):
        training, started = EmbeddingTraining(loop=TrainerConfig(steps, 2e-3)), time.perf_counter()
        with patch.object(embedding, "measure_health", return_value=None):  # which takes longer than these steps
            embedding.fit_embedding(graphs, training=training, progress=False)
        times.append(time.perf_counter() - started)
    return (times[2] - times[1]) / STEPS


def memory() -> float:
    """Largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> int:
    torch.set_num_threads(1)
    texts = molecules()
    started = time.perf_counter()
    data = read(texts)
    tell("seconds of loading", time.perf_counter() - started)
    graphs, sizes = data.train.graphs, data.train.graphs.sizes
    alike = graphs[(sizes - sizes.float().mean().round()).abs() <= 1]
    step, reference = seconds_per_step(graphs), seconds_per_step(alike)
    tell("seconds of a step", step)
    nodes = sizes.float().mean().item() / alike.sizes.float().mean().item()
    tell("times a step on as many nodes in graphs of one size", step / reference / nodes)
    tell("largest memory, GB", memory())
    for atoms in (492, 620):
        data = read([*texts[100:1_500], "C" * atoms])
        seconds_per_step(data.train.graphs)
        tell(f"largest memory with a molecule of {atoms} atoms, GB", memory())
        sys.stdout.write("".join(f"  {line}\n" for line in data.advice))
    return 0


def tell(what: str, figure: float) -> None:
    sys.stdout.write(f"{what}: {figure:.2f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
