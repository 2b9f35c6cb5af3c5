"""The loop under both fits: steps, schedule, checkpoints, Ctrl-C, validation figures (floor 2).

Everything random in step s comes from a generator seeded by (seed, s), so a run that is cut off and resumed takes
the very same steps: on the CPU the result is bit for bit that of a run without the cut.
"""

import contextlib
import hashlib
import io
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from elekit.datasets.files import write_atomically

RETRIEVAL_SIZE = 1_000  # held-out graphs at most, when what is learned is judged


@dataclass(frozen=True)
class TrainerConfig:
    """How a fit walks. learning_rate: peak, after `warmup` steps, then a cosine down to zero at the last step."""

    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    validate_every: int = 500  # steps
    checkpoint_every: int = 500  # steps
    matmul_precision: str = "highest"  # "medium": bfloat16 inside matrix products, 2 x faster where the CPU has it


def step_generator(seed: int, step: int) -> torch.Generator:
    """The source of all randomness of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % (2**63))


@contextlib.contextmanager
def seeded(seed: int):
    """torch's own generators, of the CPU and of CUDA, start from `seed` meanwhile and are then as they were before.

    For what draws from no others: initial weights and dropout.
    """
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def choose_device(device: str) -> torch.device:
    """`auto`: CUDA where there is some, else the CPU; anything else, of which none was tried, as torch names it."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


@contextlib.contextmanager
def matmul_precision(name: str):
    """torch's float32 matmul precision, as it was afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def flush_denormals():
    """Numbers nearer to 0 than 1e-38 are 0 meanwhile in this thread, where the processor can do that.

    Further threads of torch do so only if they are started meanwhile.

    They come up late in training, from gates and attention that are all but closed, and take hundreds of cycles each:
    a decoder of Coloring made its last steps 4.6 times as fast without them.
    """
    before = (torch.tensor([1e-39]) * 1.0).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def uninterrupted():
    """Ctrl-C waits for the end of the block, so that no step is ever half taken (in the main thread)."""
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
    model: nn.Module,
    config: TrainerConfig,
    loss_at: Callable[[int], Tensor],
    validate: Callable[[], dict[str, float]],
    *,
    identity: dict,
    checkpoint: str | Path | None,
    progress: bool,
    title: str,
    callback: Callable[[int, nn.Module], None] | None = None,
    given: str | Path | None = None,
) -> list[dict]:
    """Minimize `loss_at(step)` over the model's parameters; returns the history.

    history: one dict for each validation: step, seconds, loss (running mean), and what `validate` says.
    callback: called with the step and the model, in evaluation mode and without gradients, before the first step that
    this run takes (0, or where it goes on) and at every validation; what is learned is the same with it and without.
    given: the checkpoint that the caller was given, where this is another one, of a part of the work.
    identity: what must be equal for a checkpoint to be resumed (configs, seed, data digest).
    Ctrl-C stops after the current step: the checkpoint is written, the model keeps what was reached, and the last
    entry of the history has `interrupted: True`. A loss that is not finite raises FloatingPointError.
    """
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    identity = json.loads(json.dumps(identity))
    done, history, earlier, running = 0, [], 0.0, None
    if checkpoint is not None and Path(checkpoint).exists():
        done, history, earlier, running = _resume(Path(checkpoint), model, optimizer, identity)
    started = time.perf_counter()

    def save():
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
            buffer = io.BytesIO()  # torch.save to a path tells a full disk by a RuntimeError
            torch.save(state, buffer)
            write_atomically(checkpoint, lambda path: path.write_bytes(buffer.getbuffer()))

    def show():
        if callback is not None:
            model.eval()
            with torch.no_grad():
                callback(done, model)
            model.train()

    def note(**more):
        model.eval()
        with torch.no_grad():
            figures = validate()
        model.train()
        show()
        seconds = round(earlier + time.perf_counter() - started, 1)
        history.append({"step": done, "seconds": seconds, "loss": running, **figures, **more})

    model.train()
    bar = tqdm(total=config.steps, initial=done, desc=title, unit="step", disable=not progress, mininterval=0.5)
    saved = done
    try:
        with bar, matmul_precision(config.matmul_precision), flush_denormals():
            show()
            while done < config.steps:
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * _schedule(done, config)
                loss = loss_at(done)
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(f"{title}: the loss is {value} at step {done}; lower learning_rate")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
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
        said = f"{title}: interrupted after {done} of {config.steps} steps; {_how_to_go_on(given or checkpoint)}"
        tqdm.write(said, file=sys.stderr)  # where the bar is: standard output may be a document
    model.eval()
    return history


def raise_if_interrupted(fitted: nn.Module) -> None:
    """KeyboardInterrupt where Ctrl-C ended a fit early: nothing is to be made of half a fit that can go on later."""
    if fitted.history and fitted.history[-1].get("interrupted"):
        raise KeyboardInterrupt


def _how_to_go_on(checkpoint) -> str:
    return (
        f"call again with checkpoint={str(checkpoint)!r} to go on"
        if checkpoint
        else "give checkpoint= to be able to go on"
    )


def _schedule(step: int, config: TrainerConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / max(1, config.warmup)) * (1 + math.cos(math.pi * step / config.steps)) / 2


def _resume(path: Path, model: nn.Module, optimizer, identity: dict) -> tuple[int, list[dict], float, float | None]:
    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True
        )  # tensors and plain values only, no pickle code
        theirs = json.loads(dict(state)["identity"])
    except Exception as broken:  # torch.load raises a dozen kinds, depending on where a file is broken
        raise ValueError(
            f"{path} is no checkpoint that can be resumed ({type(broken).__name__}); delete it"
        ) from broken
    different = sorted(k for k in identity.keys() | theirs.keys() if identity.get(k) != theirs.get(k))
    if different:
        raise ValueError(
            f"{path} belongs to another run: {', '.join(different)} differ; delete it or name another checkpoint"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], json.loads(state["history"]), state["seconds"], state.get("running")


def tensor_digest(tensor: Tensor) -> str:
    """sha256 of a tensor's values, rounded to 4 digits, so that the last bits of another machine do not count."""
    return hashlib.sha256((tensor * 1e4).round().to(torch.int32).cpu().contiguous().numpy().tobytes()).hexdigest()


def retrieval(queries: Tensor, gallery: Tensor) -> float:
    """Retrieval@1: share of rows of `queries` (B, D) whose nearest row of `gallery` (B, D) is their own."""
    return (queries @ gallery.T).argmax(1).eq(torch.arange(len(queries), device=queries.device)).float().mean().item()
