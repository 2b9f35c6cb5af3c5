"""What breaking a rule or a judgment costs in training: hinges on learned losses, differentiable in psi."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elekit.correction.judgments import Judgments
from elekit.correction.probe_edits import Questions, questions
from elekit.correction.rules import Grows, NearlyFree, Rule, check_rules, to_json
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, squared_distance
from elekit.training.loop import step_generator

LEAST = 1e-4  # of the yardstick: a price below counts as this, since logarithms of nothing are infinite


def hinge(rule: Rule, prices: Tensor, others: Tensor, margin: float = 0.0) -> Tensor:
    """What a sample breaks a rule by: 0 where no case does, with `margin` to spare; a scalar, differentiable.

    nearly free: mean over edits of `relu(log(price / (at_most * yardstick)) + margin)`, the yardstick being the
    median of `others` and no way out (no gradient). at least: mean over edits and others of
    `relu(log(times * other / price) + margin)`; a typical edit in place of others, which is no way out either. grows:
    mean over steps of `relu(margin - growth / yardstick)`, the yardstick being the median price of the first step.
    prices: (E,) learned losses of the edits; of a walk (W, steps). others: (O,), unused of walks.
    """
    if isinstance(rule, Grows):
        of_one = prices[:, 0].detach().median().clamp_min(1e-12)
        return (margin - prices.diff(dim=1) / of_one).clamp_min(0).mean()
    typical = others.detach().median()
    if isinstance(rule, NearlyFree):
        excess = (prices.clamp_min(LEAST * typical) / (rule.at_most * typical)).log()
    else:
        others = others[None, :] if rule.of else typical
        low = LEAST * typical
        excess = (rule.times * others.clamp_min(low) / prices.clamp_min(low)[:, None]).log()
    return (excess + margin).clamp_min(0).mean()


def triplet_hinge(near: Tensor, far: Tensor, margin: float = 0.0) -> Tensor:
    """`mean relu((near - far) / scale + margin)`, scale = mean of all; 0 where every judgment is kept, with margin.

    near, far: (n,) learned losses from the anchor to the graph judged nearer and to the other.
    """
    scale = torch.cat([near, far]).detach().mean().clamp_min(1e-12)
    return ((near - far) / scale + margin).clamp_min(0).mean()


@dataclass(frozen=True, eq=False)
class Penalty:
    """Called with psi and a step, what a batch of that step breaks rules and judgments by; see `penalty`.

    Give it to `fit_embedding` for a loss that is learned under rules from the start. `identity` tells one from
    another.
    """

    asked: Questions
    judgments: Judgments
    weight: float
    margin: float
    edits: int
    seed: int
    identity: dict

    def __call__(self, psi: Psi, step: int) -> Tensor:
        """A scalar, differentiable in psi's weights; random by the step alone."""
        generator = np.random.default_rng(step_generator(self.seed, step).initial_seed())
        asked, graphs, cuts = self.asked, [], []

        def put(*batches: Graph):
            graphs.extend(batches)
            cuts.extend(map(len, batches))

        if asked.of_edits:
            put(*asked.draw(asked.reference, self.edits, generator))
        for rule, kinds, others in asked.rules:
            if isinstance(rule, Grows):
                rows = torch.from_numpy(
                    generator.integers(len(asked.walks[0]), size=max(1, self.edits // rule.steps))
                )
                put(*(asked.walks[t][rows] for t in range(rule.steps + 1)))
            else:
                put(*asked.draw(kinds, self.edits, generator))
                if others:
                    put(*asked.draw(others, self.edits, generator))
        if len(self.judgments):
            some = self.judgments.take(generator.integers(len(self.judgments), size=self.edits))
            put(some.anchors, *some.sides())
        if not graphs:
            return torch.zeros(())
        parts = iter(psi(Graph.cat(graphs).to(_device_of(psi))).split(cuts))

        def priced() -> Tensor:
            return squared_distance(next(parts), next(parts)).clamp_min(0)

        terms = []
        typical = priced() if asked.of_edits else None
        for rule, _, others in asked.rules:
            if isinstance(rule, Grows):
                start = next(parts)
                far = torch.stack([squared_distance(start, next(parts)) for _ in range(rule.steps)], 1)
                terms.append(hinge(rule, far.clamp_min(0), far, self.margin))
            else:
                prices = priced()
                terms.append(hinge(rule, prices, priced() if others else typical, self.margin))
        if len(self.judgments):
            anchor, near, far = parts
            terms.append(triplet_hinge(*(squared_distance(anchor, p) for p in (near, far)), self.margin))
        return self.weight * torch.stack(terms).sum()


def penalty(
    graphs: Graph,
    rules: Sequence[Rule] = (),
    judgments: Judgments | None = None,
    *,
    weight: float = 1.0,
    margin: float = 0.2,
    edits: int = 64,
    among: int = 1_000,
    seed: int = 0,
    progress: bool = False,
) -> Penalty:
    """Rules and judgments as a term of the training of psi: `weight` times the sum of their hinges, see `hinge`.

    graphs: what is trained on; edits and walks of up to `among` of them are drawn beforehand. edits: of a rule, and
    judgments, in each step. margin: beyond what a rule asks, in logarithms of prices, so that it holds of graphs not
    trained on.
    Raises ValueError for rules that name unknown kinds, contradict each other, or find no edits among the graphs.
    """
    check_rules(rules, graphs.vocabulary)
    for name, value, fine in (
        ("weight", weight, weight > 0),
        ("margin", margin, margin >= 0),
        ("edits", edits, edits >= 1),
    ):
        if not fine or not math.isfinite(value):
            raise ValueError(f"{name} of a penalty must be above 0 (a margin may be 0), got {value}")
    judgments = Judgments.none(graphs.vocabulary) if judgments is None else judgments.decided()
    chosen = graphs[torch.randperm(len(graphs), generator=step_generator(seed, -2))[:among]]
    asked = questions(chosen, rules, seed=seed, progress=progress)
    for number, (rule, kinds, others) in enumerate(asked.rules, 1):
        if not isinstance(rule, Grows) and not (kinds and (others or isinstance(rule, NearlyFree) or not rule.of)):
            raise ValueError(f"rule {number} ({rule}): none of {len(chosen)} graphs has a valid edit of such a kind")
        if isinstance(rule, Grows) and not len(asked.walks[0]):
            raise ValueError(f"rule {number} ({rule}): none of {len(chosen)} graphs has a walk of {rule.steps} edits")
    identity = {
        "rules": to_json(rules),
        "judgements": judgments.digest() if len(judgments) else None,
        "graphs": chosen.digest(),
        "weight": weight,
        "margin": margin,
        "edits": edits,
        "seed": seed,
    }
    return Penalty(asked, judgments, weight, margin, edits, seed, identity)


def _device_of(psi) -> torch.device | str:
    weights = next(psi.parameters(), None) if isinstance(psi, torch.nn.Module) else None
    return "cpu" if weights is None else weights.device
