"""Work that a widget does beside being used."""

import asyncio
import threading
from collections.abc import Callable


def later(work: Callable[[], object], then: Callable[[object, Exception | None], None]) -> None:
    """`then(result, error)` of `work()`, one of them None; in a thread, with `then` back in the event loop.

    Where no event loop runs (outside Jupyter) both are done at once, and an error is raised.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        then(work(), None)
        return

    def run():
        result = error = None
        try:
            result = work()
        except Exception as wrong:
            error = wrong
        loop.call_soon_threadsafe(then, result, error)

    threading.Thread(target=run, daemon=True).start()  # a kernel that stops does not wait for it
