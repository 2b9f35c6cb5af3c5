"""Results on an accelerator equal those on the CPU up to rounding, and come back to the CPU."""

from dataclasses import replace

import pytest
import torch

import elekit as ele
from elekit.model.loss import points_of
from elekit.model.surrogate import BackboneConfig
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate
from elekit.training.loop import TrainerConfig, seeded

CLOSE = {"atol": 2e-3, "rtol": 0.0}  # of unit vectors: an accelerator may multiply in less than single precision
FEW_STEPS = TrainerConfig(steps=6, learning_rate=1e-3, warmup=2)

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def data():
    return ele.datasets.load("molecules7")


@pytest.fixture
def shipped():
    return ele.load("molecules7")


def test_a_seed_holds_within_its_block_and_changes_nothing_outside():
    torch.manual_seed(1)
    undisturbed = torch.rand(4)
    torch.manual_seed(1)
    first = torch.rand(2)
    with seeded(7):
        drawn = torch.rand(3)
    torch.testing.assert_close(torch.cat([first, torch.rand(2)]), undisturbed)
    with seeded(7):
        assert torch.equal(torch.rand(3), drawn)


@gpu
def test_a_seed_changes_nothing_outside_on_the_accelerator():
    before = torch.cuda.get_rng_state()
    with seeded(7):
        drawn = torch.rand(3, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with seeded(7):
        assert torch.equal(torch.rand(3, device="cuda"), drawn)


@gpu
def test_points_return_to_the_device_of_the_graphs(shipped, data):
    psi, graphs = shipped.psi, data.test.graphs[:50]
    on_cpu = points_of(psi, graphs)
    psi.to("cuda")
    torch.testing.assert_close(points_of(psi, graphs), on_cpu, **CLOSE)
    there = psi(graphs.to("cuda"))
    assert there.is_cuda
    torch.testing.assert_close(there.detach().cpu(), on_cpu, **CLOSE)


@gpu
def test_decoding_is_the_same_with_psi_on_the_accelerator(shipped, data):
    psi, truth = shipped.psi, data.test.graphs[:60]
    targets = points_of(psi, truth)
    psi.to("cuda")
    for candidates in (data.train.graphs, None):
        found = ele.decode(psi, targets, candidates=candidates)
        assert ele.evaluate(found.graphs, truth)["exact"].mean() > 0.9
    ele.widgets.step_through(ele.decode(psi, targets[:1], record=True).traces[0])
    ele.widgets.inspect_loss(psi, "CC(=O)NC", among=data.train)


@gpu
def test_psi_trains_on_the_accelerator_and_returns_to_the_cpu(data):
    psi = fit_embedding(data.train.graphs, training=EmbeddingTraining(loop=FEW_STEPS), device="cuda", progress=False)
    assert not next(psi.parameters()).is_cuda
    assert torch.isfinite(psi(data.test.graphs[:9])).all()


@gpu
@pytest.mark.parametrize("through", ["point", "graph"])
@pytest.mark.parametrize("hard_negatives", [0, 2])
def test_h_trains_on_the_accelerator_with_all_terms_of_its_loss(shipped, data, through, hard_negatives):
    # With a graph head, psi moves to the device too, while local search and edits stay on the CPU.
    training = replace(SurrogateTraining(), loop=FEW_STEPS, hard_negatives=hard_negatives, batch_size=32)
    backbone = BackboneConfig("character", width=16, layers=1, embedding=12, dropout=0.1, through=through)
    before = torch.cuda.get_rng_state()
    h = fit_surrogate(shipped.psi, data.train, backbone=backbone, training=training, device="cuda", progress=False)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert not any(weight.is_cuda for weight in (*h.parameters(), *shipped.psi.parameters()))
    assert torch.isfinite(h.predict(data.test.inputs[:9])).all()
