"""What the widgets share: commands from the browser, errors shown in the widget, a static picture, threads."""

import asyncio
import base64
import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anywidget
import traitlets
from IPython.display import display
from matplotlib.figure import Figure

from elekit.draw.base import atom_colors
from elekit.model.health import NOT_MEASURED

T = TypeVar("T")

RUN_AGAIN = "Picture of a widget. Run this cell to use it."
STILL = (Path(__file__).parent / "static" / "still.css").read_text(encoding="utf-8")


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


def in_own_colors(method: Callable[..., T]) -> Callable[..., T]:
    """Decorator for methods of a widget that draw: atoms get the colors that the widget was made with."""

    @functools.wraps(method)
    def colored(self: Any, *args: Any, **kwargs: Any) -> T:
        with atom_colors(self.palette["atoms"]):
            return method(self, *args, **kwargs)

    return colored


def show_error(widget: Any, error: Exception) -> None:
    """Set a widget's `error`, and its `problem` to the first line of the message."""
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    first = lines[0] if lines else "Unexpected error (no message). See the notebook log for the traceback."
    widget.error, widget.problem = error, kind + first


class Displayed:
    """Displays a widget, its picture, and the style by which a page shows one of the two.

    The picture is an output of its own because viewers prefer the widget's type to all others of an output, also
    without a kernel, where they cannot draw it. Viewers without style sheets show a sentence and the picture.
    """

    picture: Callable[[], Figure]

    def _ipython_display_(self, **kwargs: Any) -> None:
        bundle = self._repr_mimebundle_(**kwargs)
        if bundle is None:
            return
        data, metadata = bundle
        png = data.pop("image/png")
        display({**data, "text/plain": RUN_AGAIN}, metadata=metadata, raw=True)
        display({"image/png": png}, raw=True)
        display({"text/html": f'<style class="elekit-still">\n{STILL}</style>'}, raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found: Any = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if found is None:
            return None
        data, metadata = found if isinstance(found, tuple) else (found, {})
        figure: Any = self.picture()
        return {**data, "image/png": base64.b64encode(figure._repr_png_()).decode()}, metadata


class Panel(Displayed, anywidget.AnyWidget):
    """Base class of widgets drawn in the browser. Subclasses implement `picture`.

    COMMANDS: methods that the browser may call. problem: the last error in one sentence, "" after a success. error:
    the exception, None after a success. health: the verdict on the loss, above the widget. palette: names and colors
    of the labels, see `elekit.draw.scenes.palette`.
    """

    COMMANDS: tuple[str, ...] = ()

    problem = traitlets.Unicode("").tag(sync=True)
    health = traitlets.Unicode("").tag(sync=True)
    palette = traitlets.Dict().tag(sync=True)
    error: Exception | None = None

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self.on_msg(self._receive)

    def picture(self) -> Figure:
        raise NotImplementedError

    def _receive(self, _: object, content: Any, buffers: object) -> None:
        """Handle a message of the browser: {"do": "ping" or one of COMMANDS, "with": its arguments}."""
        if isinstance(content, dict) and content.get("do") == "ping":  # the browser asks whether this kernel lives
            self.send({"pong": True})
        elif isinstance(content, dict) and content.get("do") in self.COMMANDS:
            self._execute(content["do"], content.get("with") or {})

    @shows_errors
    def _execute(self, command: str, values: dict[str, Any]) -> None:
        getattr(self, command)(**values)


def verdict(psi: Any) -> str:
    """The health of a loss in one line."""
    return str(getattr(psi, "health", None) or NOT_MEASURED)


class Stopped(BaseException):
    """Raised in a thread that is to stop."""


def run_in_background(
    work: Callable[[], T], callback: Callable[[T | None, Exception | None], None]
) -> Callable[[], None]:
    """Run `work()` in a thread and call `callback(result, error)` in the event loop; one of the two is None.

    Without a running event loop (outside of Jupyter), both run at once and errors are raised.

    Returns:
        A function that stops the work: the callback is not called, and the thread ends at its next Python
        instruction, which in UMAP and t-SNE is the next epoch.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        callback(work(), None)
        return lambda: None
    stopped = False

    def arrive(result: T | None, error: Exception | None) -> None:
        if not stopped:
            callback(result, error)

    def run() -> None:
        with contextlib.suppress(Stopped):
            result = error = None
            try:
                result = work()
            except Exception as caught:
                error = caught
            loop.call_soon_threadsafe(arrive, result, error)

    thread = threading.Thread(target=run, daemon=True)  # a daemon: the kernel does not wait for it to stop
    thread.start()

    def stop() -> None:
        nonlocal stopped
        stopped = True
        if thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped))

    return stop
