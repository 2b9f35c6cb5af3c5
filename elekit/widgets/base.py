"""What the widgets share: errors that show, commands from the browser, a static twin."""

import base64
import functools
from collections.abc import Callable

import anywidget
import traitlets
from matplotlib.figure import Figure


def told(method: Callable) -> Callable:
    """A callback whose error is told in the widget, in one sentence, and kept whole in `widget.trouble`."""

    @functools.wraps(method)
    def guarded(self, *given, **named):
        try:
            result = method(self, *given, **named)
        except Exception as error:
            tell(self, error)
            return None
        self.problem, self.trouble = "", None
        return result

    return guarded


def tell(widget, error: Exception) -> None:
    """Show what went wrong in a widget that has `problem` and `trouble`."""
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    widget.trouble = error
    widget.problem = kind + (
        lines[0] if lines else "Unexpected error (no message). See the notebook log for the traceback."
    )


class Panel(anywidget.AnyWidget):
    """A widget drawn in the browser. Subclasses name their COMMANDS (methods that the browser may call) and a `picture`.

    problem: what went wrong last, in one sentence, "" if nothing. trouble: that exception, to be raised or looked at.
    """

    COMMANDS: tuple[str, ...] = ()

    problem = traitlets.Unicode("").tag(sync=True)
    palette = traitlets.Dict().tag(sync=True)
    trouble: Exception | None = None

    def __init__(self, **traits):
        super().__init__(**traits)
        self.on_msg(self._hear)

    def picture(self) -> Figure:
        """The static twin: what the widget shows now, as a figure."""
        raise NotImplementedError

    def _hear(self, _, content: dict, buffers) -> None:
        """Do what the browser asks for: {"do": one of COMMANDS, "with": its arguments}."""
        if isinstance(content, dict) and content.get("do") in self.COMMANDS:
            self._obey(content["do"], content.get("with") or {})

    @told
    def _obey(self, command: str, values: dict):
        getattr(self, command)(**values)

    def _repr_mimebundle_(self, **kwargs):
        return with_picture(super()._repr_mimebundle_(**kwargs), self.picture)


def with_picture(bundle, picture: Callable[[], Figure]):
    """A widget's display bundle with its static twin, for readers without a kernel: printed, exported, on the web."""
    if bundle is None:
        return None
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    shown = picture()
    return {**data, "image/png": base64.b64encode(shown._repr_png_()).decode()}, metadata
