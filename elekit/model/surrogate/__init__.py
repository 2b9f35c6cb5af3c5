"""h_W, the surrogate: inputs to points of the sphere, `h_W(x) = u_W(x) / ||u_W(x)||` (paper eq. of h_W).

u_W is a backbone for texts, images or vectors, trained to minimize `2 - 2 <h_W(x), psi(y)>`. With a graph head
(`through="graph"`), `h_W(x) = psi(y_W(x))` instead: see `elekit.model.surrogate.graph_head`.
"""

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.regressor import SurrogateRegressor

__all__ = ["BackboneConfig", "SurrogateRegressor"]
