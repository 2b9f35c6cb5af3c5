"""h_W: a backbone, on the sphere."""

import torch
from torch import Tensor, nn

from elekit.graphs import projections
from elekit.graphs.graph import Graph
from elekit.model.surrogate.graph_head import GraphBackbone, compact


class SurrogateRegressor(nn.Module):
    """h_W: inputs -> (B, D), unit norm. backbone: any module from inputs to (B, D).

    Where the backbone tells of `views`, inputs that mean the same, h in evaluation mode is the mean over them.
    Tensors are moved to the device of the backbone's weights first. Raises ValueError, naming the shape that is
    wanted, for a backbone that returns another one.
    """

    def __init__(self, backbone: nn.Module, dim: int):
        super().__init__()
        self.backbone, self.dim = backbone, dim

    def forward(self, inputs) -> Tensor:
        weight = next(self.backbone.parameters(), None)
        if torch.is_tensor(inputs) and weight is not None:
            inputs = inputs.to(weight.device)
        views = [inputs] if self.training or not hasattr(self.backbone, "views") else self.backbone.views(inputs)
        points = [self._point(view) for view in views]
        return points[0] if len(points) == 1 else projections.sphere(torch.stack(points).mean(0))

    def _point(self, inputs) -> Tensor:
        out = self.backbone(inputs)
        wanted = (len(inputs), self.dim)
        if not torch.is_tensor(out) or out.shape != wanted:
            got = tuple(out.shape) if torch.is_tensor(out) else f"a {type(out).__name__}"
            raise ValueError(
                f"the backbone must return {wanted} for {wanted[0]} inputs to regress on this psi, it returned {got}"
            )
        return projections.sphere(out)

    @property
    def has_graph_head(self) -> bool:
        return isinstance(self.backbone, GraphBackbone)

    @torch.no_grad()
    def graphs(self, inputs, batch_size: int = 256) -> Graph:
        """y_W of many inputs: the relaxed graphs that h goes through, in `max_nodes` slots, on the CPU.

        Raises ValueError where h goes through a point, and where there are no inputs.
        """
        if not self.has_graph_head:
            raise ValueError("this h goes through a point, not through a graph; train it with through='graph'")
        if len(inputs) == 0:
            raise ValueError("no inputs given")
        starts = range(0, len(inputs), batch_size)
        return Graph.cat([compact(self.backbone.graphs(inputs[s : s + batch_size]).to("cpu")) for s in starts])

    @torch.no_grad()
    def predict(self, inputs, batch_size: int = 256) -> Tensor:
        """h of many inputs, batch by batch, without gradients; (B, D) on the CPU. ValueError where there are none."""
        if len(inputs) == 0:
            raise ValueError("no inputs given")
        return torch.cat([self(inputs[s : s + batch_size]).cpu() for s in range(0, len(inputs), batch_size)])
