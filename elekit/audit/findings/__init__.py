"""What is wrong with a learned loss: checks that any sound loss passes, and the flaws of one that does not.

The probe set (`make_probe_set`) holds many small changes to many graphs. A sound loss gives equal graphs one place
and different graphs different places; no edit is free or costs as much as an unrelated graph; no trait dominates or
pulls graphs to one place; training graphs cost as much as others.
"""

import math
import time

import numpy as np
import torch

from elekit.audit.findings import insensitivity, saturation
from elekit.audit.findings.attractors import find_attractors
from elekit.audit.findings.dominance import find_dominance, find_expensive_edits, find_expensive_families
from elekit.audit.findings.finding import Finding, FindingKind, Severity, findings_table, make_finding
from elekit.audit.findings.invariance import find_broken_invariances, find_invalid_points
from elekit.audit.findings.memorization import HeldOut, find_memorization, hold_out
from elekit.audit.findings.probe_set import EDITS, LEVELS, MAX_GRAPHS, ProbeSet, make_probe_set
from elekit.audit.findings.responses import Responses
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.model.loss import Psi, points_of

__all__ = ["Finding", "FindingKind", "Severity", "findings", "findings_table", "hold_out", "make_probe_set"]

MIN_GRAPHS = 20
CHANGES = 2 * EDITS  # graphs of a probe set for each graph that is probed, about
COUNTS = LEVELS.index("node and edge label counts")
FRAGMENTS = 3  # subgroups of free edits; so many are parts of a larger one that costs next to nothing


def findings(
    psi: Psi,
    graphs: GraphBatch,
    *,
    held_out: GraphBatch | HeldOut | None = None,
    probe_set: ProbeSet | None = None,
    seed: int = 0,
    budget: float | Clock | None = None,
    progress: bool | None = None,
) -> list[Finding]:
    """What is wrong with a learned loss.

    Args:
        psi: Maps graphs to unit vectors.
        graphs: Its training graphs, at least 20; of more than 300 a sample is drawn.
        held_out: Other, similar graphs, or the result of `hold_out`; without, only strong memorization is visible.
        probe_set: The result of `make_probe_set(graphs)`, to share it among several losses.
        seed: Seed of every random choice.
        budget: Seconds for the whole call; then fewer graphs and edits are examined.
        progress: As in `Clock.track`.

    Returns:
        Findings, defects first; an empty list if nothing is wrong.

    Raises:
        ValueError: If there are fewer than 20 graphs, or time for fewer.
    """
    if len(graphs) < MIN_GRAPHS:
        raise ValueError(f"findings need at least {MIN_GRAPHS} graphs, got {len(graphs)}; give more training graphs")
    with Clock.of(budget) as clock:
        if probe_set is None:
            size, part = _affordable(psi, graphs, clock), clock.part(1 / 2)
            probes = make_probe_set(graphs, size=size, seed=seed, budget=part, progress=progress)
        else:
            probes = probe_set
        if isinstance(held_out, GraphBatch):
            held_out = hold_out(held_out, seed=seed, budget=clock.part(1 / 2), progress=progress)
    if len(probes.graphs) < MIN_GRAPHS:
        raise ValueError(f"findings need edits of {MIN_GRAPHS} graphs, the budget ended after {len(probes.graphs)}")
    responses = Responses.of(psi, probes)
    found = find_invalid_points(responses)
    if any(finding.kind is FindingKind.NOT_FINITE for finding in found):
        return found
    if found:
        psi = _normalized(psi)
        responses = Responses.of(psi, probes)
    if responses.mean_loss < saturation.NOTHING:
        return found + saturation.find_collapse(responses)
    if responses.typical == 0:
        return [*found, make_finding(FindingKind.BLIND_TO_EDITS, {}, mean_loss=responses.mean_loss)]
    found += find_broken_invariances(psi, probes.graphs, responses.typical, seed)
    comparable = not any(f.kind in (FindingKind.NOT_REPEATABLE, FindingKind.BATCH) for f in found)  # two batches
    found += saturation.find_collapse(responses)
    by_counts = insensitivity.find_limited_view(responses)[1] <= COUNTS  # points of counts fill few dimensions
    narrow = [] if by_counts else saturation.find_low_dimension(responses)
    found += (
        narrow + (find_dominance(responses) if narrow else [])
        or saturation.find_two_clusters(responses)
        or (find_memorization(psi, responses, held_out) if comparable else [])
        or _weights_and_insensitivity(responses)
    )
    if all(finding.severity != Severity.DEFECT for finding in found):
        found += saturation.find_hubs(responses)
    return sorted(found, key=lambda finding: finding.severity != Severity.DEFECT)


def _affordable(psi: Psi, graphs: GraphBatch, clock: Clock) -> int:
    """Number of graphs, with all their changes, that psi embeds in a quarter of the time."""
    if clock.left == math.inf:
        return MAX_GRAPHS
    began = time.monotonic()
    points_of(psi, graphs[:MIN_GRAPHS], check=False)
    seconds = (time.monotonic() - began) / MIN_GRAPHS * CHANGES
    return int(min(MAX_GRAPHS, max(MIN_GRAPHS, clock.left / 4 / max(seconds, 1e-9))))


def _weights_and_insensitivity(responses: Responses) -> list[Finding]:
    """Findings for points that fill the sphere: the most general first, without those that follow from them."""
    probes = responses.probes
    view, level = insensitivity.find_limited_view(responses)
    explained = np.zeros(len(responses.edits), dtype=bool)
    attractors: list[Finding] = []
    if level > COUNTS:  # otherwise graphs with equal counts share a place anyway
        attractors, explained = find_attractors(responses)
    weights = find_dominance(responses, by_share=not attractors)
    if level < len(LEVELS):  # edits that change nothing the loss sees
        code, n = probes.codes[:, level], len(probes.graphs)
        explained |= (code[n:] == code[:n][probes.sample.edits.row]).numpy()
    if weights:  # cheap edits follow from the weights, except for those that cost exactly nothing
        blind = [] if level < len(LEVELS) else insensitivity.find_free_edits(responses, explained, exact_only=True)[0]
        blind += insensitivity.find_unseen_components(responses, exact_only=True)
        return weights + [f for f in view if level <= COUNTS] + attractors + blind
    defects = [finding for finding in view if finding.severity == Severity.DEFECT] + attractors
    before = explained
    blind, explained = insensitivity.find_free_edits(responses, before)
    if not blind or len(blind) >= FRAGMENTS:  # otherwise one or two subgroups explain it all
        blind = insensitivity.find_cheap_locations(responses, before, blind) + blind
    if not any("component" in finding.subject for finding in blind):
        blind += insensitivity.find_unseen_components(responses, exact_only=bool(defects + blind))
    blind += insensitivity.find_cheap_edits(responses, explained, blind, sharp=not view)
    if not defects + blind:
        blind += insensitivity.find_confused_patterns(responses)
    if not defects + blind:
        blind += insensitivity.find_coincident_graphs(responses)
    expensive = [] if defects else find_expensive_families(responses)
    if not expensive and not defects + blind:
        expensive = find_expensive_edits(responses)
    return view + attractors + blind + (expensive or ([] if attractors else saturation.find_saturation(responses)))


def _normalized(psi: Psi) -> Psi:
    return lambda graphs: torch.nn.functional.normalize(psi(graphs), dim=1)
