"""Penalties for breaking rules and judgments in training: hinges on learned losses, differentiable in psi."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elekit.correction.judgments import Judgments
from elekit.correction.probe_edits import ProbeEdits, draw_probe_edits
from elekit.correction.rules import Grows, NearlyFree, Rule, check_rules, to_json
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model.loss import Psi, in_blocks, squared_distance
from elekit.training.loop import step_generator

MIN_PRICE = 1e-4  # relative to the typical price; keeps logarithms finite


def hinge(rule: Rule, prices: Tensor, others: Tensor, margin: float = 0.0) -> Tensor:
    """Scalar by which a sample breaks a rule; 0 if every case keeps it with `margin` to spare.

    NearlyFree: mean over edits of `relu(log(price / (at_most * typical)) + margin)`, typical = median of `others`,
    without gradient. AtLeast: mean over edits and others of `relu(log(times * other / price) + margin)`; without
    `of`, typical in place of others. Grows: mean over steps of `relu(margin - growth / typical)`, typical = median
    price of the first step.
    prices: (E,) learned losses of the edits; (W, steps) of walks. others: (O,), unused for walks.
    """
    if isinstance(rule, Grows):
        first = prices[:, 0].detach().median().clamp_min(1e-12)
        return (margin - prices.diff(dim=1) / first).clamp_min(0).mean()
    typical = others.detach().median()
    low = MIN_PRICE * typical
    if isinstance(rule, NearlyFree):
        violation = (prices.clamp_min(low) / (rule.at_most * typical)).log()
    else:
        others = others[None, :] if rule.of else typical
        violation = (rule.times * others.clamp_min(low) / prices.clamp_min(low)[:, None]).log()
    return (violation + margin).clamp_min(0).mean()


def triplet_hinge(near: Tensor, far: Tensor, margin: float = 0.0) -> Tensor:
    """`mean relu((near - far) / scale + margin)`, scale = mean of all losses; 0 if all are kept with margin.

    near, far: (n,) learned losses from the anchor to the nearer and to the farther graph.
    """
    scale = torch.cat([near, far]).detach().mean().clamp_min(1e-12)
    return ((near - far) / scale + margin).clamp_min(0).mean()


@dataclass(frozen=True, eq=False)
class Penalty:
    """A penalty term of `fit_embedding`, see `penalty`."""

    probes: ProbeEdits
    judgments: Judgments  # decided ones
    weight: float
    margin: float
    edits: int
    seed: int
    identity: dict[str, Any]  # plain values that identify the penalty when training is resumed

    def __call__(self, psi: Psi, step: int) -> Tensor:
        """A scalar, differentiable in psi's weights; random draws depend on the step alone."""
        generator = np.random.default_rng(step_generator(self.seed, step).initial_seed())
        probes = self.probes
        graphs: list[GraphBatch] = []
        if probes.has_price_rules:
            graphs += probes.draw(probes.reference, self.edits, generator)
        for rule, kinds, others, _ in probes.rules:
            if isinstance(rule, Grows):
                count = max(1, self.edits // rule.steps)
                rows = torch.from_numpy(generator.integers(len(probes.walks[0]), size=count))
                graphs += [probes.walks[t][rows] for t in range(rule.steps + 1)]
            else:
                graphs += probes.draw(kinds, self.edits, generator)
                graphs += probes.draw(others, self.edits, generator) if others else ()
        if len(self.judgments):
            some = self.judgments[generator.integers(len(self.judgments), size=self.edits)]
            graphs += [some.anchors, *some.sides]
        if not graphs:
            return torch.zeros(())
        whole = in_blocks(psi, PackedGraphs.cat(graphs).to(_device_of(psi)))
        points = torch.split(whole, [len(batch) for batch in graphs])
        return self.weight * torch.stack(list(self._terms(iter(points)))).sum()

    def _terms(self, points: Iterator[Tensor]) -> Iterator[Tensor]:
        """Hinge of each rule, then of the judgments, from the points of each batch in order."""

        def prices() -> Tensor:
            return squared_distance(next(points), next(points)).clamp_min(0)

        typical = prices() if self.probes.has_price_rules else torch.empty(0)
        for rule, _, others, _ in self.probes.rules:
            if isinstance(rule, Grows):
                start = next(points)
                far = torch.stack([squared_distance(start, next(points)) for _ in range(rule.steps)], 1)
                yield hinge(rule, far.clamp_min(0), far, self.margin)
            else:
                own = prices()
                yield hinge(rule, own, prices() if others else typical, self.margin)
        if len(self.judgments):
            anchor, near, far = points
            yield triplet_hinge(squared_distance(anchor, near), squared_distance(anchor, far), self.margin)


def penalty(
    graphs: GraphBatch, rules: Sequence[Rule] = (), judgments: Judgments | None = None, *, weight: float = 1.0,
    margin: float = 0.2, edits: int = 64, among: int = 1_000, seed: int = 0, progress: bool = False,
) -> Penalty:  # fmt: skip
    """A penalty term of `fit_embedding`: `weight` times the sum of the hinges of rules and decided judgments.

    The other arguments are documented in `CorrectionTraining`. ValueError if rules name unknown kinds, contradict
    each other, or match no edits of the graphs, or a number is out of range.
    """
    check_rules(rules, graphs.vocabulary)
    above = {"weight": weight > 0, "margin": margin >= 0, "edits": edits >= 1}
    for name, value in (("weight", weight), ("margin", margin), ("edits", edits)):
        if not above[name] or not math.isfinite(value):
            raise ValueError(f"{name} of a penalty must be above 0 (a margin may be 0), got {value}")
    judgments = Judgments.empty(graphs.vocabulary) if judgments is None else judgments.decided
    chosen = graphs[torch.randperm(len(graphs), generator=step_generator(seed, -2))[:among]]
    probes = draw_probe_edits(chosen, rules, seed=seed, progress=progress)
    for number, one in enumerate(probes.rules, 1):
        grows = isinstance(one.rule, Grows)
        if not (len(probes.walks[0]) if grows else one.testable):
            what = "a walk of so many edits" if grows else "a valid edit of such a kind"
            raise ValueError(f"rule {number} ({one.rule}): none of {len(chosen)} graphs has {what}")
    settings = {"weight": weight, "margin": margin, "edits": edits, "seed": seed}
    digest = judgments.digest() if len(judgments) else None
    identity = {"rules": to_json(rules), "judgements": digest, "graphs": chosen.digest(), **settings}
    return Penalty(probes, judgments, weight, margin, edits, seed, identity)


def _device_of(psi: Psi) -> torch.device | str:
    weights = next(psi.parameters(), None) if isinstance(psi, torch.nn.Module) else None
    return "cpu" if weights is None else weights.device
