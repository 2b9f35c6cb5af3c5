"""Work in a thread, while a widget stays usable."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_in_background(work: Callable[[], T], callback: Callable[[T | None, Exception | None], None]) -> None:
    """Run `work()` in a thread and call `callback(result, error)` in the event loop; one of the two is None.

    Without a running event loop (outside of Jupyter), both run at once and errors are raised.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        callback(work(), None)
        return

    def run() -> None:
        result = error = None
        try:
            result = work()
        except Exception as caught:
            error = caught
        loop.call_soon_threadsafe(callback, result, error)

    threading.Thread(target=run, daemon=True).start()  # a daemon: the kernel does not wait for it to stop
