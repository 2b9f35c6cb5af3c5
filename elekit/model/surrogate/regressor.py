"""h_W: a backbone, normalized to the sphere."""

from typing import Any

import torch
from torch import Tensor, nn

from elekit.graphs import Graph, projections
from elekit.model.embedding import History
from elekit.model.loss import checked_finite
from elekit.model.surrogate.graph_head import GraphBackbone, compact


class SurrogateRegressor(nn.Module):
    """h_W: inputs to unit vectors (B, D). `history` holds the course of the training.

    If the backbone has `views` (batches with the same meaning), h in evaluation mode is the mean over them.

    Args:
        backbone: Any module from inputs to (B, D).
        dim: D, the dimension of the embedding space of psi.
    """

    def __init__(self, backbone: nn.Module, dim: int):
        super().__init__()
        self.backbone, self.dim = backbone, dim
        self.history: History = []

    def forward(self, inputs: Any) -> Tensor:
        """Map a batch of inputs to the sphere.

        Args:
            inputs: B texts, vectors or images, as the backbone reads them.

        Returns:
            (B, D) unit vectors.

        Raises:
            ValueError: If the backbone cannot read the inputs, or returns another shape than (B, D).
        """
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
            ValueError: If h has no graph head, or if there are no inputs.
        """
        if not isinstance(self.backbone, GraphBackbone):
            raise ValueError("this h has no graph head (it goes through a point); train it with through='graph'")
        return Graph.cat([compact(self.backbone.graphs(some).to("cpu")) for some in _batches(inputs, batch_size)])

    @torch.no_grad()
    def predict(self, inputs: Any, batch_size: int = 256) -> Tensor:
        """h of many inputs in bounded memory, without gradients.

        Args:
            inputs: B inputs, at least one.
            batch_size: Inputs read at a time.

        Returns:
            (B, D) unit vectors on the CPU.

        Raises:
            ValueError: If there are no inputs.
            FloatingPointError: If a vector is not finite, as with damaged weights.
        """
        return checked_finite(torch.cat([self(some).cpu() for some in _batches(inputs, batch_size)]), "h", "input")


def _batches(inputs: Any, batch_size: int) -> list[Any]:
    if len(inputs) == 0:
        raise ValueError("no inputs given")
    return [inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size)]
