"""What the widgets share: commands from the browser, errors shown in the widget, a static picture, threads."""

import asyncio
import base64
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anywidget
import traitlets
from matplotlib.figure import Figure

T = TypeVar("T")


def shows_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for callbacks: an error is shown in `problem` and kept in `error`; success clears both."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            result = method(self, *args, **kwargs)
        except Exception as error:
            show_error(self, error)
            return None
        self.problem, self.error = "", None
        return result

    return guarded


def show_error(widget: Any, error: Exception) -> None:
    """Set a widget's `error`, and its `problem` to the first line of the message."""
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    first = lines[0] if lines else "Unexpected error (no message). See the notebook log for the traceback."
    widget.error, widget.problem = error, kind + first


class Panel(anywidget.AnyWidget):
    """Base class of widgets drawn in the browser. Subclasses implement `picture`.

    COMMANDS: methods that the browser may call. problem: the last error in one sentence, "" after a success. error:
    the exception, None after a success. palette: names and colors of the labels, see `elekit.draw.scenes.palette`.
    """

    COMMANDS: tuple[str, ...] = ()

    problem = traitlets.Unicode("").tag(sync=True)
    palette = traitlets.Dict().tag(sync=True)
    error: Exception | None = None

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self.on_msg(self._receive)

    def picture(self) -> Figure:
        raise NotImplementedError

    def _receive(self, _: object, content: Any, buffers: object) -> None:
        """Handle a message of the browser: {"do": one of COMMANDS, "with": its arguments}."""
        if isinstance(content, dict) and content.get("do") in self.COMMANDS:
            self._execute(content["do"], content.get("with") or {})

    @shows_errors
    def _execute(self, command: str, values: dict[str, Any]) -> None:
        getattr(self, command)(**values)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_picture(super()._repr_mimebundle_(**kwargs), self.picture)


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


def with_picture(bundle: Any, picture: Callable[[], Figure]) -> Any:
    """Add the static picture to a display bundle, for readers without a kernel: printed, exported, online."""
    if bundle is None:
        return None
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    figure: Any = picture()
    return {**data, "image/png": base64.b64encode(figure._repr_png_()).decode()}, metadata
