"""The training loop: steps, schedule, checkpoints, Ctrl-C, validation.

Batches and views of step s come from a generator seeded by (seed, s), dropout from s alone. A resumed run takes the
same steps: on the CPU the result is bit for bit that of an uninterrupted run.
"""

import contextlib
import io
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from elekit.datasets.files import write_atomically
from elekit.model.embedding import History

Callback = Callable[[int, nn.Module], None]


@dataclass(frozen=True)
class TrainerConfig:
    """Settings of the training loop (AdamW).

    Args:
        steps: Number of steps.
        learning_rate: Peak learning rate, reached after the warm-up; then a cosine to zero at the last step.
        warmup: Steps of linear warm-up.
        weight_decay: Weight decay of AdamW.
        clip: Maximal norm of the gradient.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        matmul_precision: As in `torch.set_float32_matmul_precision`; "medium" is 2 x faster on CPUs with bfloat16.
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    validate_every: int = 500
    checkpoint_every: int = 500
    matmul_precision: str = "highest"


class Fitted(Protocol):
    history: History


def step_generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % (2**63))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators within the block, and restore them after it; for initial weights and dropout."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def choose_device(device: str) -> torch.device:
    """The device of this name; "auto" means CUDA if available, otherwise the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


@contextlib.contextmanager
def _fast_arithmetic(matmul_precision: str) -> Iterator[None]:
    """Set torch's float32 matmul precision and round denormal numbers (below 1e-38) to 0 within the block.

    Nearly closed gates and attention produce denormals late in training, and each costs hundreds of cycles. They are
    flushed in this thread, and in threads that torch starts within the block.
    """
    before = torch.get_float32_matmul_precision(), (torch.tensor([1e-39]) * 1.0).item() == 0.0
    torch.set_float32_matmul_precision(matmul_precision)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.set_flush_denormal(before[1])


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block, so that no step is half done (in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = []
    before = signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if waiting:
        signal.raise_signal(signal.SIGINT)


def run_loop(
    model: nn.Module, config: TrainerConfig, loss_at: Callable[[int], Tensor],
    validate: Callable[[], dict[str, float]], *, identity: dict[str, Any], checkpoint: str | Path | None,
    progress: bool, title: str, callback: Callback | None = None, resume_from: str | Path | None = None,
) -> History:  # fmt: skip
    """Minimize `loss_at(step)` over the parameters of the model; returns the history, one dict per validation.

    identity: plain values (settings, seed, data digest) that must be equal for a checkpoint to be resumed. callback:
    as in `fit_embedding`. resume_from: the checkpoint to name in the message after Ctrl-C, if not `checkpoint`.
    Ctrl-C stops after the current step, writes the checkpoint and marks the last entry with `interrupted: True`.
    """
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    identity = json.loads(json.dumps(identity))
    done, earlier, history = 0, 0.0, History()
    running: float | None = None
    if checkpoint is not None and Path(checkpoint).exists():
        done, history, earlier, running = _resume(Path(checkpoint), model, optimizer, identity)
    started = time.perf_counter()

    def save() -> None:
        if checkpoint is not None:
            state = {
                "step": done,
                "seconds": earlier + time.perf_counter() - started,
                "running": running,
                "history": json.dumps(history),
                "identity": json.dumps(identity),
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            buffer = io.BytesIO()  # torch.save to a path raises RuntimeError on a full disk
            torch.save(state, buffer)
            write_atomically(checkpoint, lambda path: path.write_bytes(buffer.getbuffer()))

    def call_back() -> None:
        if callback is not None:
            model.eval()
            with torch.no_grad():
                callback(done, model)
            model.train()

    def note(**more: Any) -> None:
        model.eval()
        with torch.no_grad():
            figures = validate()
        model.train()
        call_back()
        seconds = round(earlier + time.perf_counter() - started, 1)
        history.append({"step": done, "seconds": seconds, "loss": running, **figures, **more})

    model.train()
    bar = tqdm(total=config.steps, initial=done, desc=title, unit="step", disable=not progress, mininterval=0.5)
    saved = done
    try:
        with bar, _fast_arithmetic(config.matmul_precision):
            call_back()
            while done < config.steps:
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * _schedule(done, config)
                loss = loss_at(done)
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(f"{title}: the loss is {value} at step {done}; lower learning_rate")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
                with uninterrupted():
                    optimizer.step()
                    done += 1
                    running = value if running is None else 0.98 * running + 0.02 * value
                bar.update()
                if done % config.validate_every == 0 or done == config.steps:
                    note()
                    bar.set_postfix({k: f"{v:.3f}" for k, v in history[-1].items() if k not in ("step", "seconds")})
                if done % config.checkpoint_every == 0 or done == config.steps:
                    save()
                    saved = done
    except KeyboardInterrupt:
        if done > saved:
            save()
        note(interrupted=True)
        path = resume_from or checkpoint
        hint = f"call again with checkpoint={str(path)!r} to continue" if path else "give checkpoint= to resume later"
        # to stderr, like the bar: standard output may be a document
        tqdm.write(f"{title}: interrupted after {done} of {config.steps} steps; {hint}", file=sys.stderr)
    model.eval()
    return history


def raise_if_interrupted(fitted: Fitted) -> None:
    """Raise KeyboardInterrupt if Ctrl-C ended the training, so that nothing is made of half a model."""
    if fitted.history and fitted.history[-1].get("interrupted"):
        raise KeyboardInterrupt


def _schedule(step: int, config: TrainerConfig) -> float:
    return min(1.0, (step + 1) / max(1, config.warmup)) * (1 + math.cos(math.pi * step / config.steps)) / 2


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: dict[str, Any]
) -> tuple[int, History, float, float | None]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # no pickled code
        stored = json.loads(dict(state)["identity"])
    except Exception as error:  # torch.load raises a dozen kinds, depending on where a file is broken
        kind = type(error).__name__
        raise ValueError(f"{path} is not a checkpoint that can be resumed ({kind}); delete it") from error
    different = ", ".join(sorted(k for k in identity.keys() | stored.keys() if identity.get(k) != stored.get(k)))
    if different:
        raise ValueError(f"{path} belongs to another run: {different} differ; delete it or name another checkpoint")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], json.loads(state["history"]), state["seconds"], state.get("running")
