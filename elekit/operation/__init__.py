"""Operation of a learned loss: answers in bulk and over HTTP, versions and gates, estimates, and monitoring."""

from elekit.operation.predictor import Predictor, PredictorSpec, decode_config, load_candidates

__all__ = ["Predictor", "PredictorSpec", "decode_config", "load_candidates"]
