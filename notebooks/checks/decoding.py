"""Checks of notebook 04: reading a trace, and settings that find what a descent had missed."""

import torch
from torch import Tensor

from checks.answers import whole
from checks.verdict import Verdict, number, quoted
from elekit.decoding import DecodeConfig, Decoded, GradientConfig, Trace, decode
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

SAME = 1e-5  # losses of one graph in two node orders differ by less
STEADY = 0.02  # a descent whose lowest loss falls by less in its last quarter has come to rest


def check_arrival(answer, trace: Trace) -> Verdict:
    """Whether a number is the first iterate whose rounding is what gradient descent ended with.

    Whether two roundings are one graph is told by their learned loss, which does not see the order of nodes.
    """
    step, last = whole(answer), len(trace) - 1
    if step is None or not 0 <= step <= last:
        return Verdict(False, f"give the number of an iterate, 0 to {last}; {quoted(answer)} is none.")
    aim, loss = float(trace.rounded[trace.best]), float(trace.rounded[step])
    there = (trace.rounded - aim).abs() < SAME
    first = int(there.nonzero()[0])
    if step == first:
        return Verdict(
            True,
            f"the relaxed loss is {float(trace.relaxed[step]):.2f} there, and rounding jumps to the answer, whose "
            f"loss is {aim:.2f}.",
        )
    if there[step]:
        return Verdict(
            False, f"the rounding of iterate {step} is the answer, but it was so before; look further left."
        )
    if step > first:
        return Verdict(
            False,
            f"at iterate {step} the rounding has left the answer again (loss {loss:.2f}, not {aim:.2f}). It had been "
            "there before; look further left.",
        )
    return Verdict(
        False,
        f"the rounding of iterate {step} has a loss of {loss:.2f}, the answer has {aim:.2f}. Where does the curve of "
        "the rounded loss first come down to that?",
    )


def check_gap(answer, trace: Trace) -> Verdict:
    """Whether a number is an iterate at which rounding costs most."""
    step, last, gap = whole(answer), len(trace) - 1, trace.gap
    widest, given = float(gap.max()), number(answer)
    if step is None or not 0 <= step <= last:
        if given is not None and abs(given - widest) < 0.01:
            return Verdict(False, f"{given:g} is how wide the gap is; asked is at which iterate.")
        return Verdict(False, f"give the number of an iterate, 0 to {last}; {quoted(answer)} is none.")
    relaxed, rounded = float(trace.relaxed[step]), float(trace.rounded[step])
    if float(gap[step]) > widest - 1e-3:
        return Verdict(True, f"relaxed {relaxed:.2f}, rounded {rounded:.2f}, a gap of {widest:.2f}.")
    if step == int(trace.rounded.argmax()):
        hint = "The rounded loss is highest there; the gap is that loss minus the relaxed one of the same iterate."
    else:
        hint = "It is wider elsewhere; trace.gap holds it for every iterate."
    return Verdict(False, f"at iterate {step} the gap is {float(gap[step]):.2f}. {hint}")


def check_settings(answer, psi: Psi, target: Tensor, truth: Graph, *, most: int = 400, seed: int = 0) -> Verdict:
    """Whether gradient descent with these settings finds the truth from a point of the sphere, by rounding alone.

    answer: a GradientConfig. target: (1, D). truth: batch of one. most: gradient steps (iterations times starts) that
    it may take.
    """
    if not isinstance(answer, GradientConfig):
        return Verdict(
            False, f"give settings as ele.GradientConfig(...); {quoted(answer)} is {type(answer).__name__}."
        )
    steps = answer.iterations * answer.starts
    if steps > most:
        return Verdict(
            False,
            f"{answer.starts} times {answer.iterations} iterations are {steps} gradient steps, at most {most} are to be "
            "spent. Which of the two is worth more here?",
        )
    try:
        config = DecodeConfig("gradient", gradient=answer, seed=seed)
        found = decode(psi, target, config=config, record=True)
    except Exception as failed:
        return Verdict(False, f"no descent can be made with these settings: {failed}")
    if isomorphic(_one_form(found.graphs), _one_form(truth))[0]:
        return Verdict(True, f"this is the truth, found with {steps} gradient steps.")
    return Verdict(False, _what_failed(psi, target, truth, found))


def _one_form(graph: Graph) -> Graph:
    """Molecules in their one Kekule form; other graphs as they are."""
    from elekit.graphs.smiles import canonicalized, is_molecular  # RDKit loads here, not with `import elekit`

    return canonicalized(graph) if is_molecular(graph.vocabulary) else graph


def _what_failed(psi: Psi, target: Tensor, truth: Graph, found: Decoded) -> str:
    """Search or prediction, and what the trace says about the search."""
    loss, best = float(found.loss[0]), float(squared_distance(points_of(psi, truth), target)[0].clamp_min(0))
    said = f"what was found has a loss of {loss:.2f}, the truth {best:.2f}"
    if loss < best - SAME:
        return f"{said}. No search mends that: the point itself lies nearer to another graph."
    (trace,) = found.traces
    last = len(trace) // 4 or 1
    fell = float(trace.relaxed[:-last].min() - trace.relaxed[-last:].min())
    said += ", so the search failed, not the point. "
    if fell > STEADY:
        said += f"In the last quarter the relaxed loss still fell by {fell:.2f}: this descent was not at its end."
    else:
        said += "The relaxed loss had come to rest: from where it began, it leads here. What would lead elsewhere?"
    ends = len(torch.unique((trace.starts / (10 * SAME)).round()))
    return said + f" Its {len(trace.starts)} starts ended in {ends} different graphs." * (ends > 1)
