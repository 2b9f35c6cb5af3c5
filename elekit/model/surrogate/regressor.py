"""h_W: a backbone, normalized to the sphere."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from elekit.graphs import Graph, projections
from elekit.model.embedding import History
from elekit.model.loss import checked_finite
from elekit.model.surrogate.graph_head import GraphBackbone, compact
from elekit.model.surrogate.reader import UNSURE_SHARE, Reader, Reading


class UnfamiliarInputWarning(UserWarning):
    """More inputs than expected are unlike those that h was trained on; see `Reading.doubt`."""


class SurrogateRegressor(nn.Module):
    """h_W: inputs to unit vectors (B, D). `history` holds the course of the training.

    If the backbone has `views` (batches with the same meaning), h in evaluation mode is the mean over them. In
    evaluation mode, h also brings inputs to the normal form of its `reader` first, and raises on refused ones.

    Args:
        backbone: Any module from inputs to (B, D).
        dim: D, the dimension of the embedding space of psi.
        reader: What h knows about its inputs; None if that is not recorded.
    """

    def __init__(self, backbone: nn.Module, dim: int, reader: Reader | None = None):
        super().__init__()
        self.backbone, self.dim, self.reader = backbone, dim, reader
        self.history: History = []

    def read(self, inputs: Any) -> list[Reading]:
        """Read inputs without embedding them: their normal form, what is refused, and what h does not know.

        Args:
            inputs: B texts, vectors or images.

        Returns:
            B readings.

        Raises:
            ValueError: If the inputs are of another kind, such as numbers in place of texts.
        """
        return [Reading(one) for one in inputs] if self.reader is None else self.reader.read(inputs)

    def forward(self, inputs: Any) -> Tensor:
        """Map a batch of inputs to the sphere.

        Args:
            inputs: B texts, vectors or images, as the backbone reads them.

        Returns:
            (B, D) unit vectors.

        Raises:
            ValueError: If h refuses an input or cannot read the inputs, or the backbone returns another shape.
        """
        return self._embed(self._normal(inputs))

    def _embed(self, inputs: Any) -> Tensor:
        weight = next(self.backbone.parameters(), None)
        if torch.is_tensor(inputs) and weight is not None:
            inputs = inputs.to(weight.device)
        views = None if self.training else getattr(self.backbone, "views", None)
        points = [self._point(view) for view in (views(inputs) if views else [inputs])]
        return points[0] if len(points) == 1 else projections.sphere(torch.stack(points).mean(0))

    def _point(self, inputs: Any) -> Tensor:
        out = self.backbone(inputs)
        shape = (len(inputs), self.dim)
        if not torch.is_tensor(out) or out.shape != shape:
            got = tuple(out.shape) if torch.is_tensor(out) else f"a {type(out).__name__}"
            needed = f"{shape} for {shape[0]} inputs to regress on this psi"
            raise ValueError(f"the backbone must return {needed}, it returned {got}")
        return projections.sphere(out)

    def _normal(self, inputs: Any) -> Any:
        """The inputs in normal form; raises ValueError if one is refused, warns if many are unsure."""
        if self.training or self.reader is None or (torch.is_tensor(inputs) and not len(inputs)):
            return inputs
        readings = self.reader.read(inputs)
        if not readings:
            raise ValueError("no inputs given")
        refused = [(row, one) for row, one in enumerate(readings) if one.refused]
        if refused:
            row, one = refused[0]
            given = repr(str(one.value))[:100] if isinstance(one.value, str) else "values"
            count = f"{len(refused)} of {len(readings)} inputs"
            raise ValueError(f"input {row}, {given}: {one.refused}; {count} are refused, h.read(inputs) names them")
        doubts = [(row, doubt) for row, one in enumerate(readings) if (doubt := one.doubt())]
        if len(doubts) > UNSURE_SHARE * len(readings) + 3 * (UNSURE_SHARE * len(readings)) ** 0.5:
            row, doubt = doubts[0]
            message = (
                f"h knows too little about {len(doubts)} of {len(readings)} inputs to be sure; input {row}: {doubt}"
            )
            warnings.warn(message, UnfamiliarInputWarning, stacklevel=4)
        return self.reader.collect([one.value for one in readings])

    @property
    def has_graph_head(self) -> bool:
        """True if h goes through a relaxed graph: `h(x) = psi(y(x))`."""
        return isinstance(self.backbone, GraphBackbone)

    @torch.no_grad()
    def graphs(self, inputs: Any, batch_size: int = 256) -> Graph:
        """Relaxed graphs y_W(x) of many inputs; needs the graph head.

        Args:
            inputs: B inputs, at least one.
            batch_size: Inputs read at a time.

        Returns:
            B relaxed graphs in `max_nodes` slots, on the CPU.

        Raises:
            ValueError: If h has no graph head, refuses an input, or if there are no inputs.
        """
        if not isinstance(self.backbone, GraphBackbone):
            raise ValueError("this h has no graph head (it goes through a point); train it with through='graph'")
        batches = _batches(self._normal(inputs), batch_size)
        return Graph.cat([compact(self.backbone.graphs(some).to("cpu")) for some in batches])

    @torch.no_grad()
    def predict(self, inputs: Any, batch_size: int = 256) -> Tensor:
        """h of many inputs in bounded memory, without gradients.

        Args:
            inputs: B inputs, at least one.
            batch_size: Inputs read at a time.

        Returns:
            (B, D) unit vectors on the CPU.

        Raises:
            ValueError: If h refuses an input, or if there are no inputs.
            FloatingPointError: If a vector is not finite, as with damaged weights.
        """
        batches = _batches(self._normal(inputs), batch_size)
        return checked_finite(torch.cat([self._embed(some).cpu() for some in batches]), "h", "input")


def _batches(inputs: Any, batch_size: int) -> list[Any]:
    if len(inputs) == 0:
        raise ValueError("no inputs given")
    return [inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size)]
