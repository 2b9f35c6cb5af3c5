"""Checkpoints of a training: a line with a sha256, then weights and state of the optimizer as safetensors.

A checkpoint is read whole and verified before anything of it is used. Nothing is pickled.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from torch import Tensor, nn

from elekit.datasets.files import locked, write_atomically
from elekit.datasets.strict_json import parse_json, read_bounded
from elekit.graphs import _schema as schema
from elekit.model.artifact import tensor_bytes
from elekit.model.embedding import History
from elekit.training import distributed

MAGIC = b"elekit checkpoint 2 "
MAX_RECORD = 100_000_000  # bytes beside the tensors
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # that AdamW keeps of each weight
_RECORD = schema.fields(
    {
        "step": schema.whole(0, 2**53),
        "seconds": schema.number(0),
        "running": schema.maybe(schema.number()),
        "history": schema.items(schema.by_name(schema.anything, schema.text()), 10_000_000),
        "identity": schema.by_name(schema.anything, schema.text()),
    }
)
_HEADER = schema.fields({"__metadata__": schema.fields({"record": schema.text(MAX_RECORD)})}, {}, schema.anything)
Run = TypeVar("Run", bound=Callable[..., Any])


@dataclass
class Progress:
    """How far a training is; running: moving average of the loss."""

    step: int = 0
    seconds: float = 0.0
    running: float | None = None


def one_at_a_time(run: Run) -> Run:
    """Make a function with `checkpoint=` raise TimeoutError while another process uses that checkpoint."""

    @functools.wraps(run)
    def alone(*args: Any, checkpoint: str | Path | None, **options: Any) -> Any:
        if checkpoint is None or not distributed.is_first():
            return run(*args, checkpoint=checkpoint, **options)
        path = Path(checkpoint)
        busy = f"{path} is in use by another training; wait until it ends, or name another checkpoint or folder"
        with locked(path.with_name(f".{path.name}.lock"), path, busy):
            return run(*args, checkpoint=checkpoint, **options)

    return cast(Run, alone)


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The names of the values in which two identities differ."""
    return ", ".join(sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k)))


def check_finite(model: nn.Module, title: str, step: int) -> None:
    """Raise FloatingPointError if the weights are not finite: the loss shows that only one step later."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise FloatingPointError(f"{title}: {name} is not finite after step {step}; lower learning_rate")


def write(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, history: History,
    identity: dict[str, Any],
) -> None:  # fmt: skip
    """Write a checkpoint; an older one at `path` stays valid until the new one is complete."""
    record = {**vars(progress), "history": history, "identity": identity}
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    data = tensor_bytes(tensors, {"record": json.dumps(record, allow_nan=False)})
    digest = hashlib.sha256(data).hexdigest().encode()
    write_atomically(path, lambda partial: partial.write_bytes(b"".join((MAGIC, digest, b"\n", data))))


def resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: dict[str, Any], steps: int
) -> tuple[Progress, History]:
    """Fill model and optimizer from a checkpoint; raises a ValueError if it is damaged or of another run."""
    try:
        largest = MAX_RECORD + 3 * 8 * sum(v.numel() for v in model.state_dict().values())
        record, tensors = distributed.by_first(lambda: read(path, largest))
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        why = schema.cut(str(error)) if isinstance(error, SafetensorError | RuntimeError) else error
        raise ValueError(f"{path} is not a checkpoint that can be resumed ({why}); delete it") from None
    if different := differences(identity, record["identity"]):
        raise ValueError(f"{path} belongs to another run: {different} differ; delete it or name another checkpoint")
    if problem := _misfit(tensors, model, optimizer) or (record["step"] > steps and "it has more steps"):
        raise ValueError(f"{path} does not fit this run: {problem}; delete it")
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**{name: record[name] for name in ("step", "seconds", "running")}), record["history"]


def read(path: Path, max_bytes: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and the tensors of a checkpoint, verified; raises a ValueError, OSError or SafetensorError."""
    content = read_bounded(path, max_bytes)
    if content.startswith(b"PK"):
        raise ValueError("an older version of elekit wrote it")
    start = len(MAGIC) + hashlib.sha256().digest_size * 2 + 1
    data = memoryview(content)[start:]
    if content[:start] != MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n":
        raise ValueError("it is truncated or damaged: its sha256 does not fit")
    length = int.from_bytes(data[:8], "little")
    header = parse_json(bytes(data[8 : 8 + length]).decode())
    _HEADER(header, "the header")
    record = parse_json(header["__metadata__"]["record"])
    _RECORD(record, "the checkpoint")
    return record, tensors_of(bytes(data))


def _misfit(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """How the tensors of a checkpoint differ from those of model and optimizer; "" if they fit."""
    expected = {f"model.{name}": value for name, value in model.state_dict().items()}
    trained = {f"model.{name}" for name, _ in model.named_parameters()}
    missing = expected.keys() - tensors.keys()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, weight in enumerate(weights):
        moments = dict(zip((f"optimizer.{number}.{name}" for name in MOMENTS), (torch.zeros(()), weight, weight)))
        if moments.keys() & tensors.keys():  # weights without a gradient have none
            expected, trained = expected | moments, trained | moments.keys()
            missing |= moments.keys() - tensors.keys()
    if missing or tensors.keys() - expected.keys():
        return f"tensors are missing or added, such as {min(missing | (tensors.keys() - expected.keys()))[:60]}"
    for key, value in tensors.items():
        want = expected[key]
        if value.shape != want.shape or value.dtype != want.dtype:
            return f"{key} is {value.dtype} {tuple(value.shape)}, expected {want.dtype} {tuple(want.shape)}"
        if key in trained and not torch.isfinite(value).all():
            return f"{key} holds NaN or infinity"
    return ""
