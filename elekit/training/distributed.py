"""Training on many processes: `torchrun -m elekit.cli train ...`, or `processes()` in a program of one's own.

The batch and the views of a step depend on the seed and the step alone. Every process draws all of them, embeds its
own rows, receives the points of the others, and computes the loss of the whole batch. So the steps are those of one
process, up to rounding; but drawing, about a third of a step for small molecules on a CPU, is not divided. Two things
differ: masks of dropout, and layers that mix the rows of a batch, such as batch normalization, which see the rows of
one process.

The first process alone validates, shows progress, writes checkpoints and calls back. With one process, all functions
here do nothing.
"""

import contextlib
import datetime
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

TIMEOUT = datetime.timedelta(minutes=30)  # of waiting for a process that hangs; one that ends is noticed at once
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # set by torchrun
LOST = re.compile("gloo|nccl", re.IGNORECASE)  # in errors of messages between processes
DROPOUT_STRIDE = 10**9  # between the seeds of processes, beyond all steps
Result = TypeVar("Result")

_rank, _count = 0, 1
_blocks = 0  # of `processes` in this program


def launched() -> tuple[int, int] | None:
    """Number of this process and number of processes; None if torchrun has not started several."""
    if any(name not in os.environ for name in ENVIRONMENT):
        return None
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return (rank, count) if count > 1 else None


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Let the processes that torchrun started train together within the block; does nothing without torchrun.

    All must make the same calls of `fit_embedding` and `fit_surrogate` with the same arguments. After errors, and
    after Ctrl-C, the first process that fails raises; the others end silently, by SystemExit.
    """
    global _rank, _count, _blocks
    found = launched()
    if found is None:
        yield
        return
    store, rank, count = next(iter(distributed.rendezvous("env://", timeout=TIMEOUT)))
    _blocks += 1
    store = distributed.PrefixStore(f"elekit {_blocks}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
    _rank, _count = rank, count
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not _fails_first(store):
            raise SystemExit(1) from None
        if isinstance(error, RuntimeError) and LOST.search(str(error)):
            raise ConnectionError(
                "a process was killed or cannot be reached; the last checkpoint can be resumed"
            ) from error
        raise
    finally:
        _rank, _count = 0, 1
        distributed.destroy_process_group()


def _fails_first(store: "distributed.Store") -> bool:
    with contextlib.suppress(Exception):  # the store is gone with the process that failed first
        return store.add("failed", 1) == 1
    return False


def rank() -> int:
    """The number of this process, from 0."""
    return _rank


def count() -> int:
    """The number of processes that train together."""
    return _count


def is_first() -> bool:
    return _rank == 0


def by_first(make: Callable[[], Result]) -> Result:
    """What a function returns in the first process, which alone calls it; the others wait for it."""
    if _count == 1:
        return make()
    result: list[Any] = [make() if _rank == 0 else None]
    distributed.broadcast_object_list(result, src=0)
    return result[0]  # type: ignore[no-any-return]


def agree(seconds: float, signal: int) -> tuple[float, int]:
    """The clock of the first process, and the number of a signal that any process has received, 0 for none."""
    if _count == 1:
        return seconds, signal
    both = torch.tensor([seconds if _rank == 0 else 0.0, signal], dtype=torch.float64)
    distributed.all_reduce(both, distributed.ReduceOp.MAX)
    return both[0].item(), int(both[1])


def share_weights(model: nn.Module) -> None:
    """Give all processes the weights of the first."""
    if _count > 1:
        for value in model.state_dict().values():
            distributed.broadcast(value, src=0)


def divided(embed: Callable[[Any], Tensor], batch: Any) -> Tensor:
    """`embed(batch)`, with the rows divided among the processes: (B, D) with the points of all of them.

    The gradient reaches the weights through the rows of this process, multiplied by the number of processes.
    `average_gradients` makes that the gradient of the whole batch, and leaves that of terms which every process
    computes alike as it is.
    """
    rows = len(batch)
    if _count == 1 or rows < _count:
        return embed(batch)
    ends = [rows * i // _count for i in range(_count + 1)]
    own = embed(batch[ends[_rank] : ends[_rank + 1]])
    sent = own.new_zeros(-(-rows // _count), own.shape[1])  # shares differ by one row, messages must not
    sent[: len(own)] = own.detach()
    parts = [torch.empty_like(sent) for _ in range(_count)]
    distributed.all_gather(parts, sent)
    parts = [part[: end - start] for part, start, end in zip(parts, ends, ends[1:])]
    if own.requires_grad:
        parts[_rank] = own.view_as(own)
        factor = _count
        parts[_rank].register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return torch.cat(parts)


def average_gradients(model: nn.Module) -> None:
    """Replace the gradients of the weights by their means over the processes."""
    if _count == 1:
        return
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    whole = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(whole)
    means = torch.split(whole / _count, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means):
        gradient.copy_(mean.view_as(gradient))
