"""Checks of notebook 04: reading a trace, and settings that find a graph which one descent misses."""

import torch
from torch import Tensor

from checks.verdict import Verdict, as_integer, as_number, quote
from elekit.decoding import DecodeConfig, Decoded, GradientConfig, Trace, decode
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

SAME = 1e-5  # two node orders of one graph differ by less than this in loss
SETTLED = 0.02  # a descent has settled if its lowest loss falls by less in its last quarter


def check_first_rounding(answer, trace: Trace) -> Verdict:
    """Check that a number is the first iterate that rounds to the result of gradient descent.

    Two roundings count as the same graph if their learned losses are equal; the loss ignores the order of nodes.
    """
    step, last = as_integer(answer), len(trace) - 1
    if step is None or not 0 <= step <= last:
        return Verdict(False, f"{quote(answer)} is not the number of an iterate. Give 0 to {last}.")
    final, loss = float(trace.rounded[trace.best]), float(trace.rounded[step])
    matches = (trace.rounded - final).abs() < SAME
    first = int(matches.nonzero()[0])
    if step == first:
        relaxed = float(trace.relaxed[step])
        return Verdict(
            True, f"The relaxed loss is {relaxed:.2f}, and rounding jumps to the result (loss {final:.2f})."
        )
    if matches[step]:
        return Verdict(False, f"Iterate {step} rounds to the result, but so does an earlier one. Look further left.")
    if step > first:
        return Verdict(
            False,
            f"Iterate {step} rounds to another graph (loss {loss:.2f}, not {final:.2f}), but an earlier iterate "
            "rounds to the result. Look further left.",
        )
    return Verdict(
        False,
        f"Iterate {step} rounds to a graph with loss {loss:.2f}; the result has {final:.2f}. Where does the curve of "
        "the rounded loss first reach that value?",
    )


def check_gap(answer, trace: Trace) -> Verdict:
    """Check that a number is an iterate with the widest rounding gap."""
    step, last, gap = as_integer(answer), len(trace) - 1, trace.gap
    widest, given = float(gap.max()), as_number(answer)
    if step is None or not 0 <= step <= last:
        if given is not None and abs(given - widest) < 0.01:
            return Verdict(False, f"{given:g} is the width of the gap. Give the number of the iterate, 0 to {last}.")
        return Verdict(False, f"{quote(answer)} is not the number of an iterate. Give 0 to {last}.")
    relaxed, rounded = float(trace.relaxed[step]), float(trace.rounded[step])
    if float(gap[step]) > widest - 1e-3:
        return Verdict(
            True, f"The relaxed loss is {relaxed:.2f}, the rounded loss {rounded:.2f}, the gap {widest:.2f}."
        )
    if step == int(trace.rounded.argmax()):
        hint = "The rounded loss is highest there; the gap is the rounded loss minus the relaxed loss."
    else:
        hint = "It is wider elsewhere; trace.gap has its value at each iterate."
    return Verdict(False, f"At iterate {step} the gap is {float(gap[step]):.2f}. {hint}")


def check_settings(answer, psi: Psi, target: Tensor, truth: Graph, *, most: int = 400, seed: int = 0) -> Verdict:
    """Check that gradient descent with these settings decodes a target to the truth, by rounding alone.

    Args:
        answer: A `GradientConfig`.
        psi: The embedding.
        target: (1, D) point of the sphere.
        truth: Batch of one.
        most: Largest number of gradient steps, iterations times starts.
        seed: Seed of the starts.

    Returns:
        The verdict; its message says whether the search or the prediction failed.
    """
    if not isinstance(answer, GradientConfig):
        return Verdict(False, f"{quote(answer)} is of type {type(answer).__name__}. Give ele.GradientConfig(...).")
    steps = answer.iterations * answer.starts
    if steps > most:
        return Verdict(
            False,
            f"{answer.starts} starts of {answer.iterations} iterations are {steps} gradient steps, more than {most}. "
            "Which of the two numbers helps more here?",
        )
    try:
        config = DecodeConfig("gradient", gradient=answer, seed=seed)
        found = decode(psi, target, config=config, record=True)
    except Exception as error:
        return Verdict(False, f"Gradient descent fails with these settings: {error}")
    if isomorphic(_canonical(found.graphs), _canonical(truth))[0]:
        return Verdict(True, f"This is the truth, found with {steps} gradient steps.")
    return Verdict(False, _diagnose(psi, target, truth, found))


def _canonical(graph: Graph) -> Graph:
    """Molecules in their canonical form, with aromatic rings labeled as such; other graphs unchanged."""
    from elekit.graphs.smiles import canonicalized, is_molecular  # imports RDKit

    return canonicalized(graph) if is_molecular(graph.vocabulary) else graph


def _diagnose(psi: Psi, target: Tensor, truth: Graph, found: Decoded) -> str:
    """Which failed, the prediction or the search; and what the trace shows about the search."""
    loss, best = float(found.loss[0]), float(squared_distance(points_of(psi, truth), target)[0].clamp_min(0))
    message = f"The decoded graph has a loss of {loss:.2f}, the truth {best:.2f}"
    if loss < best - SAME:
        return f"{message}. The prediction failed: the point is nearer to another graph, and no search can fix that."
    (trace,) = found.traces
    last = len(trace) // 4 or 1
    decrease = float(trace.relaxed[:-last].min() - trace.relaxed[-last:].min())
    message += ": the search failed, not the prediction. "
    if decrease > SETTLED:
        message += f"The descent had not settled: the relaxed loss fell by {decrease:.2f} in its last quarter."
    else:
        message += "The descent had settled: the relaxed loss hardly fell any more. What would lead elsewhere?"
    ends = len(torch.unique((trace.starts / (10 * SAME)).round()))
    return message + f" Its {len(trace.starts)} starts ended in {ends} different graphs." * (ends > 1)
