"""Every method, by its name."""

from elekit.benchmark.methods.base import Fitted, Method, Predictor
from elekit.benchmark.methods.ele import ABLATIONS, ELE

METHODS: dict[str, Method] = {method.name: method for method in (ELE(), *ABLATIONS)}

__all__ = ["METHODS", "Fitted", "Method", "Predictor"]
