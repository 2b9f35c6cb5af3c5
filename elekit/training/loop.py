"""The training loop: steps, schedule, checkpoints, Ctrl-C, validation.

Batches and views of step s come from a generator seeded by (seed, s), dropout from s alone. A resumed run takes the
same steps: on the CPU the result is bit for bit that of an uninterrupted run. Many processes share a step as
`elekit.training.distributed` describes; the number of processes may change when a run is resumed.
"""

import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from elekit.datasets.files import check_writable
from elekit.graphs import _schema
from elekit.model.embedding import History
from elekit.training import checkpoints, distributed

Callback = Callable[[int, nn.Module], None]
_NUMBERS = _schema.fields(
    {"matmul_precision": _schema.one_of("highest", "high", "medium")},
    {
        **dict.fromkeys(("steps", "warmup"), _schema.whole(0, 10**9)),
        **dict.fromkeys(("validate_every", "checkpoint_every"), _schema.whole(1, 10**9)),
        **dict.fromkeys(("learning_rate", "weight_decay", "clip"), _schema.number(0)),
        "minutes": _schema.maybe(_schema.number(0)),
    },
)


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
        minutes: Largest time, in all runs that a checkpoint joins; the learning rate falls accordingly. None = no
            limit. With a limit, two runs may differ.
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    validate_every: int = 500
    checkpoint_every: int = 500
    matmul_precision: str = "highest"
    minutes: float | None = None

    def __post_init__(self) -> None:
        _NUMBERS(vars(self), "the training loop")


class Fitted(Protocol):
    history: History


def step_generator(seed: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % (2**63))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators within the block, and restore them after it; for initial weights and dropout."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def choose_device(device: str) -> torch.device:
    """The device of this name; "auto" means CUDA if available, otherwise the CPU.

    Each of many processes has a "cuda" of its own.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and distributed.count() > 1 else name)


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


class _Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP in the main thread during a training; the handlers from before return at the end.

    The first signal raises KeyboardInterrupt, or what the handler from before raises. The second one prints a note:
    impatience loses nothing that is being saved. Further ones raise KeyboardInterrupt.

    held: signals wait until `deliver`, for all of many processes must stop after the same step.
    """

    def __init__(self, title: str, *, held: bool = False) -> None:
        self.count = 0  # of signals that ask the training to stop
        self._title, self._held = title, held
        self._before: dict[int, Any] = {}
        self._delaying, self._delayed = False, 0
        self._fatal = 0  # the signal that would have ended the process without this class

    def __enter__(self) -> "_Interrupts":
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):  # nohup ignores
                    self._before[number] = signal.signal(number, self._receive)
        if any(getattr(handler, "received", ()) for handler in self._before.values()):  # lost while a package loaded
            self.__exit__()
            raise KeyboardInterrupt
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
        if self._held and self._delayed:  # after the last step
            signal.raise_signal(self._delayed)

    def _receive(self, number: int, frame: Any = None) -> None:
        handler = self._before.get(number)
        if self._delaying or self._held:
            self._delayed = number
        elif self.count == 0 and callable(handler):
            try:
                handler(number, frame)  # it may go on, as a user's own handler that sets a flag does
            except BaseException:
                self.count = 1
                raise
        else:
            self.count += 1
            self._fatal = self._fatal if callable(handler) else number
            if self.count != 2:
                raise KeyboardInterrupt
            _tell(f"{self._title}: saving, one moment; once more stops at once")

    @contextlib.contextmanager
    def delayed(self) -> Iterator[None]:
        """Delay signals to the end of the block, so that no step is half done."""
        self._delaying = True
        try:
            yield
        finally:
            self._delaying = False
        if self._delayed and not self._held:
            number, self._delayed = self._delayed, 0
            self._receive(number)

    @property
    def waiting(self) -> int:
        """The number of a signal that waits for `deliver`, or 0."""
        return self._delayed

    def deliver(self, number: int) -> None:
        """Receive a signal that came to this process or to another one."""
        self._delayed, self._held = 0, False
        self._receive(number)
        self._held = True  # a user's own handler need not raise

    def end_process(self) -> None:
        """End the process if the signal would have done so without this class."""
        if self._fatal:
            self.__exit__()
            signal.raise_signal(self._fatal)


def _tell(message: str) -> None:
    """Print to stderr, like the bar: standard output may be a document. The terminal may be gone."""
    with contextlib.suppress(OSError, ValueError):
        tqdm.write(message, file=sys.stderr)


@checkpoints.one_at_a_time
def run_loop(
    model: nn.Module, config: TrainerConfig, loss_at: Callable[[int], Tensor],
    validate: Callable[[], dict[str, float]], *, identity: dict[str, Any], checkpoint: str | Path | None,
    progress: bool, title: str, callback: Callback | None = None, resume_from: str | Path | None = None,
) -> History:  # fmt: skip
    """Minimize `loss_at(step)` over the parameters of the model; returns the history, one dict per validation.

    identity: plain values (settings, seed, data digest) that must be equal for a checkpoint to be resumed. callback:
    as in `fit_embedding`. resume_from: the checkpoint to name in the message after Ctrl-C, if not `checkpoint`.
    Ctrl-C stops after the current step, writes the checkpoint and marks the last entry with `interrupted: True`.
    SIGTERM and SIGHUP do the same, and then end the process unless it handles them. An error (such as a lack of
    memory) is raised after the checkpoint is written. A checkpoint that cannot be written is an error at the start.
    Of many processes, all stop after the same step, and the first alone validates, writes and calls back.
    """
    first = distributed.is_first()
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    identity = json.loads(json.dumps(identity))
    other = checkpoints.differences(identity, distributed.by_first(lambda: identity))
    if other:
        raise ValueError(f"{title}: process {distributed.rank()} and the first were given different values: {other}")
    distributed.share_weights(model)
    start, history = checkpoints.Progress(), History()
    if distributed.by_first(lambda: checkpoint is not None and Path(checkpoint).exists()):
        assert checkpoint is not None
        start, history = checkpoints.resume(Path(checkpoint), model, optimizer, identity, config.steps)
    done, running = start.step, start.running
    if checkpoint is not None and done < config.steps and first:
        values = sum(p.numel() * p.element_size() for p in model.parameters())
        check_writable(checkpoint, 3 * values)  # AdamW keeps two values beside each weight
    started = time.perf_counter()

    def seconds() -> float:
        return start.seconds + time.perf_counter() - started

    def save() -> None:
        checkpoints.check_finite(model, title, done)
        if checkpoint is not None and first:
            progress = checkpoints.Progress(done, seconds(), running)
            checkpoints.write(checkpoint, model, optimizer, progress, history, identity)

    def call_back() -> None:
        if callback is not None and first:
            model.eval()
            with torch.no_grad():
                callback(done, model)
            model.train()

    def measured(**more: Any) -> dict[str, Any]:
        model.eval()
        with torch.no_grad():
            figures = validate()
        model.train()
        call_back()
        return {"step": done, "seconds": round(seconds(), 1), "loss": running, **figures, **more}

    model.train()
    bar = tqdm(
        total=config.steps, initial=done, desc=title, unit="step", disable=not (progress and first), mininterval=0.5
    )
    saved, whole = done, True  # whole: no update is half done
    interrupts = _Interrupts(title, held=distributed.count() > 1)

    def keep_progress(how: str) -> None:
        nonlocal saved
        if done > saved:
            save()
            saved = done
        path = resume_from or checkpoint
        hint = f"call again with checkpoint={str(path)!r} to continue" if path else "give checkpoint= to resume later"
        if first:
            _tell(f"{title}: {how} after {done} of {config.steps} steps; {hint}")

    with interrupts:
        try:
            with bar, _fast_arithmetic(config.matmul_precision):
                call_back()
                share = _share(done, distributed.agree(seconds(), 0)[0], config)
                while share < 1:
                    for group in optimizer.param_groups:
                        group["lr"] = config.learning_rate * _schedule(done, share, config)
                    loss = loss_at(done)
                    value = loss.item()
                    if not math.isfinite(value):
                        raise FloatingPointError(f"{title}: the loss is {value} at step {done}; lower learning_rate")
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    distributed.average_gradients(model)
                    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
                    with interrupts.delayed():
                        whole = False
                        optimizer.step()
                        done += 1
                        running = value if running is None else 0.98 * running + 0.02 * value
                        whole = True
                    bar.update()
                    clock, stop = distributed.agree(seconds(), interrupts.waiting)
                    share = _share(done, clock, config)
                    if done % config.validate_every == 0 or share == 1:
                        history.append(distributed.by_first(measured))
                        bar.set_postfix(
                            {k: f"{v:.3f}" for k, v in history[-1].items() if k not in ("step", "seconds")}
                        )
                    if done % config.checkpoint_every == 0 or share == 1:
                        save()
                        saved = done
                    if stop:
                        interrupts.deliver(stop)
                    if interrupts.count:  # an exception that was lost, as in a finalizer
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            distributed.by_first(lambda: keep_progress("interrupted"))
            interrupts.end_process()
            history.append(distributed.by_first(lambda: measured(interrupted=True)))
        except BaseException as error:
            if isinstance(error, (MemoryError, RuntimeError)):  # torch raises the latter
                traceback.clear_frames(error.__traceback__)  # frees the memory of the step
            if whole and not isinstance(error, FloatingPointError):
                with contextlib.suppress(Exception):
                    keep_progress(f"stopped by {type(error).__name__}")
            raise
    model.eval()
    return history


def raise_if_interrupted(fitted: Fitted) -> None:
    """Raise KeyboardInterrupt if Ctrl-C ended the training, so that nothing is made of half a model."""
    if fitted.history and fitted.history[-1].get("interrupted"):
        raise KeyboardInterrupt


def _share(step: int, seconds: float, config: TrainerConfig) -> float:
    """Share of the training that is done, from 0 to 1, after so many steps and seconds."""
    share = step / config.steps if config.steps else 1.0
    if config.minutes is None or step == 0:  # at least one step
        return share
    return min(1.0, max(share, seconds / max(1e-9, 60 * config.minutes)))


def _schedule(step: int, share: float, config: TrainerConfig) -> float:
    return min(1.0, (step + 1) / max(1, config.warmup)) * (1 + math.cos(math.pi * share)) / 2
