"""The training loop: learning, interruption and resuming, callbacks, errors."""

import errno
import hashlib
import itertools
import json
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from conftest import random_vertices

import elekit.datasets.files
import elekit.training.loop
from elekit.datasets import Split
from elekit.datasets.reading import isomorphism_keys
from elekit.graphs import augment, projections
from elekit.graphs.graph import to_networkx
from elekit.model.artifact import tensor_bytes
from elekit.model.contrastive import info_nce, retrieval
from elekit.model.embedding import EmbeddingConfig
from elekit.model.surrogate import BackboneConfig
from elekit.training import EmbeddingTraining, SurrogateTraining, checkpoints, fit_embedding, fit_surrogate
from elekit.training.loop import TrainerConfig, choose_device, step_generator

TINY = EmbeddingConfig(hidden=16, rounds=2, dim=12, walks=4)
LOOP = TrainerConfig(steps=12, learning_rate=5e-3, warmup=3, validate_every=4, checkpoint_every=5)
FAST = EmbeddingTraining(loop=LOOP, batch_size=16, temperature=0.1)


@pytest.fixture(scope="module")
def graphs(vocabulary):
    """60 graphs within their capacities, no two alike."""
    drawn = random_vertices(vocabulary, 400, torch.Generator().manual_seed(0), density=0.4)
    drawn = drawn[(drawn.valence_violation() == 0) & (drawn.presence().sum(1) > 2)]
    first = {key: i for i, key in reversed(list(enumerate(isomorphism_keys(to_networkx(drawn)))))}
    assert len(first) >= 60
    return drawn[sorted(first.values())[:60]]


def fit(graphs, **options):
    return fit_embedding(graphs, **{"config": TINY, "training": FAST, "device": "cpu", "progress": False, **options})


def weights(psi):
    return torch.cat([p.detach().flatten() for p in psi.parameters()])


def same(one, other):
    """Weights bit for bit, and a history equal but for the clock."""

    def without_clock(psi):
        return [{k: v for k, v in entry.items() if k != "seconds"} for entry in psi.history]

    return torch.equal(weights(one), weights(other)) and without_clock(one) == without_clock(other)


@pytest.fixture
def interrupt_at(monkeypatch):
    """Ctrl-C while the views of a step are drawn, once. Each step draws them once, and once before the first."""
    original = EmbeddingTraining.view

    def prepare(step):
        calls = iter(range(10_000))

        def view(self, *given):
            if next(calls) == 1 + step:
                monkeypatch.setattr(EmbeddingTraining, "view", original)
                raise KeyboardInterrupt
            return original(self, *given)

        monkeypatch.setattr(EmbeddingTraining, "view", view)

    return prepare


# -- learning ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("negatives", ["batch", "edits"])
def test_the_loss_falls_and_retrieval_rises(graphs, negatives):
    loop = replace(LOOP, steps=120, validate_every=1, checkpoint_every=100)
    psi = fit(graphs, training=replace(FAST, loop=loop, batch_size=60, negatives=negatives))
    assert [entry["step"] for entry in psi.history] == list(range(1, 121))
    assert psi.history[-1]["loss"] < 0.9 * psi.history[0]["loss"]
    best = psi.history[-1]["retrieval"]
    assert best > psi.history[0]["retrieval"] and best > 10 / len(graphs)
    assert not psi.training


def test_embedding_separates_other_graphs_from_views_of_its_own(graphs):
    psi = fit(graphs, training=replace(FAST, loop=replace(LOOP, steps=60), views=("softened",)))
    view = augment.softened(graphs, torch.full((len(graphs),), 0.3), step_generator(0, 0))
    own = (psi.embed(view) * psi.embed(graphs)).sum(1)
    assert (own.mean() - (psi.embed(view) @ psi.embed(graphs).T).mean()) > 0.2


def test_targets_pull_the_embedding_towards_them(graphs):
    start = fit(graphs)
    targets = projections.sphere(torch.randn(len(graphs), 12, generator=torch.Generator().manual_seed(1)))
    training = replace(FAST, loop=replace(LOOP, steps=120), target_weight=3.0)
    tuned = fit(graphs, start=start, targets=targets, training=training)
    before, after = ((psi.embed(graphs) * targets).sum(1).mean() for psi in (start, tuned))
    assert after > before + 0.15


def test_fine_tuning_starts_from_the_given_weights_and_leaves_them(graphs):
    start = fit(graphs)
    before = weights(start)
    still = fit(graphs, start=start, seed=5, training=replace(FAST, loop=replace(LOOP, learning_rate=0.0)))
    assert torch.equal(weights(still), before)
    fit(graphs, start=start)
    assert torch.equal(weights(start), before)


def test_validation_graphs_are_what_is_measured_not_what_is_learned(graphs):
    plain, held_out = fit(graphs[:40]), fit(graphs[:40], validation=graphs[40:])
    assert torch.equal(weights(plain), weights(held_out))
    assert [e["retrieval"] for e in plain.history] != [e["retrieval"] for e in held_out.history]


def test_retrieval_counts_own_nearest_rows():
    points = torch.eye(4)
    assert retrieval(points, points) == 1
    assert retrieval(points[[1, 0, 2, 3]], points) == 0.5


# -- randomness ----------------------------------------------------------------------------------------------------
def test_same_seed_same_weights_and_another_seed_others(graphs):
    one = fit(graphs, seed=3)
    torch.manual_seed(77)
    torch.rand(5)
    assert same(fit(graphs, seed=3), one)
    assert not torch.equal(weights(fit(graphs, seed=4)), weights(one))


def test_the_global_generator_and_the_matmul_precision_are_left_untouched(graphs):
    before = torch.random.get_rng_state(), torch.get_float32_matmul_precision()
    fit(graphs, training=replace(FAST, loop=replace(LOOP, matmul_precision="medium")))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_float32_matmul_precision() == before[1]


@pytest.mark.parametrize("before", [False, True])
def test_denormal_numbers_are_zero_in_training_and_afterwards_what_they_were(graphs, monkeypatch, before):
    tiny, seen = torch.tensor([1e-39]), []
    monkeypatch.setattr("elekit.training.loop._schedule", lambda *_: seen.append((tiny * 1.0).item()) or 1.0)
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor does not flush denormal numbers")
    try:
        fit(graphs)
        assert set(seen) == {0.0} and ((tiny * 1.0).item() == 0.0) is before
    finally:
        torch.set_flush_denormal(False)


def test_graphs_are_not_changed(graphs):
    before = graphs.nodes.clone(), graphs.edges.clone()
    fit(graphs)
    assert torch.equal(graphs.nodes, before[0]) and torch.equal(graphs.edges, before[1])


def test_steps_and_seeds_draw_differently():
    pairs = [(seed, step) for seed in range(5) for step in range(-1, 20)]
    assert len({torch.rand(1, generator=step_generator(*pair)).item() for pair in pairs}) == len(pairs)


# -- interrupted and resumed ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("step", [3, 5, 7, 11])
def test_a_resumed_run_equals_an_uninterrupted_one(graphs, tmp_path, interrupt_at, step):
    whole = fit(graphs)
    interrupt_at(step)
    cut = fit(graphs, checkpoint=tmp_path / "run.pt")
    assert cut.history[-1]["interrupted"] and cut.history[-1]["step"] == step
    assert not torch.equal(weights(cut), weights(whole))
    assert same(fit(graphs, checkpoint=tmp_path / "run.pt"), whole)


def test_a_run_interrupted_twice_equals_an_uninterrupted_one(graphs, tmp_path, interrupt_at):
    interrupt_at(2)
    fit(graphs, checkpoint=tmp_path / "run.pt")
    interrupt_at(4)
    assert fit(graphs, checkpoint=tmp_path / "run.pt").history[-1]["step"] == 6
    assert same(fit(graphs, checkpoint=tmp_path / "run.pt"), fit(graphs))


@pytest.fixture
def ctrl_c_heard():
    """Python's own handler of Ctrl-C; a shell that starts the tests in the background has it switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_heard")
def test_ctrl_c_in_the_middle_of_an_update_waits_for_its_end(graphs, tmp_path, monkeypatch):
    """A real signal, after half of the work of optimizer.step: the step is finished, counted, and not taken twice."""
    original, steps = torch.optim.AdamW.step, iter(range(100))

    def step(self, *args, **kwargs):
        if next(steps) == 6:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    whole = fit(graphs)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    cut = fit(graphs, checkpoint=tmp_path / "run.pt")
    assert cut.history[-1]["interrupted"] and cut.history[-1]["step"] == 7
    assert same(fit(graphs, checkpoint=tmp_path / "run.pt"), whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_keeps_the_progress(graphs, tmp_path, interrupt_at, capsys):
    interrupt_at(7)
    cut = fit(graphs, checkpoint=tmp_path / "run.pt")
    kept, tensors = checkpoints.read(tmp_path / "run.pt", 10**8)
    assert kept["step"] == 7
    assert all(torch.equal(v, tensors[f"model.{k}"]) for k, v in cut.state_dict().items())
    assert not cut.training
    output = "".join(capsys.readouterr())
    assert "interrupted after 7 of 12 steps" in output and f"checkpoint='{tmp_path / 'run.pt'}'" in output


def test_ctrl_c_without_a_checkpoint_names_the_parameter(graphs, interrupt_at, capsys):
    interrupt_at(0)
    assert fit(graphs).history[-1]["step"] == 0
    assert "give checkpoint=" in "".join(capsys.readouterr())


@pytest.mark.parametrize(("minutes", "steps"), [(0.0, 1), (0.1, 6), (60.0, 12)])
def test_a_time_limit_ends_the_training_with_its_schedule(graphs, tmp_path, monkeypatch, minutes, steps):
    """A clock that advances by a second each step."""
    rates, step = [], torch.optim.AdamW.step

    def counted(self, *args, **options):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    monkeypatch.setattr("elekit.training.loop.time", SimpleNamespace(perf_counter=lambda: float(len(rates))))
    loop = replace(LOOP, minutes=minutes, warmup=0)
    cut = fit(graphs, training=replace(FAST, loop=loop), checkpoint=tmp_path / "run.pt")
    assert len(rates) == cut.history[-1]["step"] == steps and "interrupted" not in cut.history[-1]
    assert rates == sorted(rates, reverse=True) and (steps < 6 or rates[-1] < 0.1 * rates[0])
    assert same(fit(graphs, training=replace(FAST, loop=loop), checkpoint=tmp_path / "run.pt"), cut)
    assert len(rates) == steps  # the time is used up
    assert steps < 12 or same(cut, fit(graphs, training=replace(FAST, loop=replace(LOOP, warmup=0))))


def test_a_finished_run_is_not_run_again(graphs, tmp_path, monkeypatch):
    whole = fit(graphs, checkpoint=tmp_path / "deep" / "run.pt")
    monkeypatch.setattr(torch.optim.AdamW, "step", None)
    assert same(fit(graphs, checkpoint=tmp_path / "deep" / "run.pt"), whole)


# -- callbacks -----------------------------------------------------------------------------------------------------
def surrogate_of(psi, graphs, **options):
    vectors = torch.randn(len(graphs), 6, generator=torch.Generator().manual_seed(0))
    split = Split(vectors, graphs, pd.DataFrame({"key": range(len(graphs))}))
    shape = BackboneConfig("vector", width=8, layers=1, dropout=0.3)
    return fit_surrogate(
        psi, split, backbone=shape, training=SurrogateTraining(LOOP, 16), device="cpu", progress=False, **options
    )


def filming(film):
    """A callback that records its arguments and draws from the global generator."""

    def callback(step, model):
        torch.rand(3)
        film.append((step, model, model.training, torch.is_grad_enabled(), weights(model)))

    return callback


@pytest.mark.parametrize("which", ["embedding", "surrogate"])
def test_a_callback_does_not_change_the_result(graphs, which):
    film = []
    if which == "embedding":
        plain, watched = fit(graphs), fit(graphs, callback=filming(film))
    else:
        plain, watched = (surrogate_of(fit(graphs), graphs, **w) for w in ({}, {"callback": filming(film)}))
    assert same(plain, watched)
    assert [step for step, *_ in film] == [0, 4, 8, 12]
    assert all(model is watched and not training and not gradients for _, model, training, gradients, _ in film)
    assert torch.equal(film[-1][-1], weights(watched)) and not torch.equal(film[0][-1], film[1][-1])


def test_the_first_call_is_before_the_first_step(graphs):
    film = []
    start = fit(graphs)
    fit(graphs, start=start, callback=filming(film))
    assert film[0][0] == 0 and torch.equal(film[0][-1], weights(start))


def test_a_resumed_run_calls_back_from_its_first_step(graphs, tmp_path, interrupt_at):
    whole, film = fit(graphs), []
    interrupt_at(6)
    fit(graphs, checkpoint=tmp_path / "run.pt", callback=filming(film))
    assert [step for step, *_ in film] == [0, 4, 6]
    film.clear()
    again = fit(graphs, checkpoint=tmp_path / "run.pt", callback=filming(film))
    assert [step for step, *_ in film] == [6, 8, 12] and same(again, whole)
    film.clear()
    fit(graphs, checkpoint=tmp_path / "run.pt", callback=filming(film))
    assert [step for step, *_ in film] == [12] and torch.equal(film[0][-1], weights(whole))


def test_ctrl_c_in_a_callback_keeps_the_progress(graphs):
    calls = iter(range(10))

    def callback(step, model):
        if next(calls) == 1:
            raise KeyboardInterrupt

    cut = fit(graphs, callback=callback)
    assert [(entry["step"], entry.get("interrupted")) for entry in cut.history] == [(4, True)]


# -- what is refused -----------------------------------------------------------------------------------------------
def others(graphs):
    return {
        "seed": {"seed": 1},
        "graphs": {"graphs": graphs[:-1]},
        "config": {"config": replace(TINY, rounds=1)},
        "training": {"training": replace(FAST, temperature=0.2)},
        "fine-tuned": {"targets": torch.eye(12)[torch.arange(len(graphs)) % 12]},
    }


@pytest.mark.parametrize("what", ["seed", "graphs", "config", "training", "fine-tuned"])
def test_the_checkpoint_of_another_run_is_refused(graphs, tmp_path, what):
    path = tmp_path / "run.pt"
    fit(graphs, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"run.pt belongs to another run: {what} differ; delete it or name another"):
        fit(**{"graphs": graphs, "checkpoint": path, **others(graphs)[what]})
    assert path.read_bytes() == before


def test_the_checkpoint_of_other_targets_is_refused(graphs, tmp_path):
    targets = others(graphs)["fine-tuned"]["targets"]
    fit(graphs, targets=targets, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="fine-tuned differ"):
        fit(graphs, targets=targets.roll(1, 0), checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize("content", ["half", "nothing", "text", "older", "more", "huge"])
def test_a_broken_checkpoint_is_refused_and_left(graphs, tmp_path, content):
    path = tmp_path / "run.pt"
    fit(graphs, checkpoint=path)
    whole = path.read_bytes()
    if content == "older":
        torch.save({"step": 3}, path)
    elif content == "huge":
        os.truncate(path, 2 * 10**8)
    else:
        path.write_bytes(
            {"half": whole[: len(whole) // 2], "nothing": b"", "text": b"x\n", "more": whole + b"0"}[content]
        )
    before = path.stat().st_size, path.open("rb").read(len(whole))
    with pytest.raises(ValueError, match=r"run.pt is not a checkpoint that can be resumed \(.+\); delete it"):
        fit(graphs, checkpoint=path)
    assert before == (path.stat().st_size, path.open("rb").read(len(whole)))


def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(graphs, tmp_path, monkeypatch):
    """Wherever it is: in the line at the beginning, in the record, in weights or in the state of the optimizer."""
    path = tmp_path / "run.pt"
    fit(graphs, checkpoint=path)
    whole = path.read_bytes()
    for place in [*range(0, 90, 9), *range(90, len(whole), len(whole) // 40)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises((ValueError, OSError), match="sha256 does not fit"):
            checkpoints.read(path, 10**8)
    path.unlink()
    for special in (path.mkdir, lambda: os.mkfifo(path)):
        special()
        with pytest.raises(ValueError, match="is not a file"):
            fit(graphs, checkpoint=path)
        path.rmdir() if path.is_dir() else path.unlink()


def forged(path, record=None, tensors=None):
    """Write a checkpoint with a sha256 that fits."""
    old_record, old_tensors = checkpoints.read(path, 10**8)
    record, tensors = {**old_record, **(record or {})}, {**old_tensors, **(tensors or {})}
    for held in (record, tensors):
        for key in [k for k, v in held.items() if v == "gone" and isinstance(v, str)]:
            del held[key]
    data = tensor_bytes(tensors, {"record": json.dumps(record)})
    digest = hashlib.sha256(data).hexdigest().encode()
    path.write_bytes(checkpoints.MAGIC + digest + b"\n" + data)


@pytest.mark.parametrize(
    ("record", "tensors", "problem"),
    [
        ({"step": -1}, {}, "checkpoint.step must be a whole number"),
        ({"step": 13}, {}, "it has more steps"),
        ({"running": "x"}, {}, "running must be a number"),
        ({"seconds": float("nan")}, {}, "NaN"),
        ({"history": {}}, {}, "history must be a list"),
        ({"identity": "gone"}, {}, "lacks identity"),
        ({}, {"model.leave.0.bias": "gone"}, "missing or added, such as model.leave.0.bias"),
        ({}, {"more": torch.zeros(1)}, "missing or added, such as more"),
        ({}, {"model.leave.0.bias": torch.zeros(3)}, "model.leave.0.bias is torch.float32 .3,., expected"),
        ({}, {"model.leave.0.bias": torch.zeros(12).double()}, "model.leave.0.bias is torch.float64"),
        ({}, {"model.leave.0.bias": torch.full((12,), torch.nan)}, "model.leave.0.bias holds NaN"),
        ({}, {"optimizer.0.exp_avg_sq": "gone"}, "missing or added, such as optimizer.0.exp_avg_sq"),
        ({}, {"optimizer.0.step": torch.tensor(torch.inf)}, "optimizer.0.step holds NaN or infinity"),
    ],
)  # fmt: skip
def test_a_forged_checkpoint_is_refused(graphs, tmp_path, record, tensors, problem):
    path = tmp_path / "run.pt"
    fit(graphs, checkpoint=path)
    forged(path)
    assert same(fit(graphs, checkpoint=path), fit(graphs))  # as it was
    forged(path, record, tensors)
    with pytest.raises(ValueError, match=problem) as error:
        fit(graphs, checkpoint=path)
    assert str(path) in str(error.value) and len(str(error.value)) < 400


def test_one_checkpoint_is_for_one_training_at_a_time(graphs, tmp_path):
    path, refused = tmp_path / "run.pt", []

    def second(step, psi):
        with pytest.raises(TimeoutError, match="run.pt is in use by another training") as error:
            fit(graphs, checkpoint=path, seed=1)
        refused.append(str(error.value))

    assert same(fit(graphs, checkpoint=path, callback=second), fit(graphs))
    assert len(refused) == 4 and [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_weights_that_are_not_finite_after_the_last_step_are_no_result(graphs, tmp_path, monkeypatch):
    """The loss was finite: only the update was not."""
    original, steps = torch.optim.AdamW.step, iter(range(1, 100))

    def step(self, *args, **kwargs):
        original(self, *args, **kwargs)
        if next(steps) == LOOP.steps:
            self.param_groups[0]["params"][0].data[0] = torch.nan

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(FloatingPointError, match="not finite"):
        fit(graphs, checkpoint=tmp_path / "run.pt")
    assert checkpoints.read(tmp_path / "run.pt", 10**8)[0]["step"] == 10


def test_fewer_than_two_graphs_are_refused(graphs):
    with pytest.raises(ValueError, match="at least 2, got 1"):
        fit(graphs[0])


def test_graphs_off_the_polytope_are_refused(graphs):
    with pytest.raises(ValueError, match="nodes .* NaN or infinity in graph 0"):
        fit(replace(graphs, nodes=graphs.nodes * float("nan")))


def test_misfitting_targets_and_starts_are_refused(graphs, vocabulary):
    with pytest.raises(ValueError, match=r"targets must be \(60, 12\).*got \(59, 12\)"):
        fit(graphs, targets=torch.ones(59, 12))
    start = fit(graphs)
    with pytest.raises(ValueError, match="give config=start.config"):
        fit(graphs, start=start, config=replace(TINY, dim=5))
    with pytest.raises(ValueError, match="another vocabulary"):
        fit(replace(graphs, vocabulary=replace(vocabulary, node_labels=("a", "b", "z"))), start=start)


@pytest.mark.parametrize(
    "field, value",
    [("views", ()), ("views", ("cropped",)), ("negatives", "none"), ("batch_size", 0), ("edited", None)],
)
def test_invalid_settings_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        EmbeddingTraining(**{field: value})


def test_a_loss_that_is_not_finite_raises_and_keeps_the_checkpoint(graphs, tmp_path, contrastive_loss):
    calls = itertools.count()
    contrastive_loss(lambda *given: info_nce(*given) * (float("nan") if next(calls) == 7 else 1))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 7; lower learning_rate"):
        fit(graphs, checkpoint=tmp_path / "run.pt")
    assert checkpoints.read(tmp_path / "run.pt", 10**8)[0]["step"] == 5
    contrastive_loss(info_nce)
    assert same(fit(graphs, checkpoint=tmp_path / "run.pt"), fit(graphs))


def test_two_graphs_are_enough(graphs):
    assert torch.isfinite(weights(fit(graphs[:2], training=replace(FAST, negatives="edits")))).all()


# -- disks that cannot be written ----------------------------------------------------------------------------------
def full(code):
    def fails(*args, **kwargs):
        raise OSError(code, {errno.ENOSPC: "No space left on device", errno.EROFS: "Read-only file system"}[code])

    return fails


@pytest.mark.parametrize(
    "call, code, reason",
    [
        ("open", errno.EROFS, "Read-only file system"),
        ("write_bytes", errno.ENOSPC, "No space left on device"),
        ("fsync", errno.ENOSPC, "No space left on device"),
        ("replace", errno.EROFS, "Read-only file system"),
    ],
)
def test_a_disk_that_cannot_be_written_leaves_the_old_checkpoint(
    graphs, tmp_path, monkeypatch, interrupt_at, call, code, reason
):
    path = tmp_path / "run.pt"
    interrupt_at(3)
    fit(graphs, checkpoint=path)
    before = path.read_bytes()
    owner = elekit.datasets.files.os if call in ("open", "fsync") else elekit.datasets.files.Path
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, full(code))
        with pytest.raises(OSError, match=f"cannot write {path}: {reason}; an older file there") as failed:
            fit(graphs, checkpoint=path)
    assert failed.value.errno == code
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"] and path.read_bytes() == before
    assert same(fit(graphs, checkpoint=path), fit(graphs))


def test_a_disk_that_runs_full_while_writing_is_an_os_error(graphs, tmp_path):
    """The operating system itself limits files to 1 kB."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="cannot write .*run.pt: File too large"):
            fit(graphs, checkpoint=tmp_path / "run.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "wrong", [{"max_edits": 0}, {"edited": 1.5}, {"softening": -0.1}, {"views": ()}, {"negatives": "none"}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EmbeddingTraining(**wrong)
