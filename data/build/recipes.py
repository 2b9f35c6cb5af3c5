"""How the shipped artifacts are made: `python data/build/recipes.py NAME`, from the repository root.

An interrupted training continues when the same command runs again.

molecules7: psi and two h (description, smiles); about 6 minutes on two cores.
qm9: psi and h (smiles) on real QM9; about 1 h 30 min on one core.
faults: psi and h (report) on reports of a packaging line; about 45 minutes on one core.
chembl24: psi and h (smiles) on the molecules of ChEMBL of 10 to 24 heavy atoms; about 2 hours on one core.
chembl40: the same up to 40 heavy atoms, not shipped; about 4 hours on one core.
    For all of them, `--surrogate NAME` trains one h again, on the stored psi.
repeats: nine more psi of molecules7, five with other seeds, four on halves of its graphs; about 20 minutes.
corrected: the molecules7 loss corrected by data/examples/rules.json, and its h for descriptions; about 4 minutes.
readers: what each shipped h records about its inputs, with limits from validation pairs; about a minute.
card: the shipped loss card of molecules7, with a second measurement; about three quarters of an hour.
maps: the shipped UMAP maps of molecules7; about a minute. Make them again after the models.
pictures: the picture of decoding in the README.
figures: the weaknesses of the qm9 loss that the README reports, as JSON.
faithfulness: whether Shapley values of the shipped losses find the parts that matter; about a minute.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from elekit import datasets
from elekit.datasets import Prepare
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig
from elekit.model.loss import points_of
from elekit.model.surrogate import BackboneConfig
from elekit.model.surrogate.reader import make_reader
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate
from elekit.training.loop import TrainerConfig, raise_if_interrupted
from elekit.training.reruns import fit_repeats
from elekit.training.surrogate import calibrate_reader, settings

if TYPE_CHECKING:
    import pandas as pd

PICTURES = Path(__file__).resolve().parents[2] / "notebooks" / "pictures"
MAPS = datasets.named.SHIPPED / "maps"
CORRECTED = "molecules7-corrected"
MOLECULES = ("molecules7", "qm9", "chembl24")
SHIPPED = (*MOLECULES, "faults")
RULES = datasets.named.SHIPPED / "examples" / "rules.json"
PICTURED = 200  # row of the test split
POOL = 4_000  # test graphs that pairs come from


@dataclass(frozen=True)
class Recipe:
    """One data set, one psi, and an h for each kind of input: (backbone, training)."""

    name: str
    training: EmbeddingTraining
    surrogates: dict[str, tuple[BackboneConfig, SurrogateTraining]]
    config: EmbeddingConfig = EmbeddingConfig()
    seed: int = 0
    precision: str = "float16"
    psi_precision: str = "float32"
    data: str | None = None  # None = the name
    prepare: Prepare | None = None

    @property
    def precisions(self) -> dict[str, str]:
        """How weights are stored, for `artifacts.save`."""
        return {"precision": self.precision, "psi_precision": self.psi_precision}

    def load(self, inputs: str | None = None, **options: Any) -> datasets.Dataset:
        """The data set with these inputs, in the splits of the recipe."""
        name = self.data or self.name
        return datasets.load(name, inputs=inputs, seed=self.seed, prepare=self.prepare, **options)


def _loop(steps: int, every: int, learning_rate: float = 2e-3, matmul_precision: str = "medium") -> TrainerConfig:
    return TrainerConfig(
        steps=steps,
        learning_rate=learning_rate,
        validate_every=every,
        checkpoint_every=every,
        matmul_precision=matmul_precision,
    )


def _chembl(max_nodes: int) -> Recipe:
    """Real size: hard negatives and less softening, since there are more edits to tell apart."""
    psi = EmbeddingTraining(
        loop=_loop(12_000, 250, matmul_precision="highest"), negatives="edits", hard_negatives=2, softening=0.3
    )
    h = SurrogateTraining(loop=_loop(2_300, 230, 4e-3, "highest"), rewritten=0.5, polished=0.0, aligned=1.0)
    return Recipe(
        f"chembl{max_nodes}",
        psi,
        {"smiles": (BackboneConfig("smiles", width=128, dropout=0.1, through="graph"), h)},
        data="chembl",
        prepare=Prepare(min_nodes=10, max_nodes=max_nodes, min_count=5),
    )


RECIPES = {
    "molecules7": Recipe(
        "molecules7",
        EmbeddingTraining(loop=_loop(1_200, 300)),
        {
            "description": (
                BackboneConfig("word", width=128),
                SurrogateTraining(loop=_loop(1_400, 350), batch_size=128),
            ),
            "smiles": (
                BackboneConfig("smiles", width=128, through="graph"),
                SurrogateTraining(loop=_loop(1_400, 350, 4e-3, "highest"), batch_size=128, rewritten=0.8),
            ),
        },
    ),
    "qm9": Recipe(
        "qm9",
        EmbeddingTraining(loop=_loop(6_000, 500)),
        {
            "smiles": (
                BackboneConfig("smiles", width=128, dropout=0.2, through="graph"),
                SurrogateTraining(
                    loop=_loop(2_000, 500, 4e-3, "highest"), batch_size=256, rewritten=0.5, polished=0.0, aligned=1.0
                ),
            )
        },
    ),
    "faults": Recipe(
        "faults",
        EmbeddingTraining(
            loop=_loop(6_000, 250, matmul_precision="highest"), negatives="edits", hard_negatives=2, softening=0.3
        ),
        {
            "report": (
                BackboneConfig("word", width=128, dropout=0.3, attention=1, through="graph"),
                SurrogateTraining(
                    loop=_loop(5_000, 500, 4e-3, "highest"),
                    batch_size=64,
                    misspelled=0.5,
                    polished=0.0,
                    aligned=1.0,
                    starts=1,
                ),
            )
        },
        psi_precision="float16",
    ),
    "chembl24": _chembl(24),
    "chembl40": _chembl(40),
}


def train(
    recipe: Recipe, folder: Path, work: Path, *, by: str | None = None, progress: bool = True
) -> artifacts.Artifact:
    """Train psi and all h of a recipe and save the artifact in `folder`.

    work: folder of the checkpoints, which are resumed. by: who trains, to be recorded in the artifact.
    """
    artifact = _train_psi(recipe, work, by, progress)
    for name in recipe.surrogates:
        _train_surrogate(recipe, artifact, name, work, by, progress)
    artifacts.save(artifact, folder, **recipe.precisions, keep_previous=False)
    return artifact


def train_surrogate(
    recipe: Recipe, name: str, folder: Path, work: Path, *, by: str | None = None
) -> artifacts.Artifact:
    """Train one h again, on the psi of the artifact in `folder`, and save it there; see `train`."""
    artifact = artifacts.load(folder)
    _train_surrogate(recipe, artifact, name, work, by, progress=True)
    artifacts.save(artifact, folder, **recipe.precisions, keep_previous=False)
    return artifact


def _train_psi(recipe: Recipe, work: Path, by: str | None, progress: bool) -> artifacts.Artifact:
    """psi and its provenance, without any h."""
    first = recipe.load(progress=progress)
    psi = fit_embedding(
        first.train.graphs,
        validation=first.validation.graphs,
        config=recipe.config,
        training=recipe.training,
        seed=recipe.seed,
        checkpoint=work / "psi.pt",
        progress=progress,
    )
    raise_if_interrupted(psi)
    about = {
        "data": first.report(),
        "seed": recipe.seed,
        "psi": {"training": asdict(recipe.training), "history": psi.history},
        "surrogates": {},
        "command": f"python data/build/recipes.py {recipe.name}",
        "trained": artifacts.training_record(work / "psi.pt", by),
    }
    return artifacts.Artifact(recipe.name, psi, about=about)


def _train_surrogate(
    recipe: Recipe, artifact: artifacts.Artifact, name: str, work: Path, by: str | None, progress: bool
) -> None:
    """Train one h and add it to the artifact with its provenance."""
    backbone, training = recipe.surrogates[name]
    data = recipe.load(name)
    h = fit_surrogate(
        artifact.psi,
        data.train,
        validation=data.validation,
        backbone=backbone,
        training=training,
        seed=recipe.seed,
        checkpoint=work / f"h-{name}.pt",
        progress=progress,
    )
    raise_if_interrupted(h)
    artifact.surrogates[name] = h
    artifact.about["surrogates"][name] = {
        "training": settings(training, has_graph_head=h.has_graph_head, pairs=len(data.train)),
        "history": h.history,
        "digest": data.digest,
        "trained": artifacts.training_record(work / f"h-{name}.pt", by),
    }


def correct_loss(folder: Path, work: Path, by: str | None = None) -> int:
    """Run `elekit correct` on the molecules7 loss and save it in half precision; returns the exit status."""
    from elekit import cli

    command = ["correct", "--artifact", "molecules7", "--rules", str(RULES), "--data", "molecules7", "--refit"]
    command += ["--input", "description", "--out", str(work), *(["--by", by] if by else [])]
    if status := cli.main(command):
        return status
    artifact = artifacts.load(work)
    artifact.about["command"] = "python data/build/recipes.py corrected"
    artifacts.save(artifact, folder, precision="float16", psi_precision="float16", keep_previous=False)
    return 0


def record_readers(_: Path | None = None) -> None:
    """Record anew what each shipped h knows about its inputs; weights stay as they are."""
    for folder in (artifacts.MODELS / name for name in (*SHIPPED, CORRECTED)):
        artifact, recipe = artifacts.load(folder), RECIPES[folder.name.partition("-")[0]]
        for name, h in artifact.surrogates.items():
            data = recipe.load(name, vocabulary=artifact.vocabulary)
            h.reader = make_reader(data.train.inputs, artifact.vocabulary)
            calibrate_reader(h, artifact.psi, data.validation, points_of(artifact.psi, data.train.graphs))
        stored = "float16" if folder.name == CORRECTED else recipe.psi_precision
        artifacts.save(artifact, folder, precision="float16", psi_precision=stored)


def make_card(path: Path | None) -> None:
    """Make the card of the molecules7 loss."""
    from elekit import card

    limits = RULES.with_name("limits.toml")
    command = "elekit card --artifact molecules7 --limits data/examples/limits.toml --replicate --out card.html"
    made = card.make("molecules7", limits=limits, replicate=True, command=command, progress=True)
    made.save(path or card.SHIPPED)


def fit_maps(folder: Path | None) -> None:
    """Fit the maps that the explorer uses: of the test split, and of all molecules of molecules7."""
    from elekit.graphs.packed import PackedGraphs
    from elekit.inspect import maps

    data, psi = datasets.load("molecules7"), artifacts.load("molecules7").psi
    test = data.test.graphs
    for graphs in (test, PackedGraphs.cat([data.train.graphs, data.validation.graphs, test])):
        maps.save_map(maps.fit_map(points_of(psi, graphs)), maps.map_key(psi, graphs), folder or MAPS)


def draw_pictures(folder: Path | None) -> None:
    """Draw the picture of the README: decoding of a test description."""
    from elekit import decoding, draw
    from elekit.datasets.files import write_atomically

    artifact = artifacts.load("molecules7")
    _, h = artifact.surrogate("description")
    case = datasets.load("molecules7", inputs="description").test.take([PICTURED])
    config = decoding.DecodeConfig(method="gradient", gradient=decoding.GradientConfig(iterations=40))
    _, (trace,) = decoding.decode(artifact.psi, h.predict(case.inputs), config=config, record=True)
    figure = draw.trace(trace, truth=case.graphs)
    write_atomically(
        (folder or PICTURES) / "decoding.png", lambda partial: figure.savefig(partial, format="png", dpi=110)
    )
    sys.stderr.write(f"{case.inputs[0]}\n")


def measure_weaknesses(pairs: int = 400, drawn: int = 2_000) -> dict:
    """Figures of the README: loss between drawings of one molecule, and rank correlation with edit distance (qm9)."""
    from scipy.stats import spearmanr

    from elekit.graphs import augment
    from elekit.graphs.edit_distance import edit_distance
    from elekit.graphs.smiles import from_smiles, to_smiles
    from elekit.model.loss import LearnedLoss

    figures = {}
    for name in MOLECULES:
        artifact = artifacts.load(name)
        loss, test = LearnedLoss(artifact.psi), RECIPES[name].load(vocabulary=artifact.vocabulary).train
        texts = [text for text in to_smiles(test.sample(drawn).graphs) if text]
        ways = [from_smiles([_redrawn(text, seed) for text in texts], artifact.vocabulary) for seed in (1, 2)]
        figures[f"largest loss between two drawings of one molecule, {len(texts):,} of {name}"] = loss(*ways).max()
    artifact = artifacts.load("qm9")
    loss, graphs = LearnedLoss(artifact.psi), datasets.load("qm9").test.sample(2 * pairs).graphs
    generator = torch.Generator().manual_seed(0)
    steps = torch.randint(1, 7, (pairs,), generator=generator)
    others = {
        "random pairs": graphs[pairs:],
        "walks of edits": augment.random_edits(graphs[:pairs], steps, generator),
    }
    for name, other in others.items():
        distance = edit_distance(graphs[:pairs], other).distance
        figures[f"rank correlation with edit distance, {name}"] = spearmanr(loss(graphs[:pairs], other), distance)[0]
    return {name: round(float(value), 3) for name, value in figures.items()}


def _redrawn(smiles: str, seed: int) -> str:
    """A SMILES with double bonds in place of aromatic ones, along a random path; where they lie depends on it."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    order = torch.randperm(molecule.GetNumAtoms(), generator=torch.Generator().manual_seed(seed)).tolist()
    molecule = Chem.RenumberAtoms(molecule, order)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    text: str = Chem.MolToSmiles(molecule, kekuleSmiles=True, canonical=False)
    return text


def measure_faithfulness(name: str, pairs: int = 60, seed: int = 0) -> "pd.DataFrame":
    """Summary of `elekit.inspect.faithfulness` of a shipped loss, on near and on random pairs of test graphs."""
    import pandas as pd

    from elekit import inspect
    from elekit.inspect.faithfulness import near_and_random
    from elekit.model.loss import points_of

    psi, graphs, tables = artifacts.load(name).psi, RECIPES[name].load().test.sample(POOL).graphs, []
    points = points_of(psi, graphs)
    for kind, (rows, anchors) in near_and_random(points, pairs, seed=seed).items():
        summary = inspect.faithfulness(psi, graphs[rows], points[anchors], seed=seed).summary()
        summary.insert(0, "of", kind)
        tables.append(summary)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "loss", name)
    return table


def print_weaknesses(_: Path | None) -> None:
    sys.stdout.write(json.dumps(measure_weaknesses(), indent=1) + "\n")


def print_faithfulness(_: Path | None) -> None:
    for name in MOLECULES:
        table = measure_faithfulness(name).drop(columns=["ahead", "ahead_low", "ahead_high"])
        sys.stdout.write(table.round(3).to_string(index=False) + "\n")


OTHERS = {
    "readers": record_readers,
    "card": make_card, "maps": fit_maps, "pictures": draw_pictures, "figures": print_weaknesses,
    "faithfulness": print_faithfulness,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python data/build/recipes.py", description=__doc__)
    parser.add_argument("name", choices=[*RECIPES, "repeats", "corrected", *OTHERS], help="what to make")
    parser.add_argument("--out", type=Path, help="folder of the artifact (default: data/models/NAME)")
    parser.add_argument("--work", type=Path, help="folder of the checkpoints (default: runs/NAME)")
    parser.add_argument("--surrogate", help="train only this h again, on the psi of the stored artifact")
    parser.add_argument("--by", help="who trains, to be recorded in the artifact")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    args = parser.parse_args(arguments)
    known = RECIPES[args.name].surrogates if args.name in RECIPES else ()
    if args.surrogate and args.surrogate not in known:
        parser.error(f"{args.name} has no surrogate {args.surrogate!r}; it has {', '.join(known) or 'none'}")
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.name in OTHERS:
        OTHERS[args.name](args.out)
        return 0
    name = {"repeats": "molecules7", "corrected": CORRECTED}.get(args.name, args.name)
    out, work = args.out or artifacts.MODELS / name, args.work or Path("runs") / name
    try:
        if args.name == "repeats":
            command = "python data/build/recipes.py repeats"
            fit_repeats(out, datasets.load(name), work=work, by=args.by, command=command)
        elif args.name == "corrected":
            if status := correct_loss(out, work, by=args.by):
                return status
        elif args.surrogate:
            train_surrogate(RECIPES[name], args.surrogate, out, work, by=args.by)
        else:
            train(RECIPES[name], out, work, by=args.by)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; progress is saved, run the same command to continue\n")
        return 130
    sys.stderr.write(f"saved in {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
