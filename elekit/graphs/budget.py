"""The time of a long call: a budget that its parts share, a progress bar with an estimate, and Ctrl-C.

A long call takes `budget`: seconds, the `Clock` of its caller, or None for no limit. At the end of the budget, and
after Ctrl-C, the call returns what it has and says what is missing.
"""

import math
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from types import FrameType
from typing import Any, TypeVar

from tqdm.auto import tqdm

SHOW_AFTER = 2.0  # seconds until a progress bar appears
Item = TypeVar("Item")


class Clock:
    """The time left of a budget.

    Within `with clock:` the first Ctrl-C ends the budget, as if the time were up; the second one raises
    KeyboardInterrupt. That holds in the main thread, if no program has put a handler of its own there.

    Args:
        seconds: Length of the budget, above 0; None for no limit.
    """

    def __init__(self, seconds: float | None = None):
        if seconds is not None and not seconds > 0:
            raise ValueError(f"budget must be seconds above 0, got {seconds}")
        self._end = math.inf if seconds is None else time.monotonic() + seconds
        self._root = self
        self._interrupts = 0
        self._depth = 0
        self._before: Any = None

    @classmethod
    def of(cls, budget: "float | Clock | None") -> "Clock":
        """The clock itself, or a new one.

        Args:
            budget: Seconds, a clock, or None for no limit.

        Returns:
            A clock.

        Raises:
            ValueError: If the seconds are not above 0.
        """
        return budget if isinstance(budget, Clock) else cls(budget)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the budget."""
        return self._root._interrupts > 0

    @property
    def left(self) -> float:
        """Seconds left, at least 0; infinity without a limit."""
        return 0.0 if self.interrupted else max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.left == 0.0

    def part(self, share: float = 1.0, at_most: float = math.inf) -> "Clock":
        """A clock for a part of the call; what it leaves remains for the others.

        Args:
            share: Share of the time that is left, in (0, 1].
            at_most: Seconds.

        Returns:
            A clock that ends with this one, or earlier.
        """
        part = Clock()
        part._root = self._root
        part._end = time.monotonic() + min(share * self.left, at_most)
        return part

    def track(
        self, items: Iterable[Item], title: str, *, progress: bool | None = None, to_end: bool = False
    ) -> Iterator[Item]:
        """Iterate until the time is up, with a progress bar.

        Args:
            items: What to iterate over.
            title: Name of the bar.
            progress: Whether to show the bar; None shows it after 2 s, if standard error is a terminal.
            to_end: Whether to go on when the time is up; the caller then spends as little as it can on each item.

        Yields:
            The items.
        """
        total = len(items) if isinstance(items, Sized) else None
        looks: dict[str, Any] = {"disable": None, "delay": SHOW_AFTER, "leave": False}
        looks = looks if progress is None else {"disable": not progress}
        with tqdm(total=total, desc=title, **looks) as bar:
            for item in items:
                if self.over and not to_end:
                    return
                yield item
                bar.update()

    def __enter__(self) -> "Clock":
        root = self._root
        if root._depth == 0 and threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler or hasattr(handler, "received"):  # the latter: `elekit.cli`
                root._before = signal.signal(signal.SIGINT, root._interrupt)
        root._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        root = self._root
        root._depth -= 1
        if root._depth == 0 and root._before is not None:
            signal.signal(signal.SIGINT, root._before)
            root._before = None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt
        tqdm.write("stopping with what is there, one moment; once more stops at once", file=sys.stderr)
