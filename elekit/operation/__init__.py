"""Operation of a learned loss: estimates, versions and gates, answers in bulk and over HTTP, and monitoring."""

from elekit.operation import bulk, compress, estimate, gates, monitor, predictor, registry, server, ways
from elekit.operation.bulk import predict_file
from elekit.operation.client import Client
from elekit.operation.predictor import Predictor, PredictorSpec, decode_config, load_candidates
from elekit.operation.registry import Registry
from elekit.operation.request_log import RequestLog

__all__ = [
    "Client", "Predictor", "PredictorSpec", "Registry", "RequestLog", "bulk", "compress", "decode_config", "estimate",
    "gates", "load_candidates", "monitor", "predict_file", "predictor", "registry", "server", "ways",
]  # fmt: skip
