"""The process of a command: its standard streams, signals and exit status."""

import argparse
import contextlib
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

BROKEN_PIPE = 141  # exit status of a program that SIGPIPE ends
DEBUG = "ELEKIT_DEBUG"  # environment variable: tracebacks, too
LONGEST = 600  # characters of a message
MEMORY = re.compile(r"out of memory|not enough memory|(can't|cannot) allocate|bad_alloc", re.IGNORECASE)


class Interrupted(KeyboardInterrupt):
    """A signal. A plain KeyboardInterrupt in code that `exec` runs ends Python as by Ctrl-C, even if it is caught."""


def run(name: str, parser: Callable[[], argparse.ArgumentParser], arguments: Sequence[str] | None) -> int:
    """Parse arguments, call `run` of the result with it, and return the exit status.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does. A reader of standard output that has gone (`| head`) ends it
    silently. Of many processes that torchrun starts, the first one prints what is wrong; a command that cannot
    divide its work among them (its `run` lacks the attribute `by_many_processes`) is refused.

    Args:
        name: Name of the program, before each message.
        parser: Makes the parser, whose result has a function `run`, and may have `continued`, how to continue after
            Ctrl-C.
        arguments: Words after the name; None uses those of the process.

    Returns:
        What `run` returns, 0 for None; 1 after an error (one line on standard error); 130, 143 or 129 after Ctrl-C,
            SIGTERM or SIGHUP; 141 if the reader has gone.
    """
    _open_closed_streams()
    hint = ""
    with interrupting_signals() as received:
        try:
            args = _parsed(parser(), arguments)
            hint = getattr(args, "continued", "")
            if _is_one_of_many() and not hasattr(args.run, "by_many_processes"):
                _tell_once(f"{name}: this command runs in one process; start it without torchrun")
                return 1
            status = args.run(args)
            sys.stdout.flush()
            return status or 0
        except (KeyboardInterrupt, Exception) as error:
            if received or isinstance(error, KeyboardInterrupt):  # packages make other errors of it while they load
                how = str(error) if isinstance(error, KeyboardInterrupt) and str(error) else hint
                tell(f"{name}: interrupted{'; ' if how else ''}{how}")
                return 128 + (received or [signal.SIGINT])[0]
            if isinstance(error, BrokenPipeError):
                return BROKEN_PIPE
            if os.environ.get(DEBUG):
                tell(traceback.format_exc())
            tell(f"{name}: {_one_line(error)}")
            return 1
        finally:
            _discard_unwritable()


@contextlib.contextmanager
def interrupting_signals() -> Iterator[list[int]]:
    """Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt within the block; returns the numbers received.

    Signals that are ignored (`nohup`) or have a handler of their own stay as they are, and so do all outside the main
    thread.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Interrupted

    interrupt.received = received  # type: ignore[attr-defined]  # a training looks here, see `run_loop`
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(message: str) -> None:
    """Print to standard error, which may be a terminal that has gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(message) + "\n")


def _is_one_of_many() -> bool:
    """Whether torchrun started this process and others."""
    if "WORLD_SIZE" not in os.environ:  # torch takes long to load
        return False
    from elekit.training import distributed

    return distributed.launched() is not None


def _tell_once(message: str) -> None:
    """Print to standard error what all processes would print."""
    if not (_is_one_of_many() and os.environ["RANK"] != "0"):
        tell(message)


def printable(text: str) -> str:
    """The text with escapes such as \\x1b for characters that control a terminal or the direction of writing."""
    return "".join(c if c.isprintable() or c in "\t\n" else c.encode("unicode_escape").decode() for c in text)


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            return parser.parse_args(arguments)
    finally:
        if complaints.getvalue():
            _tell_once(complaints.getvalue()[: 4 * LONGEST].rstrip())


def _one_line(error: Exception) -> str:
    """The message of an error, and what to do about those that are not about the input."""
    message = " ".join(re.sub(r"^\[Errno -?\d+\] ", "", str(error)).split())  # those of libraries have several lines
    kind = type(error).__name__
    if len(message) > LONGEST:
        message = f"{message[: LONGEST - 100]} ... {message[-90:]}"
    if isinstance(error, MemoryError) or (isinstance(error, (RuntimeError, OSError)) and MEMORY.search(message)):
        advice = (
            "lower the size of batches, the number of starts, candidates or rows, or leave out the largest graphs"
        )
        return f"out of memory{f' ({message[:200]})' if message else ''}; {advice}"
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply; if it is not, report this with the traceback ({DEBUG}=1 prints it)"
    if isinstance(error, (ValueError, OSError, FloatingPointError, ModuleNotFoundError)):
        return message or kind
    return f"internal error, {kind}: {message}; please report this with the traceback ({DEBUG}=1 prints it)"


def _open_closed_streams() -> None:
    """Let streams that the caller has closed (`<&-`) lead to the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process


def _discard_unwritable() -> None:
    """Drop output that cannot be written, so that the interpreter does not fail over it when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
