"""Training by two processes is training by one: same losses, same weights, same checkpoints.

torchrun runs this file as a program in two processes, see `work`; the tests compare what they leave with one process.
"""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pandas as pd
import pytest
import torch

from elekit import datasets
from elekit.cli import main
from elekit.datasets import Split
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model import artifact as artifacts
from elekit.model.contrastive import info_nce
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import BackboneConfig
from elekit.training import (
    EmbeddingTraining,
    SurrogateTraining,
    checkpoints,
    distributed,
    embedding,
    fit_embedding,
    fit_surrogate,
    surrogate,
)
from elekit.training import loop as training_loop
from elekit.training.loop import TrainerConfig, seeded

STEPS, CUT = 20, 7
CALL = 2 * CUT + 1  # of the contrastive loss, of which a step of `psi_of` makes two
LOOP = TrainerConfig(steps=STEPS, learning_rate=5e-3, warmup=3, validate_every=8, checkpoint_every=50)
TINY = EmbeddingConfig(hidden=16, rounds=2, dim=12, walks=4)
FAST = EmbeddingTraining(LOOP, batch_size=17, temperature=0.1, max_edits=1, negatives="edits", hard_negatives=2)
VOCABULARY = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 5, capacity=(8, 8, 8), order=(1, 2))
CLI = ["--dim", "12", "--hidden", "16", "--batch-size", "24", "--device", "cpu", "--steps", "8"]


def without_health():
    return mock.patch.object(embedding, "measure_health", return_value=None)


# -- what one process and two do alike -----------------------------------------------------------------------------
def some_graphs():
    """60 random trees of five nodes."""
    generator = torch.Generator().manual_seed(0)
    nodes, edges = torch.randint(1, 4, (60, 5), generator=generator), torch.zeros(60, 5, 5, dtype=torch.long)
    for node in range(1, 5):
        other = torch.randint(node, (60,), generator=generator)
        edges[torch.arange(60), node, other] = torch.randint(1, 3, (60,), generator=generator)
    return Graph.from_labels(nodes, edges + edges.transpose(1, 2), VOCABULARY)


@contextlib.contextmanager
def recorded(at=None, number=signal.SIGINT):
    """The values of the contrastive loss; a signal comes after so many."""
    losses = []

    def recording(*given):
        losses.append(info_nce(*given))
        if len(losses) == at:
            signal.raise_signal(number)
        return losses[-1]

    with mock.patch.object(embedding, "info_nce", recording), mock.patch.object(surrogate, "info_nce", recording):
        yield losses


def psi_of(**options):
    """psi with targets, and with a penalty that every process computes alike."""

    def penalty(psi, step):
        return 0.01 * sum(weight.square().sum() for weight in psi.parameters())

    targets = torch.nn.functional.normalize(torch.randn(60, 12, generator=torch.Generator().manual_seed(1)))
    settings = {"config": TINY, "training": FAST, "device": "cpu", "progress": False, **options}
    return fit_embedding(some_graphs(), targets=targets, penalty=penalty, **settings)


def h_of():
    """h of misspelled texts, with hard negatives and without dropout."""
    graphs = some_graphs()
    with seeded(5):
        psi = GraphEmbedding(VOCABULARY, TINY).eval()
    texts = [" ".join("-abc"[label] for label in graph.nodes.argmax(-1).flatten().tolist()) for graph in graphs]
    split = Split(texts, graphs, pd.DataFrame({"key": range(len(graphs))}))
    training = SurrogateTraining(LOOP, 13, misspelled=0.3, hard_negatives=2)
    shape = BackboneConfig("word", width=8, layers=1, dropout=0.0)
    return fit_surrogate(psi, split, backbone=shape, training=training, device="cpu", progress=False)


FITS = {"psi": psi_of, "h": h_of}


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def facts(model, losses=()):
    history = [{k: v for k, v in entry.items() if k != "seconds"} for entry in model.history]
    return {"weights": weights(model), "losses": torch.tensor([loss.item() for loss in losses]), "history": history}


def result_of(fit):
    with recorded() as losses:
        return facts(fit(), losses)


def row_wise(rows):
    """The gradient of a loss over all pairs of rows, which are divided, and of a term which is not."""
    torch.manual_seed(0)
    layer, inputs = torch.nn.Linear(3, 4), torch.randn(rows, 3)
    points = distributed.divided(layer, inputs)
    ((points @ points.T).sin().sum() + layer.weight.square().sum()).backward()
    distributed.average_gradients(layer)
    return {"points": points.detach(), "gradient": layer.weight.grad}


# -- the program of each of two processes --------------------------------------------------------------------------
def work(folder):
    torch.set_num_threads(1)
    with without_health():
        with distributed.processes():
            together(folder)
        commands(folder)
        command = ["train", "embedding", "--data", str(folder / "table.csv"), "--out", str(folder / "stopped"), *CLI]
        return main([*command, "--steps", "1000000"])


def together(folder):
    rank, found = distributed.rank(), {}
    found["row-wise"] = {rows: row_wise(rows) for rows in (1, 2, 5)}
    for name, fit in FITS.items():
        found[name] = result_of(fit)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []
    with recorded(CALL if rank == 1 else None):
        cut = psi_of(checkpoint=folder / "two", callback=lambda step, _: calls.append(step))
    found["cut"], found["calls"] = facts(cut), calls
    if rank == 0:
        shutil.copy(folder / "two", folder / "two to one")
    found["two to two"] = facts(psi_of(checkpoint=folder / "two"))
    found["one to two"] = facts(psi_of(checkpoint=folder / "one"))
    ticks = iter(range(0, 10**9, 1 + 1000 * rank))  # a second, or a quarter of an hour, at each look
    with mock.patch.object(training_loop, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks)))):
        loop = replace(LOOP, minutes=0.1)
        found["limited"] = facts(psi_of(training=replace(FAST, loop=loop)))
    torch.save(found, folder / f"rank {rank}.pt")


def commands(folder):
    """Commands in all processes; status, standard output and standard error of each."""
    found, psi, rank = [], str(folder / "mine"), os.environ["RANK"]
    h = [
        "train",
        "surrogate",
        "--artifact",
        psi,
        "--data",
        str(folder / "table.csv"),
        "--steps",
        "4",
        "--device",
        "cpu",
    ]
    for command in (
        ["train", "embedding", "--data", str(folder / "table.csv"), "--out", psi, "--json", *CLI],
        [*h, "--input", "description", "--width", "12"],
        [*h, "--through", "graph"],
        ["info", "molecules7"],
        ["no such command"],
        None,
    ):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if command is None:
                    with distributed.processes():
                        psi_of(seed=distributed.rank())
                status = main(command)
            except ValueError as error:
                status = str(error)
            except SystemExit as end:
                status = end.code
        found.append((status, out.getvalue(), err.getvalue()))
    (folder / f"commands {rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    datasets.load("molecules7").train.frame[["smiles", "description"]].iloc[4:64].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def ran(table, tmp_path_factory):
    """What two processes left: their folder, and the standard error of all."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copy(table, folder)
    with recorded(CALL), without_health():
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        psi_of(checkpoint=folder / "one")
        signal.signal(signal.SIGINT, before)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    pipes = {"env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    said = ""
    with subprocess.Popen([*command, str(folder)], **pipes) as process:
        watch = threading.Timer(150, process.terminate)
        watch.start()
        for line in process.stderr:
            said += line
            if re.search(r" [1-9]\d*/1000000 ", line):  # the bar of the last training
                break
        process.terminate()
        out, rest = process.communicate(timeout=60)
        watch.cancel()
    return SimpleNamespace(folder=folder, out=out, err=said + rest)


@pytest.fixture(scope="module")
def two(ran):
    return [torch.load(ran.folder / f"rank {rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def commands_of_two(ran):
    return [json.loads((ran.folder / f"commands {rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one():
    with without_health():
        return {name: result_of(fit) for name, fit in FITS.items()}


def close(one, other, tolerance=1e-4):
    return (one["weights"] - other["weights"]).abs().max() < tolerance


# -- the tests -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fit", list(FITS))
def test_every_loss_is_that_of_one_process_and_so_are_the_weights(one, two, fit):
    for rank in (0, 1):
        losses = two[rank][fit]["losses"]
        assert len(losses) >= STEPS and (losses - one[fit]["losses"]).abs().max() < 1e-5
        assert close(two[rank][fit], one[fit])
    assert torch.equal(two[0][fit]["weights"], two[1][fit]["weights"])
    last, expected = two[0][fit]["history"][-1], one[fit]["history"][-1]
    assert last["retrieval"] == expected["retrieval"] and last["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert two[0][fit]["history"] == two[1][fit]["history"]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_gradients_of_rows_that_are_divided(two, rows):
    expected = row_wise(rows)
    for rank in (0, 1):
        for name, value in two[rank]["row-wise"][rows].items():
            assert torch.allclose(value, expected[name], atol=1e-5)


def test_a_signal_to_one_process_stops_all_after_the_same_step_and_they_go_on(one, two):
    for rank in (0, 1):
        last = two[rank]["cut"]["history"][-1]
        assert (last["step"], last["interrupted"]) == (CUT + 1, True)
        assert close(two[rank]["two to two"], one["psi"])
        assert two[rank]["two to two"]["history"][-1]["step"] == STEPS
    assert two[0]["calls"] == [0, 8, CUT + 1] and two[1]["calls"] == []


def test_a_checkpoint_of_one_process_is_resumed_by_two_and_the_other_way_round(ran, one, two):
    assert close(two[0]["one to two"], one["psi"])
    with recorded() as losses, without_health():
        resumed = facts(psi_of(checkpoint=ran.folder / "two to one"))
    assert len(losses) == 2 * (STEPS - CUT - 1) and close(resumed, one["psi"])
    assert resumed["history"][-1]["retrieval"] == one["psi"]["history"][-1]["retrieval"]


def test_the_clock_of_the_first_process_limits_all(two):
    steps = {two[rank]["limited"]["history"][-1]["step"] for rank in (0, 1)}
    assert len(steps) == 1 and 1 < steps.pop() < STEPS
    assert torch.equal(two[0]["limited"]["weights"], two[1]["limited"]["weights"])


def test_the_first_process_alone_writes_and_prints(ran, commands_of_two, table, tmp_path):
    first, second = commands_of_two
    psi, h, head, info, wrong, _ = first
    assert psi[0] == h[0] == 0 and psi[2] == ""
    history = json.loads(psi[1])["history"]
    assert h[1].count("saved in") == 1 and "fit_surrogate" in h[2]
    assert head[2] == "" or head[2].count("\n") == 1
    assert info == [1, "", "elekit: this command runs in one process; start it without torchrun\n"]
    assert wrong[0] == 2 and "invalid choice" in wrong[2]
    assert [entry[1:] for entry in second[:2] + second[3:]] == [["", ""]] * 5
    refused = head[2] + second[2][2]
    assert refused.count("\n") == 1 and "a graph head is trained by one process" in refused
    assert list(artifacts.load(ran.folder / "mine").surrogates) == ["description"]
    with without_health():
        assert (
            main(["train", "embedding", "--data", str(table), "--out", str(tmp_path / "mine"), "--json", *CLI]) == 0
        )
    alone = artifacts.load(tmp_path / "mine")
    assert alone.about["psi"]["history"][-1]["loss"] == pytest.approx(history[-1]["loss"], abs=1e-5)
    assert close({"weights": weights(alone.psi)}, {"weights": weights(artifacts.load(ran.folder / "mine").psi)})


def test_processes_with_other_settings_are_refused_by_one_error(commands_of_two):
    ends = [status for *_, (status, _, _) in commands_of_two]
    assert ends == [1, "fit_embedding: process 1 and the first were given different values: seed"]


def test_sigterm_to_torchrun_saves_what_was_reached_and_says_so_once(ran):
    assert ran.out.count("saved in") == 1 and "(interrupted)" in ran.out
    said = "elekit: interrupted; progress is saved; the same command continues from there"
    assert ran.err.count(said) == 1 and ran.err.count("fit_embedding: interrupted after") == 2  # and that of `cut`
    last = artifacts.load(ran.folder / "stopped").about["psi"]["history"][-1]
    kept, _ = checkpoints.read(ran.folder / "stopped" / "psi.checkpoint", 10**8)
    assert last["interrupted"] and kept["step"] == last["step"] >= 1


def test_without_torchrun_nothing_is_divided(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with distributed.processes():
        assert (distributed.rank(), distributed.count(), distributed.launched()) == (0, 1, None)
        points = torch.eye(3)
        assert distributed.divided(lambda rows: rows, points) is points


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed, "_count", 2)
    assert [str(training_loop.choose_device(name)) for name in ("cuda", "cuda:0", "cpu")] == [
        "cuda:1",
        "cuda:0",
        "cpu",
    ]
    monkeypatch.setattr(distributed, "_count", 1)
    assert str(training_loop.choose_device("cuda")) == "cuda"


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
